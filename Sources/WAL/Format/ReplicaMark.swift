/// The file `restoring`: a directory with it is no log yet but one that is being restored, and this is which. It goes when the control file is there.
package struct ReplicaMark: Hashable, Sendable {
    package var logID: LogID
    /// Bytes.
    package var segmentSize: UInt64
    /// The first byte that is restored.
    package var head: LSN
    package var end: ReplicaStream.End
    /// Whole segments below this LSN are on stable storage.
    package var synced: LSN

    package init(logID: LogID, segmentSize: UInt64, head: LSN, end: ReplicaStream.End, synced: LSN) {
        self.logID = logID
        self.segmentSize = segmentSize
        self.head = head
        self.end = end
        self.synced = synced
    }

    package static let fileName = "restoring"
    /// Bytes of the file: two sectors.
    package static let size = 1024
    static let cellOffset = 512

    /// The whole file.
    package func encode() -> [UInt8] {
        var writer = ByteWriter(count: ReplicaMark.size)
        writer.put(magic: "WALSHIPR", at: 0)
        writer.put(UInt32(1), at: 8)
        let (kind, lsn): (UInt32, LSN) =
            switch end {
            case .everything: (0, .zero)
            case .limit(let lsn): (1, lsn)
            case .through(let lsn): (2, lsn)
            }
        writer.put(kind, at: 12)
        writer.put(logID, at: 16)
        writer.put(segmentSize, at: 32)
        writer.put(head, at: 40)
        writer.put(lsn, at: 48)
        writer.putChecksum(at: 56)
        writer.put(bytes: cell, at: ReplicaMark.cellOffset)
        return writer.bytes
    }

    /// The part that says how far segments are synced, written alone.
    var cell: [UInt8] {
        var writer = ByteWriter(count: 12)
        writer.put(synced, at: 0)
        writer.put(ReplicaMark.cellChecksum(logID, synced), at: 8)
        return writer.bytes
    }

    private static func cellChecksum(_ logID: LogID, _ synced: LSN) -> UInt32 {
        var checksum = CRC32C()
        checksum.update(logID)
        checksum.update(littleEndian: synced.rawValue)
        return StoredChecksum.of(checksum)
    }

    /// Reads the whole file. Where the part about segments does not verify, none counts as synced.
    package static func decode(_ bytes: [UInt8]) throws(FormatError) -> ReplicaMark {
        let reader = ByteReader("restore mark", bytes)
        try reader.requireMagic("WALSHIPR")
        try reader.requireCount(size)
        try reader.requireChecksum(at: 56)
        let version = try reader.u32("version", at: 8)
        guard version == 1 else { throw reader.unsupported("version", at: 8, found: version, expected: "1") }
        let lsn = try reader.lsn("target", at: 48)
        let end: ReplicaStream.End =
            switch try reader.u32("kind of target", at: 12, in: 0...2) {
            case 0: .everything
            case 1: .limit(lsn)
            default: .through(lsn)
            }
        var mark = ReplicaMark(
            logID: try reader.logID(at: 16), segmentSize: try reader.u64("segment size", at: 32, in: FormatLimits.segmentSizes),
            head: try reader.lsn("head", at: 40), end: end, synced: .zero)
        // Out of range or torn: as if nothing had been said.
        let synced = try reader.u64("synced", at: cellOffset)
        if synced <= FormatLimits.lsnMax, try reader.u32("crc", at: cellOffset + 8) == cellChecksum(mark.logID, LSN(synced)) {
            mark.synced = LSN(synced)
        }
        return mark
    }
}
