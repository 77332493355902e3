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
    /// The archive lacks what the slot says was acknowledged, or begins after what the log still has: from `missing` on, and the
    /// log begins at `head`.
    case behind(missing: LSN, head: LSN, message: String)
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
        case .behind(let missing, let head, let message):
            "\(message): the archive lacks LSN \(missing), and the log begins at LSN \(head); nothing was changed: restore the archive's missing objects, or ship to a new archive"
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
