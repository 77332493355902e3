public import WAL

/// What went wrong with an archive: what happened, on what, and what to do.
public struct ArchiveError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: Hashable, Sendable {
        /// The store says that nothing is there.
        case notFound
        /// No connection, no reply in time, or a transfer without progress.
        case unreachable
        /// The store answered with a status that says no.
        case refused(status: Int)
        /// 401 or 403; 407 from a proxy.
        case unauthorized(status: Int)
        /// 507, or a full disk.
        case outOfSpace
        /// 413.
        case tooLarge
        /// 408, 409, 423, 425, 429, 500, 502, 503, 504: try again.
        case busy(status: Int)
        /// The store has no such operation.
        case unsupported
        /// Bytes that are not what their checksums say.
        case damaged
        /// The archive holds something else at this position than we do.
        case diverged
        /// Encrypted with a key that was not given.
        case keyMissing
        /// Another writer has a higher epoch, or our claim is no longer ours.
        case fenced
        /// A range that is not there although later ones are, or an end that cannot be proven.
        case gap
        case endUnproven
        /// A document or URL that does not follow the format.
        case invalid
        case cancelled
    }
    /// Whether the store may have done what was asked.
    public enum Outcome: Hashable, Sendable { case notDone, unknown }

    public var code: Code
    public var outcome: Outcome
    /// What happened, in one clause.
    public var message: String
    public var key: ObjectKey?
    public var lsn: LSN?
    /// What to do about it.
    public var hint: String?
    /// Seconds the store asked us to wait.
    public var retryAfter: Int?

    public init(
        _ code: Code, _ message: String, outcome: Outcome = .notDone, key: ObjectKey? = nil, lsn: LSN? = nil,
        hint: String? = nil, retryAfter: Int? = nil
    ) {
        self.code = code
        self.outcome = outcome
        self.message = message
        self.key = key
        self.lsn = lsn
        self.hint = hint
        self.retryAfter = retryAfter
    }

    /// Whether the same request may succeed later without anybody changing anything.
    public var isRetryable: Bool {
        switch code {
        case .unreachable, .busy, .outOfSpace: true
        default: false
        }
    }

    public var description: String {
        var text = message
        if let key { text += " [\(key)]" }
        if let lsn { text += " at LSN \(lsn)" }
        if let hint { text += "; \(hint)" }
        return text
    }
}
