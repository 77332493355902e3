import WAL

/// What to do about what waits for one destination: a value that is told how much that is, and decides. `BacklogWatch` does what it says.
///
/// The backlog is what is durable and not below the checkpoint. It is over its limit from the first byte past it until it is a segment below: closed
/// segments alone can bring it there, so a log whose appends wait can always be shipped to where they go on. Invariants, tested over all small
/// cases: without a limit nothing happens; what is given up ends at a boundary of segments, leaves the newest closed segment, and is no more than
/// brings the backlog to the limit.
struct BacklogPlan: Sendable {
    let segmentSize: UInt64
    let policy: BacklogPolicy
    /// Bytes; at least two segments. Nil: no limit.
    let limit: UInt64?
    private(set) var isOver = false

    init(segmentSize: UInt64, policy: BacklogPolicy, limit: UInt64?) {
        precondition(limit.map { $0 >= BacklogPlan.limitMin(segmentSize: segmentSize) } ?? true, "a limit of \(limit ?? 0) bytes")
        self.segmentSize = segmentSize
        self.policy = policy
        self.limit = limit
    }

    /// The open segment and one that is being shipped: below that there would never be an end to it.
    static func limitMin(segmentSize: UInt64) -> UInt64 { 2 * segmentSize }

    struct Decision: Hashable, Sendable {
        /// The limit was passed, or is kept again, since the last look.
        var change: Change?
        /// Appends are to wait.
        var blocks = false
        /// What is not archived below this LSN is to be given up.
        var giveUpTo: LSN?

        enum Change: Hashable, Sendable { case over, under }
    }

    static func bytes(durable: LSN, checkpoint: LSN) -> UInt64 { durable > checkpoint ? durable.distance(from: checkpoint) : 0 }

    mutating func look(durable: LSN, checkpoint: LSN) -> Decision {
        var decision = Decision()
        guard let limit else { return decision }
        let backlog = BacklogPlan.bytes(durable: durable, checkpoint: checkpoint)
        if backlog > limit, !isOver {
            isOver = true
            decision.change = .over
        } else if backlog <= limit - segmentSize, isOver {
            isOver = false
            decision.change = .under
        }
        switch policy {
        case .keep: break
        case .block: decision.blocks = isOver
        case .drop: decision.giveUpTo = giveUpEnd(durable: durable, checkpoint: checkpoint)
        }
        return decision
    }

    /// The lowest boundary of segments from which on the backlog keeps to the limit; nil where it does anyway.
    func giveUpEnd(durable: LSN, checkpoint: LSN) -> LSN? {
        guard let limit, BacklogPlan.bytes(durable: durable, checkpoint: checkpoint) > limit else { return nil }
        let excess = durable.rawValue - limit
        let end = LSN((excess + segmentSize - 1) / segmentSize * segmentSize)
        let closedEnd = durable.rawValue / segmentSize * segmentSize
        precondition(end > checkpoint, "nothing is given up")
        precondition(end.rawValue + segmentSize <= closedEnd, "the newest closed segment is given up")
        return end
    }

    /// Whether to look often: at half the limit, what is written between two looks begins to matter.
    func isNear(durable: LSN, checkpoint: LSN) -> Bool {
        guard let limit, policy != .keep else { return false }
        return BacklogPlan.bytes(durable: durable, checkpoint: checkpoint) > limit / 2
    }
}
