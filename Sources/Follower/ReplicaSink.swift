import Archive
import WAL

/// A replica as what is followed into. Files block, so each use goes to a thread that may.
///
/// Unchecked, because each use is awaited before the next begins.
final class ReplicaSink: FollowSink, @unchecked Sendable {
    private struct Box: @unchecked Sendable {
        // Unchecked for the same reason.
        let replica: ReplicaLog
    }

    private let replica: ReplicaLog

    /// Throws as `ReplicaLog.open`.
    init(directory: String) async throws(WALError) {
        replica = try await OffPool.run { () throws(WALError) in Box(replica: try ReplicaLog.open(directory: directory)) }.replica
    }

    var logID: LogID { replica.logID }
    var segmentSize: Int { replica.segmentSize }
    var head: LSN { replica.headLSN }
    var position: LSN { replica.position }
    var applied: LSN { replica.endLSN }
    var epochs: EpochTable { replica.epochs }

    func take(_ piece: ArchivePiece, line: EpochTable) async throws {
        let differs = try await OffPool.run { () throws(WALError) in try self.apply(piece, line) }
        if let differs {
            throw ArchiveError(
                .diverged, "the archive holds other bytes than the replica", key: piece.key, lsn: differs,
                hint: "the replica is of a writer whose records were not archived: restore it from this archive beside this one")
        }
    }

    /// Where the piece differs from what the replica has; nil where it does not: then the rest is applied.
    private func apply(_ piece: ArchivePiece, _ line: EpochTable) throws(WALError) -> LSN? {
        let both = piece.range.clamped(to: replica.headLSN..<replica.endLSN)
        if !both.isEmpty {
            let ours = try replica.bytes(both)
            let from = Int(both.lowerBound.distance(from: piece.range.lowerBound))
            let theirs = piece.bytes[from..<from + ours.count]
            if theirs != ours[...] {
                let offset = zip(ours, theirs).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0
                return both.lowerBound.advanced(by: UInt64(offset))
            }
        }
        let position = replica.position
        precondition(piece.range.lowerBound <= position, "pieces come in order: one at \(piece.range.lowerBound) is not at \(position)")
        guard piece.range.upperBound > position else { return nil }
        let skipped = position > piece.range.lowerBound ? Int(position.distance(from: piece.range.lowerBound)) : 0
        try replica.apply(skipped == 0 ? piece.bytes : Array(piece.bytes[skipped...]), at: position)
        try replica.takeIn(
            line.epochs, times: piece.metadata.timeIndex.map { CommitTime(nanoseconds: $0.time, lsn: $0.lsn) })
        return nil
    }

    func dropUnfinished() async throws {
        try await OffPool.run { () throws(WALError) in try self.replica.dropUnfinished() }
    }

    func close() async throws {
        try await OffPool.run { () throws(WALError) in try self.replica.close() }
    }
}
