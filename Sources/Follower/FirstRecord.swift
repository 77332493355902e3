import Archive
import WAL

/// Looks for a record among an archive's objects.
enum FirstRecord {
    /// The first record that begins at `lsn` or after it. Throws what `ArchiveWalk.next` throws, and `.notFound` where there is none.
    static func find(atOrAfter lsn: LSN, _ reader: ArchiveReader, _ epochs: EpochTable) async throws(ArchiveError) -> LSN {
        var walk = try reader.walk(from: lsn)
        var frames: FrameAssembler?
        var end = lsn
        while let piece = try await walk.next() {
            // Below `lsn` a walk goes over what is missing: frames are followed anew from there.
            if piece.range.lowerBound > end { frames = nil }
            end = piece.range.upperBound
            if frames == nil {
                // The object says where its first record begins; none may begin in it. Objects below `lsn` count: the next may be met from its middle on.
                guard let first = piece.metadata.records?.first, piece.range.contains(first) else { continue }
                frames = FrameAssembler(logID: reader.log.logID, epochs: epochs, start: first)
                frames?.add(piece.bytes(from: first))
            } else {
                frames?.add(piece.bytes)
            }
            do {
                while let record = try frames?.next() {
                    if record.lsn >= lsn { return record.lsn }
                }
            } catch {
                throw ArchiveError(.damaged, "a record does not verify: \(error)", key: piece.key, lsn: piece.range.lowerBound)
            }
        }
        throw ArchiveError.pastTheEnd(at: lsn, hint: "ask for a lower LSN")
    }
}
