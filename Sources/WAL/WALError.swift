/// What went wrong with a log, on what, and the state the log is left in.
///
/// Indirect: an error is rare, and results and typed throws carry eight bytes for it instead of forty.
public indirect enum WALError: Error, Hashable, Sendable {
    /// A system call failed. `operation` is its C name. What it was part of did not happen, and the log is as before
    /// unless the log also reports `stopped`.
    case io(operation: String, path: String, errno: Int32)
    /// Bytes below the floor, or a file that holds them, are not what was written. Nothing was changed; the log does not
    /// open for writing until the damage is repaired by name.
    case corruption(lsn: LSN, reason: String)
    /// The record, or the batch with its headers, is longer than the log's maximum. Nothing was reserved or written.
    case recordTooLarge(count: Int, max: Int)
    /// A value could not be turned into bytes, or bytes into a value. The log is as before.
    case encoding(reason: String)
    /// Another process or handle has the lock; `holder` is how it names itself. Nothing was changed.
    case locked(holder: String)
    /// The log exists with other parameters than were asked for. Nothing was changed.
    case parameterMismatch(parameter: String, stored: String, requested: String)
    /// The file system has no space. The append (or opening) did not happen, the log is unchanged and goes on working
    /// when space returns.
    case noSpace(path: String)
    /// The log takes no more appends, now or ever from this handle; see the cause.
    case stopped(cause: StopCause)
    /// The position lies below the head: truncation has removed it. The log is as before.
    case positionLost(head: LSN)
    /// The path holds something that is not a log of ours, one of a newer version, or no longer the log that was opened there. It was left as it was.
    case notALog(path: String, reason: String)
    /// A directory that was copied while its writer wrote: the files are of different moments. Nothing was changed.
    case copiedWhileLive(path: String, lsn: LSN)
    /// The waiting task was cancelled. What was appended stays appended; whether it is durable is not known.
    case cancelled
}

/// Why a log takes no more appends.
public enum StopCause: Hashable, Sendable {
    /// `close` was called.
    case closed
    /// A flush failed. Bytes at or above the durable LSN may not be on stable storage and can no longer become so through
    /// this handle; reopening decides from what storage returns.
    case flushFailed(operation: String, path: String, errno: Int32)
    /// The log is a replica (restored or copied): readable, and writable only after `promote`.
    case replica
    /// For readers in other processes: nobody has the log open for writing now. What is durable is readable.
    case noWriter
    /// For readers in other processes: the writer's flush has failed, and it makes nothing durable any more.
    case writerFailed
}

extension StopCause {
    /// An error after which a log cannot go on, as the cause that everybody is told.
    init(_ error: WALError) {
        switch error {
        case .stopped(let cause): self = cause
        case .io(let operation, let path, let errno): self = .flushFailed(operation: operation, path: path, errno: errno)
        case .noSpace(let path): self = .flushFailed(operation: "flush", path: path, errno: 28)
        default: self = .flushFailed(operation: "flush", path: "\(error)", errno: 0)
        }
    }
}

extension WALError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .io(let operation, let path, let errno):
            "\(operation) failed on \(path): \(ErrorText.describe(errno: errno))"
        case .corruption(let lsn, let reason):
            "corruption at LSN \(lsn): \(reason); nothing was changed"
        case .recordTooLarge(let count, let max):
            "the record or batch has \(count) bytes; this log's maximum is \(max)"
        case .encoding(let reason):
            "encoding: \(reason)"
        case .locked(let holder):
            "the log is in use by \(holder)"
        case .parameterMismatch(let parameter, let stored, let requested):
            "\(parameter) of this log is \(stored), not \(requested); open it with \(stored) or leave it out"
        case .noSpace(let path):
            "no space left for \(path); the log is unchanged, free some space and try again"
        case .stopped(let cause):
            "the log has stopped: \(cause)"
        case .positionLost(let head):
            "the position was truncated away; the log now begins at LSN \(head)"
        case .notALog(let path, let reason):
            "\(path) is not a log: \(reason); it was left as it was"
        case .copiedWhileLive(let path, let lsn):
            "\(path) was copied while it was being written: its files disagree at LSN \(lsn); copy it again with the writer stopped, or restore from the archive"
        case .cancelled:
            "cancelled while waiting"
        }
    }
}

extension StopCause: CustomStringConvertible {
    public var description: String {
        switch self {
        case .closed: "it was closed"
        case .flushFailed(let operation, let path, let errno):
            "\(operation) failed on \(path) (\(ErrorText.describe(errno: errno))); records not yet durable may be lost, reopen the log to recover"
        case .replica: "it is a replica; run promote before writing to it"
        case .noWriter: "nobody has it open for writing"
        case .writerFailed: "its writer's flush has failed; it has to be opened again"
        }
    }
}
