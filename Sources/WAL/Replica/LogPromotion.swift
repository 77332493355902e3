/// Makes a replica a log that can be written: the only thing that does.
///
/// Holds the writer's lock from `begin` to `close`. Until `finish` has written the facts the log is the replica that it was, with bytes past its
/// end at most: a crash at any moment leaves something that can be promoted again. Not for two threads at once.
public final class LogPromotion {
    /// What is to be promoted, as it was found.
    public struct Candidate: Sendable {
        public let logID: LogID
        public let segmentSize: Int
        public let epochs: EpochTable
        /// The first record.
        public let head: LSN
        /// Where the replica ends: the new epoch's start.
        public let end: LSN
        /// False: it is no replica, and nothing is to be done.
        public let isReplica: Bool
    }

    /// An epoch that was claimed, with its number and id.
    public struct ClaimedEpoch: Hashable, Sendable {
        public let number: UInt64
        public let id: EpochID
        public init(number: UInt64, id: EpochID) {
            self.number = number
            self.id = id
        }
    }

    public let candidate: Candidate
    /// The history so far: the replica's, and what `takeIn` added.
    public var epochs: EpochTable { tail.epochs }
    /// Where the log ends so far: what `takeIn` took in is counted.
    public var end: LSN { tail.end }
    /// Where the next applied bytes go: at or past the end.
    public var position: LSN { tail.position }

    private let tail: ReplicaTail
    private let facts: Facts
    /// Nothing is left behind the end of what a crash left there.
    private var isCut = false

    /// Takes the writer's lock of the log in `directory` and, where it is a replica, reads all of it. Blocks its thread for that long.
    ///
    /// Throws `.locked` while somebody writes, and what opening a log throws; then everything is as before.
    public static func begin(directory: String) throws(WALError) -> LogPromotion {
        try begin(directory: directory, fileSystem: LinuxFileSystem(), time: LinuxTimeSource())
    }

    package static func begin(directory: String, fileSystem: any FileSystem, time: any TimeSource) throws(WALError) -> LogPromotion {
        try HeldLog.hold(directory: directory, fileSystem: fileSystem, time: time) { held throws(WALError) in try LogPromotion(held) }
    }

    private init(_ held: HeldLog) throws(WALError) {
        let identity = held.control.identity
        let isReplica = held.found.isCopied || held.found.facts.isReplica
        var facts = held.found.facts
        var end = facts.floor
        if isReplica {
            let result = try held.recover(.toPromote, boot: try held.fileSystem.bootID(), incarnation: .random())
            facts = result.facts
            end = result.end
        }
        candidate = Candidate(
            logID: identity.logID, segmentSize: Int(identity.segmentSize), epochs: held.found.epochs, head: facts.head, end: end,
            isReplica: isReplica)
        self.facts = facts
        tail = ReplicaTail(held, head: facts.head, end: end, epochs: held.found.epochs)
    }

    /// The replica's raw bytes of a range between its head and its end.
    public func bytes(_ range: Range<LSN>) throws(WALError) -> [UInt8] { try tail.bytes(range) }

    /// Writes archived bytes behind the replica's end, in order. They are part of the log after `takeIn`.
    public func apply(_ bytes: [UInt8], at lsn: LSN) throws(WALError) {
        precondition(candidate.isReplica, "only a replica takes in what it has not written")
        // What a torn tail left behind the end must not be read as if it had been applied.
        if !isCut { try tail.cut() }
        isCut = true
        try tail.apply(bytes, at: lsn)
    }

    /// Makes what was applied a part of the log as far as it is whole records and batches, verifying every frame. `inherited` are the epochs after
    /// the current one that the archive tells of, each with its start; those that begin past the applied bytes do not count. Returns the new end.
    @discardableResult
    public func takeIn(_ inherited: [Epoch]) throws(WALError) -> LSN {
        _ = try tail.takeIn(inherited)
        // What is not whole is not applied again by anybody.
        if tail.position > tail.end { try tail.cut() }
        return tail.end
    }

    /// Begins the last of `claimed` at the log's end, after those that others claimed before and never wrote in, so that numbers follow one another.
    /// One write of the facts does it: it raises the floor to the end, takes the directory for its own, and clears the replica flag.
    /// All is durable on return. On an error the replica is as before.
    public func finish(_ claimed: [ClaimedEpoch]) throws(WALError) -> Epoch {
        precondition(candidate.isReplica, "a log that is no replica is not promoted")
        precondition(!claimed.isEmpty, "a promotion begins an epoch")
        precondition(position == end, "what was applied was taken in")
        for claim in claimed { try tail.begin(Epoch(number: claim.number, id: claim.id, start: end)) }
        // The tail becomes a fresh, synced copy: nothing of what was copied or restored is taken for durable unread.
        try tail.cut()
        var facts = facts
        facts.isReplica = false
        _ = try tail.own(facts)
        return epochs.current
    }

    /// Lets go of the log. Nothing else is called afterwards.
    public func close() { tail.close() }
}

extension LogPromotion {
    /// Promotes the log in `directory`: `claim` is given what was found and returns the new epoch, after those that others claimed before and never
    /// wrote in. A log that is no replica is left as it is. Throws as `begin` and `finish`, and what `claim` throws; then the replica is as before.
    public static func promote<E: Error>(
        directory: String, claim: (Candidate) async throws(E) -> [ClaimedEpoch]
    ) async throws -> Epoch {
        try await promote(directory: directory, fileSystem: LinuxFileSystem(), time: LinuxTimeSource(), claim: claim)
    }

    package static func promote<E: Error>(
        directory: String, fileSystem: any FileSystem, time: any TimeSource,
        claim: (Candidate) async throws(E) -> [ClaimedEpoch]
    ) async throws -> Epoch {
        let promotion = try begin(directory: directory, fileSystem: fileSystem, time: time)
        defer { promotion.close() }
        guard promotion.candidate.isReplica else { return promotion.epochs.current }
        return try promotion.finish(try await claim(promotion.candidate))
    }
}
