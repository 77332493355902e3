/// Takes values from a record's bytes, in the order in which `RecordEncoder` has put them.
///
/// Whatever the bytes are, the result is a value or `.encoding`: a length is compared with what is left before anything is allocated for
/// it. Used only while the record lends its bytes: nobody can make one or keep one.
@safe public struct RecordDecoder: ~Copyable {
    private let bytes: UnsafeRawBufferPointer
    /// Bytes taken so far.
    public private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

    /// Bytes that are left.
    public var remaining: Int { unsafe bytes.count - offset }

    public mutating func decode<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type = Value.self) throws(WALError) -> Value {
        let start = try take(MemoryLayout<Value>.size, "\(type)")
        return Value(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: start, as: type))
    }

    public mutating func decode(_ type: Bool.Type = Bool.self) throws(WALError) -> Bool {
        switch try decode(UInt8.self) {
        case 0: return false
        case 1: return true
        case let byte: throw .encoding(reason: "\(byte) at byte \(offset - 1), where 0 or 1 stands for a Bool")
        }
    }

    public mutating func decode(_ type: Double.Type = Double.self) throws(WALError) -> Double {
        Double(bitPattern: try decode(UInt64.self))
    }

    public mutating func decode(_ type: Float.Type = Float.self) throws(WALError) -> Float {
        Float(bitPattern: try decode(UInt32.self))
    }

    /// A number that `encode(varint:)` has written. The shortest form only: a value has one encoding.
    public mutating func decodeVarint() throws(WALError) -> UInt64 {
        let start = offset
        var value: UInt64 = 0
        for index in 0..<10 {
            let byte = try decode(UInt8.self)
            if index == 9 && byte > 1 { break }
            value |= UInt64(byte & 0x7F) << UInt64(7 * index)
            if byte & 0x80 != 0 { continue }
            if byte == 0 && index > 0 { break }
            return value
        }
        throw .encoding(reason: "no number of variable length at byte \(start)")
    }

    /// A count of elements, each of at least `elementSizeMin` bytes (1 or more): a count that what is left cannot hold is refused before
    /// anything is allocated for it.
    public mutating func decodeCount(elementSizeMin: Int = 1) throws(WALError) -> Int {
        precondition(elementSizeMin >= 1, "elements of no bytes could be any number")
        let start = offset
        let count = try decodeVarint()
        guard count <= UInt64(remaining / elementSizeMin) else {
            throw .encoding(reason: "\(count) elements at byte \(start), and \(remaining) bytes are left")
        }
        return Int(count)
    }

    /// Text that is UTF-8.
    public mutating func decode(_ type: String.Type = String.self) throws(WALError) -> String {
        let count = try decodeCount()
        let start = try take(count, "text")
        // SAFETY: `take` has checked the range.
        guard let text = unsafe String(validating: UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]), as: UTF8.self) else {
            throw .encoding(reason: "the text at byte \(start) is not UTF-8")
        }
        return text
    }

    /// Bytes with their length before them.
    public mutating func decodeBytes() throws(WALError) -> [UInt8] { try decodeBytes(count: try decodeCount()) }

    /// That many bytes.
    public mutating func decodeBytes(count: Int) throws(WALError) -> [UInt8] {
        let start = try take(count, "\(count) bytes")
        return unsafe [UInt8](bytes[start..<start + count])
    }

    /// All bytes that are left.
    public mutating func decodeRemaining() -> [UInt8] {
        defer { offset = unsafe bytes.count }
        return unsafe [UInt8](bytes[offset...])
    }

    /// A part that is a value itself.
    public mutating func decode<Value: RecordDecodable>(_ type: Value.Type = Value.self) throws(WALError) -> Value {
        try Value(from: &self)
    }

    /// A value, or nil where `encode` was given none.
    public mutating func decode<Value: RecordDecodable>(_ type: Value?.Type = Value?.self) throws(WALError) -> Value? {
        try decode(Bool.self) ? try Value(from: &self) : nil
    }

    /// Elements that take at least one byte each.
    public mutating func decode<Value: RecordDecodable>(_ type: [Value].Type = [Value].self) throws(WALError) -> [Value] {
        let count = try decodeCount()
        var values: [Value] = []
        for _ in 0..<count { values.append(try Value(from: &self)) }
        return values
    }

    func requireEnd() throws(WALError) {
        guard remaining == 0 else { throw .encoding(reason: "\(remaining) bytes remain after byte \(offset)") }
    }

    /// Moves over `count` bytes that are there; returns where they begin.
    private mutating func take(_ count: Int, _ what: @autoclosure () -> String) throws(WALError) -> Int {
        guard count >= 0, count <= remaining else {
            throw .encoding(reason: "\(what()) at byte \(offset), and \(remaining) bytes are left")
        }
        defer { offset += count }
        return offset
    }

    /// Lends what is left to a decoder of another format, which takes it all.
    mutating func withRemaining<T>(_ body: (UnsafeRawBufferPointer) -> T) -> T {
        defer { offset = unsafe bytes.count }
        return unsafe body(UnsafeRawBufferPointer(rebasing: bytes[offset...]))
    }
}
