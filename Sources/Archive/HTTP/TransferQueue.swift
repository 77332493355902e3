/// Which transfers run and which wait: at most `limit` in flight, the rest in order of arrival, none past its deadline.
///
/// A value without clock or lock; the engine asks it what to do next. Invariant: an id is waiting, in flight or unknown,
/// never two of them.
struct TransferQueue: Sendable {
    typealias ID = UInt64

    enum Step: Hashable, Sendable {
        /// Room was free: the transfer counts as in flight from now on.
        case start(ID)
        /// Its deadline passed while it waited: it is forgotten.
        case expire(ID)
    }

    let limit: Int
    private var waiting: [(id: ID, deadline: ContinuousClock.Instant)] = []
    private(set) var inFlight: Set<ID> = []

    init(limit: Int) {
        precondition(limit > 0, "a queue that starts nothing")
        self.limit = limit
    }

    var hasWaiting: Bool { !waiting.isEmpty }
    var isEmpty: Bool { waiting.isEmpty && inFlight.isEmpty }

    mutating func submit(_ id: ID, deadline: ContinuousClock.Instant) {
        precondition(!inFlight.contains(id), "transfer \(id) is in flight already")
        precondition(!waiting.contains { $0.id == id }, "transfer \(id) is waiting already")
        waiting.append((id, deadline))
    }

    /// What to do now; nil when nothing is. Asked again until it is nil.
    mutating func next(now: ContinuousClock.Instant) -> Step? {
        if let index = waiting.firstIndex(where: { $0.deadline <= now }) {
            return .expire(waiting.remove(at: index).id)
        }
        guard inFlight.count < limit, !waiting.isEmpty else { return nil }
        let id = waiting.removeFirst().id
        inFlight.insert(id)
        return .start(id)
    }

    /// The transfer has ended, or shall. Returns whether it was in flight, so that the owner has a handle to end; nothing happens for
    /// an id that is unknown, because an ending and a cancellation cross each other.
    mutating func remove(_ id: ID) -> Bool {
        if inFlight.remove(id) != nil { return true }
        waiting.removeAll { $0.id == id }
        return false
    }
}
