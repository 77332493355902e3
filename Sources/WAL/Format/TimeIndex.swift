/// An entry of a `.times` file: at this time, in nanoseconds since 1970, the log was durable up to this LSN.
package struct TimeEntry: Hashable, Sendable {
    package var nanoseconds: UInt64
    package var lsn: LSN

    package init(nanoseconds: UInt64, lsn: LSN) {
        self.nanoseconds = nanoseconds
        self.lsn = lsn
    }
}

/// Makes the bytes of a `.times` file, which only ever grows: `header` first, then what `append` returns.
package struct TimeIndexEncoder: Sendable {
    private let logID: LogID
    private let index: UInt64
    private var last: TimeEntry

    /// `last` is the last entry that the file already has.
    package init(logID: LogID, index: UInt64, resumingAfter last: TimeEntry? = nil) {
        self.logID = logID
        self.index = index
        self.last = last ?? TimeEntry(nanoseconds: 0, lsn: .zero)
    }

    package static let headerSize = 32

    /// The first 32 bytes of the file.
    package var header: [UInt8] {
        var writer = ByteWriter(count: TimeIndexEncoder.headerSize)
        writer.put(magic: "WALSHIPT", at: 0)
        writer.put(index, at: 8)
        writer.put(logID, at: 16)
        return writer.bytes
    }

    /// The bytes of the next entry. Its LSN must not be below the one before; its time may be, as clocks step.
    package mutating func append(_ entry: TimeEntry) -> [UInt8] {
        precondition(entry.lsn >= last.lsn, "time entry at LSN \(entry.lsn) after \(last.lsn)")
        precondition(entry.lsn.rawValue <= FormatLimits.lsnMax, "time entry at LSN \(entry.lsn)")
        var writer = ByteWriter()
        writer.append(varint: ZigZag.encode(Int64(bitPattern: entry.nanoseconds &- last.nanoseconds)))
        writer.append(varint: entry.lsn.distance(from: last.lsn))
        let checksumOffset = writer.grow(by: 4)
        writer.put(TimeIndexEncoder.checksum(of: entry, logID: logID, index: index), at: checksumOffset)
        last = entry
        return writer.bytes
    }

    fileprivate static func checksum(of entry: TimeEntry, logID: LogID, index: UInt64) -> UInt32 {
        var checksum = StoredChecksum.binding(logID: logID, index: index)
        checksum.update(littleEndian: entry.nanoseconds)
        checksum.update(littleEndian: entry.lsn.rawValue)
        return StoredChecksum.of(checksum)
    }
}

/// What a `.times` file holds: the entries before the first that is cut or does not verify. The file is advisory, so that
/// is no error.
package struct TimeIndexDecoder: Sendable {
    package let entries: [TimeEntry]
    /// Bytes of the header and these entries: where the next entry goes after the file was cut to this size.
    package let validCount: Int

    /// Reads the file of segment `index` of the log `logID`. Throws where the header is cut or is not that segment's.
    package static func decode(
        _ bytes: [UInt8], expecting logID: LogID, index: UInt64
    ) throws(FormatError) -> TimeIndexDecoder {
        let reader = ByteReader("time index", bytes)
        try reader.requireMagic("WALSHIPT")
        _ = try reader.u64("segment index", at: 8, in: index...index)
        _ = try reader.logID(at: 16, expecting: logID)
        var entries: [TimeEntry] = []
        var offset = TimeIndexEncoder.headerSize
        var last = TimeEntry(nanoseconds: 0, lsn: .zero)
        while let (entry, end) = read(reader, at: offset, after: last, logID: logID, index: index) {
            entries.append(entry)
            last = entry
            offset = end
        }
        return TimeIndexDecoder(entries: entries, validCount: offset)
    }

    private static func read(
        _ reader: ByteReader, at offset: Int, after last: TimeEntry, logID: LogID, index: UInt64
    ) -> (TimeEntry, end: Int)? {
        guard let time = reader.varint(at: offset), let bytes = reader.varint(at: time.end),
            bytes.value <= FormatLimits.lsnMax - last.lsn.rawValue,
            let stored = try? reader.u32("checksum", at: bytes.end)
        else { return nil }
        let entry = TimeEntry(
            nanoseconds: last.nanoseconds &+ UInt64(bitPattern: ZigZag.decode(time.value)),
            lsn: last.lsn.advanced(by: bytes.value))
        guard stored == TimeIndexEncoder.checksum(of: entry, logID: logID, index: index) else { return nil }
        return (entry, bytes.end + 4)
    }
}

/// Signed numbers as unsigned ones, small where the number is close to 0: 0, −1, 1, −2 become 0, 1, 2, 3.
package enum ZigZag {
    package static func encode(_ value: Int64) -> UInt64 {
        UInt64(bitPattern: (value << 1) ^ (value >> 63))
    }

    package static func decode(_ value: UInt64) -> Int64 {
        Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }
}
