/// Who waits for durability, who flushes, and what has failed: decided here, acted on by `Committer`.
///
/// One leader flushes for everybody; the next group forms meanwhile. A failure is final.
/// Invariant: at most one leader (`isLed`); every waiter's target lies above `durable`; after a failure nobody waits.
struct CommitQueue {
    typealias WaiterID = UInt64

    enum Request: Equatable {
        case alreadyDurable
        case fail(StopCause)
        /// The caller flushes everything written and reports back with `flushed` or `failed`.
        case lead
        /// The caller waits under this id until it is named in a `Wakeup`.
        case wait(WaiterID)
        /// As `wait`, and somebody else must be asked to lead.
        case waitAndAskForLeader(WaiterID)
    }

    struct Wakeup: Equatable {
        /// Their targets are durable.
        var covered: [WaiterID] = []
        /// One that still waits; a leader is needed for it and those behind it, and counts as found.
        var nextLeader: WaiterID?
    }

    private struct Waiter {
        let id: WaiterID
        let target: LSN
        let canLead: Bool
        /// Its target was written when it asked: a flush has to be found for it, whatever watermark the leader has seen.
        let isWritten: Bool
    }

    private(set) var durable: LSN
    private(set) var failure: StopCause?
    private var isLed = false
    private var waiters: [Waiter] = []
    private var nextID: WaiterID = 1

    init(durable: LSN) { self.durable = durable }

    var waiterCount: Int { waiters.count }

    /// Somebody wants everything below `target` durable; `written` is the watermark now. A target that is not yet written waits for
    /// a flush that others ask for.
    mutating func requestDurability(of target: LSN, written: LSN, canLead: Bool) -> Request {
        if durable >= target { return .alreadyDurable }
        if let failure { return .fail(failure) }
        if target <= written && !isLed {
            isLed = true
            if canLead { return .lead }
            return .waitAndAskForLeader(enqueue(target, written: written, canLead: canLead))
        }
        return .wait(enqueue(target, written: written, canLead: canLead))
    }

    private mutating func enqueue(_ target: LSN, written: LSN, canLead: Bool) -> WaiterID {
        defer { nextID += 1 }
        waiters.append(Waiter(id: nextID, target: target, canLead: canLead, isWritten: target <= written))
        return nextID
    }

    /// The leader has flushed everything below `point`; `written` is a watermark, perhaps one that others have passed. Nil where the log
    /// has stopped meanwhile: everybody has been told, and nothing is acknowledged any more.
    mutating func flushed(upTo point: LSN, written: LSN) -> Wakeup? {
        if failure != nil { return nil }
        precondition(isLed, "a flush was reported by nobody's leader")
        durable = max(durable, point)
        var wakeup = Wakeup()
        wakeup.covered = waiters.filter { $0.target <= durable }.map(\.id)
        waiters.removeAll { $0.target <= durable }
        // One that can flush on its own thread is better than asking the keeper.
        let waiting = waiters.filter { $0.isWritten || $0.target <= written }
        wakeup.nextLeader = (waiting.first { $0.canLead } ?? waiting.first)?.id
        isLed = wakeup.nextLeader != nil
        if let leader = wakeup.nextLeader, waiters.contains(where: { $0.id == leader && $0.canLead }) {
            waiters.removeAll { $0.id == leader }
        }
        return wakeup
    }

    /// Nothing can become durable any more; returns everybody who waits. The first failure stays the cause.
    mutating func fail(_ cause: StopCause) -> [WaiterID] {
        if failure == nil { failure = cause }
        isLed = false
        defer { waiters = [] }
        return waiters.map(\.id)
    }

    /// The waiter does not wait any longer. False when it has been told already.
    mutating func cancel(_ id: WaiterID) -> Bool {
        guard let index = waiters.firstIndex(where: { $0.id == id }) else { return false }
        waiters.remove(at: index)
        return true
    }
}
