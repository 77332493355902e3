public import Archive
public import WAL

/// Why a log is not shipped to a destination, or not any more: what happened, where, and what to do.
///
/// Whatever it is, nothing in the archive was replaced and nothing local was removed because of it.
public enum ShipperError: Error, Hashable, Sendable {
    /// The directory holds a restored or copied log. It may be read, and is not to be shipped: another machine may go on under its identity.
    case replica(directory: String)
    /// The archive's store failed, refused, or holds something that is not ours (`.diverged`, `.fenced`).
    case archive(ArchiveError)
    /// The log cannot be read, or its slot cannot be written.
    case log(WALError)
    /// A backlog limit that is below what a log of such segments needs.
    case backlogLimitTooSmall(bytes: UInt64, minimum: UInt64)
    /// `--once` did not get done in its time. `last` is what stood in the way at the end.
    case timedOut(archived: LSN, target: LSN, last: String?)
}

extension ShipperError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .replica(let directory):
            "\(directory) is a restored or copied log; run promote first, or go on where the original is"
        case .archive(let error): error.description
        case .log(let error): error.description
        case .backlogLimitTooSmall(let bytes, let minimum):
            "a backlog of \(bytes) bytes is less than two segments of this log: allow at least \(minimum) bytes (max-local-bytes)"
        case .timedOut(let archived, let target, let last):
            "not done in time: archived up to LSN \(archived) of \(target)\(last.map { "; last: \($0)" } ?? "")"
        }
    }
}

extension ShipperError {
    /// What `body` returns, its errors as those of the log.
    static func log<T>(_ body: () throws(WALError) -> T) throws(ShipperError) -> T {
        do throws(WALError) {
            return try body()
        } catch {
            throw .log(error)
        }
    }

    /// What `body` returns, its errors as those of the archive.
    static func archive<T>(_ body: () throws(ArchiveError) -> T) throws(ShipperError) -> T {
        do throws(ArchiveError) {
            return try body()
        } catch {
            throw .archive(error)
        }
    }
}
