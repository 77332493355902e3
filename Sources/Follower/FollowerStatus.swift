public import WAL

/// How a follower stands. A value: a picture of a moment.
public struct FollowerStatus: Hashable, Sendable {
    public enum State: String, Hashable, Sendable, CaseIterable {
        /// Opening the replica and the archive, comparing them.
        case opening
        /// Making the replica, which was not there.
        case restoring
        /// Reading on, or looking for what comes next.
        case following
        /// An epoch is claimed and has not begun: what is read is not applied before it is known whether it belongs to the line.
        case holding
        /// Storage cannot be reached, or says that it cannot now: tried again for as long as it takes.
        case unreachable
        /// No space for the replica: tried again for as long as it takes.
        case full
        /// Ended, as asked.
        case ended
        /// An error that does not pass by itself has ended it: see `lastError`.
        case stopped
    }

    /// The archive, without credentials.
    public var url: String
    public var state = State.opening
    /// What has gone wrong last; nil once it has gone right again.
    public var lastError: String?
    /// Everything below is applied: durable and readable in a replica, handed over to a consumer.
    public var applied: LSN = .zero
    /// The number of the epoch whose objects are read; nil before that is known.
    public var epoch: UInt64?
    /// How far the primary is known to be durable, or the archive known to reach: a lower bound.
    public var known: LSN = .zero
    /// When the primary was durable up to what is applied, in nanoseconds since 1970-01-01 UTC by its clock; nil where nothing tells.
    public var asOf: UInt64?
    /// When an answer of the storage last showed that nothing more than what is applied was to be had there, or brought more, in nanoseconds since 1970 by the clock here.
    public var seen: UInt64?
    /// Objects and bytes of log that were applied since the start.
    public var objects: UInt64 = 0
    public var bytes: UInt64 = 0
    /// Looks and other requests that brought nothing count, too.
    public var looks: UInt64 = 0

    public init(url: String) { self.url = url }

    /// Bytes that are known to be durable at the primary and are not applied.
    public var lagBytes: UInt64 { known > applied ? known.distance(from: applied) : 0 }

    /// For how long what is applied has not been all there was, at `now` (nanoseconds since 1970): 0 while it follows and nothing more is known, nil where nothing tells.
    /// Where storage cannot be asked, or nothing is applied, all that has gone by since counts: nobody knows what the primary wrote meanwhile.
    public func lagSeconds(now: UInt64) -> Double? {
        if lagBytes == 0, state == .following { return 0 }
        let since = lagBytes == 0 ? seen : asOf ?? seen
        return since.map { Double(now - min(now, $0)) / 1e9 }
    }
}
