/// Puts little-endian values into bytes. With `ByteReader`, the only code that touches the offsets of a structure.
///
/// Writing past the end traps: the layouts are fixed, so that is a mistake in this program.
package struct ByteWriter {
    package private(set) var bytes: [UInt8]

    /// `count` zero bytes to be filled by offset.
    package init(count: Int = 0) { bytes = [UInt8](repeating: 0, count: count) }

    package mutating func put(_ value: UInt32, at offset: Int) {
        for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index)) }
    }

    package mutating func put(_ value: UInt64, at offset: Int) {
        for index in 0..<8 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
    }

    package mutating func put(bytes value: some Collection<UInt8>, at offset: Int) {
        precondition(offset >= 0 && value.count <= bytes.count - offset, "bytes past the end of a structure")
        bytes.replaceSubrange(offset..<offset + value.count, with: value)
    }

    package mutating func put(_ lsn: LSN, at offset: Int) {
        precondition(lsn.rawValue <= FormatLimits.lsnMax, "LSN \(lsn) is past the end of every log")
        put(lsn.rawValue, at: offset)
    }

    /// nil as all ones.
    package mutating func put(lsnOrNone lsn: LSN?, at offset: Int) {
        if let lsn { put(lsn, at: offset) } else { put(UInt64.max, at: offset) }
    }

    package mutating func put(_ id: LogID, at offset: Int) {
        put(id.high.byteSwapped, at: offset)
        put(id.low.byteSwapped, at: offset + 8)
    }

    package mutating func put(_ value: Bytes16, at offset: Int) {
        put(value.high.byteSwapped, at: offset)
        put(value.low.byteSwapped, at: offset + 8)
    }

    /// Start and exclusive end; nil as 0 and 0. Traps on an empty range, which would read as nil.
    package mutating func put(rangeOrNone range: Range<LSN>?, at offset: Int) {
        if let range { precondition(!range.isEmpty, "an empty range at LSN \(range.lowerBound)") }
        put(range?.lowerBound ?? .zero, at: offset)
        put(range?.upperBound ?? .zero, at: offset + 8)
    }

    /// Eight ASCII characters.
    package mutating func put(magic: StaticString, at offset: Int) {
        let text = Array(magic.description.utf8)
        precondition(text.count == 8, "a magic has eight characters: \(magic)")
        bytes.replaceSubrange(offset..<offset + 8, with: text)
    }

    /// The checksum, as it is stored, of all bytes before `offset`.
    package mutating func putChecksum(at offset: Int) { put(StoredChecksum.of(bytes[..<offset]), at: offset) }

    /// Grows by `count` zero bytes and returns the offset of the first.
    package mutating func grow(by count: Int) -> Int {
        let offset = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: count))
        return offset
    }

    /// Appends `value` as LEB128: seven bits a byte, low bits first, the high bit on every byte but the last.
    package mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
