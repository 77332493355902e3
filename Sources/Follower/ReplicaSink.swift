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
    private let retain: UInt64?
    /// Up to which segment it was truncated, as far as pins and records that cross their ends let it.
    private var truncatedTo: UInt64 = 0

    /// Throws as `ReplicaLog.open`. `retain`: bytes of log before the end that stay; nil: all.
    init(directory: String, retain: UInt64? = nil) async throws(WALError) {
        self.retain = retain
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
        let difference = try piece.difference(from: replica.headLSN, to: replica.endLSN) { range throws(WALError) in try replica.bytes(range) }
        if let difference { return difference }
        let position = replica.position
        precondition(piece.range.lowerBound <= position, "pieces come in order: one at \(piece.range.lowerBound) is not at \(position)")
        guard piece.range.upperBound > position else { return nil }
        try replica.apply(piece.bytes(from: position), at: position)
        try replica.takeIn(
            line.epochs, times: piece.metadata.timeIndex.map { CommitTime(nanoseconds: $0.time, lsn: $0.lsn) })
        try letGo()
        return nil
    }

    /// Lets go of what need not stay, also where nothing comes that would be applied. For when it is known that the replica goes on along the line: else a rewind may need it.
    func settle() async throws {
        try await OffPool.run { () throws(WALError) in try self.letGo() }
    }

    /// Whole segments below what is to stay go, once there is one.
    private func letGo() throws(WALError) {
        let (size, end) = (UInt64(replica.segmentSize), replica.endLSN.rawValue)
        guard let retain, end > retain else { return }
        let segment = (end - retain) / size
        guard segment > truncatedTo else { return }
        do throws(WALError) {
            try replica.truncateBefore(LSN(segment * size))
            truncatedTo = segment
        } catch .locked {
            // Somebody else sets a pin, or looks for long: it goes with the next bytes.
        }
    }

    func dropUnfinished() async throws {
        try await OffPool.run { () throws(WALError) in try self.replica.dropUnfinished() }
    }

    func close() async throws {
        try await OffPool.run { () throws(WALError) in try self.replica.close() }
    }
}
