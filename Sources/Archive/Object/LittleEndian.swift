/// Reads fixed-width numbers from the front of a slice. The caller has checked that the slice is long enough: reading past
/// its end traps.
struct LittleEndianReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) {
        rest = bytes
    }

    mutating func skip(_ count: Int) {
        precondition(count <= rest.count, "reading past the end")
        rest = rest.dropFirst(count)
    }

    mutating func u32() -> UInt32 { UInt32(number(bytes: 4)) }

    mutating func u64() -> UInt64 { number(bytes: 8) }

    mutating func u64BigEndian() -> UInt64 { number(bytes: 8).byteSwapped }

    mutating func bytes(_ count: Int) -> [UInt8] {
        precondition(count <= rest.count, "reading past the end")
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    /// Whether the next `count` bytes are zero; they are consumed.
    mutating func isZero(count: Int) -> Bool {
        precondition(count <= rest.count, "reading past the end")
        let all = rest.prefix(count).allSatisfy { $0 == 0 }
        rest = rest.dropFirst(count)
        return all
    }

    private mutating func number(bytes count: Int) -> UInt64 {
        precondition(count <= rest.count, "reading past the end")
        var value: UInt64 = 0
        for index in 0..<count {
            value |= UInt64(rest[rest.startIndex + index]) << UInt64(8 * index)
        }
        rest = rest.dropFirst(count)
        return value
    }
}

extension [UInt8] {
    mutating func appendLittleEndian(_ value: some FixedWidthInteger) {
        for index in 0..<(value.bitWidth / 8) {
            append(UInt8(truncatingIfNeeded: value >> (8 * index)))
        }
    }

    mutating func appendBigEndian(_ value: UInt64) {
        appendLittleEndian(value.byteSwapped)
    }

    /// Overwrites the four bytes at `offset`.
    mutating func storeLittleEndian(_ value: UInt32, at offset: Int) {
        for index in 0..<4 {
            self[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index))
        }
    }
}
