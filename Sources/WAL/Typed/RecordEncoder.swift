/// Appends values to a buffer that becomes a record: little-endian numbers, lengths before what has one.
///
/// Allocates nothing but its buffer; keep one and use it again (`WriteAheadLog.appendTyped(_:using:)`), and it allocates nothing at all.
public struct RecordEncoder: Sendable {
    /// A batch's earlier frames, and what is being encoded from `start` on.
    private(set) var buffer: [UInt8]
    let start: Int

    /// `capacity` in bytes.
    public init(capacity: Int = 0) {
        buffer = []
        buffer.reserveCapacity(capacity)
        start = 0
    }

    /// Encodes behind what is there.
    init(continuing buffer: consuming [UInt8]) {
        start = buffer.count
        self.buffer = buffer
    }

    /// Bytes encoded since the last `removeAll`.
    public var count: Int { buffer.count - start }

    /// What was encoded since the last `removeAll`.
    public var bytes: [UInt8] { start == 0 ? buffer : Array(buffer[start...]) }

    /// Empties it and keeps its memory.
    public mutating func removeAll() { buffer.removeLast(count) }

    /// The number in its own width, little-endian.
    @inlinable
    public mutating func encode(_ value: some FixedWidthInteger) {
        var bytes = value.littleEndian
        // SAFETY: the pointer is to a local of trivial type and is not kept.
        unsafe withUnsafeBytes(of: &bytes) { unsafe encode(unprefixed: $0) }
    }

    /// One byte, 0 or 1.
    public mutating func encode(_ value: Bool) { buffer.append(value ? 1 : 0) }

    /// Eight bytes, the bit pattern: every value comes back as it was, NaN included.
    public mutating func encode(_ value: Double) { encode(value.bitPattern) }

    /// Four bytes, the bit pattern.
    public mutating func encode(_ value: Float) { encode(value.bitPattern) }

    /// One to ten bytes (LEB128), fewer for smaller numbers.
    public mutating func encode(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            buffer.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        buffer.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Elements that follow; `RecordDecoder.decodeCount` reads it back.
    public mutating func encode(count: Int) {
        precondition(count >= 0, "a count of \(count)")
        encode(varint: UInt64(count))
    }

    /// The length in bytes, then the UTF-8 bytes.
    public mutating func encode(_ text: String) {
        let utf8 = text.utf8
        encode(count: utf8.count)
        buffer.append(contentsOf: utf8)
    }

    /// The length, then the bytes.
    public mutating func encode(bytes: [UInt8]) {
        encode(count: bytes.count)
        buffer.append(contentsOf: bytes)
    }

    /// The bytes alone: for what has a fixed length, or comes last (`RecordDecoder.decodeRemaining`).
    public mutating func encode(unprefixed bytes: UnsafeRawBufferPointer) { unsafe buffer.append(contentsOf: bytes) }

    /// As `encode(unprefixed: UnsafeRawBufferPointer)`.
    public mutating func encode(unprefixed bytes: [UInt8]) { buffer.append(contentsOf: bytes) }

    /// A part that is a value itself.
    public mutating func encode(_ value: some RecordEncodable) throws(WALError) { try value.encode(into: &self) }

    /// One byte that says whether there is a value, then the value.
    public mutating func encode(_ value: (some RecordEncodable)?) throws(WALError) {
        encode(value != nil)
        if let value { try value.encode(into: &self) }
    }

    /// The count, then the elements.
    public mutating func encode<Element: RecordEncodable>(_ values: [Element]) throws(WALError) {
        encode(count: values.count)
        for value in values { try value.encode(into: &self) }
    }
}
