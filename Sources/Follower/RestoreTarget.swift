import Archive
public import WAL

/// How far to restore.
public enum RestoreTarget: Hashable, Sendable {
    /// All that is archived without a gap.
    case everything
    /// The records whose LSN is at or below this one, and of batches only those that end there. The record at this LSN is included.
    case through(LSN)
    /// The records, and batches, that end at or below this LSN.
    case before(LSN)
    /// What was durable at this time: nanoseconds since 1970-01-01 UTC, by the clock of the machine that wrote the log, which notes one time a second.
    case time(UInt64)

    /// Whether nothing behind an object is needed whose range ends at `end` and in which these records begin: one of them is too late, or everything
    /// behind is. Nil: it depends on the records.
    func isReached(end: LSN, facts: RestorePlan.Facts?) -> Bool? {
        switch self {
        case .everything, .time: false
        case .before(let limit): end >= limit
        case .through(let lsn):
            // The record at `lsn` begins here or before, and where it ends is known when another one has begun.
            // One past the end does not count: it is of the part of the object that another epoch has taken over.
            end <= lsn ? false : facts.map { $0.records.map { $0.last > lsn && $0.last < end } ?? false }
        }
    }
}
