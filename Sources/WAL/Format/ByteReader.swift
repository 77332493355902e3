/// Takes little-endian values out of bytes, with every offset and range checked. With `ByteWriter`, the only code that
/// touches the offsets of a structure.
package struct ByteReader {
    /// The structure being read, as `docs/format/log.md` names it; for messages.
    package let structure: String
    package let bytes: [UInt8]

    package init(_ structure: String, _ bytes: [UInt8]) {
        self.structure = structure
        self.bytes = bytes
    }

    package func u32(_ field: String, at offset: Int) throws(FormatError) -> UInt32 {
        try require(4, for: field, at: offset)
        return (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) }
    }

    package func u64(_ field: String, at offset: Int) throws(FormatError) -> UInt64 {
        try require(8, for: field, at: offset)
        return (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
    }

    /// A number that must lie in `range`.
    package func u64(_ field: String, at offset: Int, in range: ClosedRange<UInt64>) throws(FormatError) -> UInt64 {
        let value = try u64(field, at: offset)
        guard range.contains(value) else {
            throw invalid(field, at: offset, found: value, expected: "\(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    package func u32(_ field: String, at offset: Int, in range: ClosedRange<UInt32>) throws(FormatError) -> UInt32 {
        let value = try u32(field, at: offset)
        guard range.contains(value) else {
            throw invalid(field, at: offset, found: value, expected: "\(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    package func lsn(_ field: String, at offset: Int) throws(FormatError) -> LSN {
        LSN(try u64(field, at: offset, in: 0...FormatLimits.lsnMax))
    }

    /// An LSN, or nil where all bits are set.
    package func lsnOrNone(_ field: String, at offset: Int) throws(FormatError) -> LSN? {
        try u64(field, at: offset) == .max ? nil : try lsn(field, at: offset)
    }

    /// Two LSNs, start and exclusive end, at `offset` and 8 bytes on. nil where they are equal, which is written as 0 and 0.
    package func rangeOrNone(_ field: String, at offset: Int) throws(FormatError) -> Range<LSN>? {
        let start = try lsn("\(field) start", at: offset)
        let end = try lsn("\(field) end", at: offset + 8)
        guard start <= end else {
            throw invalid("\(field) end", at: offset + 8, found: end, expected: "at least its start, \(start)")
        }
        return start == end ? nil : start..<end
    }

    package func logID(at offset: Int) throws(FormatError) -> LogID {
        LogID(
            high: try u64("log id", at: offset).byteSwapped, low: try u64("log id", at: offset + 8).byteSwapped)
    }

    package func bytes16(_ field: String, at offset: Int) throws(FormatError) -> Bytes16 {
        Bytes16(high: try u64(field, at: offset).byteSwapped, low: try u64(field, at: offset + 8).byteSwapped)
    }

    /// A LEB128 number of at most ten bytes in its shortest form, and the offset after it; nil where there is none.
    package func varint(at offset: Int) -> (value: UInt64, end: Int)? {
        var value: UInt64 = 0
        for index in 0..<10 {
            guard offset >= 0, offset + index < bytes.count else { return nil }
            let byte = bytes[offset + index]
            if index == 9, byte > 1 { return nil }
            value |= UInt64(byte & 0x7F) << UInt64(7 * index)
            if byte & 0x80 == 0 { return byte == 0 && index > 0 ? nil : (value, offset + index + 1) }
        }
        return nil
    }
}

extension ByteReader {
    package func requireCount(_ count: Int) throws(FormatError) {
        guard bytes.count == count else {
            throw FormatError(
                .size, structure: structure, field: "size", offset: 0, found: "\(bytes.count) bytes",
                expected: "\(count) bytes")
        }
    }

    /// Throws `.empty` where all bytes are zero and `.magic` where the eight at `offset` are not `magic`.
    package func requireMagic(_ magic: StaticString, at offset: Int = 0) throws(FormatError) {
        try require(8, for: "magic", at: offset)
        let found = bytes[offset..<offset + 8]
        guard !found.elementsEqual(magic.description.utf8) else { return }
        let isEmpty = bytes.allSatisfy { $0 == 0 }
        throw FormatError(
            isEmpty ? .empty : .magic, structure: structure, field: "magic", offset: offset,
            found: isEmpty ? "missing, all bytes are zero" : ByteReader.hex(found), expected: "\"\(magic)\"")
    }

    /// The checksum at `offset` must be that of all bytes before it.
    package func requireChecksum(at offset: Int) throws(FormatError) {
        try require(4, for: "checksum", at: offset)
        try requireChecksum(StoredChecksum.of(bytes[..<offset]), at: offset)
    }

    package func requireChecksum(_ computed: UInt32, at offset: Int) throws(FormatError) {
        let stored = try u32("checksum", at: offset)
        guard stored == computed else {
            throw FormatError(
                .checksum, structure: structure, field: "checksum", offset: offset,
                found: "0x" + String(stored, radix: 16), expected: "0x" + String(computed, radix: 16))
        }
    }

    /// The log id at `offset`, which must be `expected` where that is given.
    package func logID(at offset: Int, expecting expected: LogID?) throws(FormatError) -> LogID {
        let found = try logID(at: offset)
        if let expected, found != expected {
            throw invalid("log id", at: offset, found: found, expected: "\(expected), as in the control file")
        }
        return found
    }

    package func invalid(
        _ field: String, at offset: Int, found: some CustomStringConvertible, expected: String
    ) -> FormatError {
        FormatError(
            .value, structure: structure, field: field, offset: offset, found: found.description, expected: expected)
    }

    package func unsupported(
        _ field: String, at offset: Int, found: some CustomStringConvertible, expected: String
    ) -> FormatError {
        FormatError(
            .unsupported, structure: structure, field: field, offset: offset, found: found.description,
            expected: expected)
    }

    private func require(_ count: Int, for field: String, at offset: Int) throws(FormatError) {
        guard offset >= 0, count <= bytes.count, offset <= bytes.count - count else {
            throw FormatError(
                .size, structure: structure, field: field, offset: offset,
                found: "cut after \(bytes.count) bytes", expected: "\(count) bytes there")
        }
    }

    private static func hex(_ bytes: ArraySlice<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }
}
