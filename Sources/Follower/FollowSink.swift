import Archive
import WAL

/// Where a follower puts what it reads. Used by one task at a time.
protocol FollowSink: AnyObject, Sendable {
    /// Where the next bytes go. What lies below it in a piece is compared, where that can be, and left out.
    var position: LSN { get }
    /// Everything below is applied.
    var applied: LSN { get }
    /// The history up to what is applied.
    var epochs: EpochTable { get }

    /// Applies what the piece has from the position on. `line` is the history that the archive tells of. Throws `ArchiveError` `.diverged` where both have other bytes.
    func take(_ piece: ArchivePiece, line: EpochTable) async throws
    /// Forgets what has come in part: it goes on otherwise than it began.
    func dropUnfinished() async throws
    /// Nothing is taken afterwards; all that was applied is safe.
    func close() async throws
}
