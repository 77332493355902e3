/// Who waits for durability, who flushes, and what has failed: decided here, acted on by `Committer`.
///
/// Waiters form groups. One leader flushes for a whole group, everything that is written when it begins; the next group forms meanwhile. A
/// waiter belongs to the group of the flush that covers it: to the one under way only if that reaches its target, so nobody waits for two
/// flushes where one would do. Threads are counted, not listed: those of a group are told together. A failure is final.
///
/// Invariant: where somebody waits in the current group, a leader is asked for, chosen or flushing; the next group has members only during a
/// flush; after a failure nobody waits.
struct CommitQueue {
    typealias WaiterID = UInt64
    /// Groups are numbered from 1, and end in this order.
    typealias Group = UInt64

    /// What a thread does that wants its records durable.
    enum Request: Equatable {
        case alreadyDurable
        case fail(StopCause)
        /// It flushes: `began`, then `flushed`.
        case lead
        /// It waits until this group is over, or until it is asked to lead it.
        case wait(Group)
    }

    /// What happens to one who can only be told.
    enum AsyncRequest: Equatable {
        case alreadyDurable
        case fail(StopCause)
        /// It waits under this id until it is named in a `Wakeup`.
        case wait(WaiterID)
        /// As `wait`, and the keeper must be asked to lead.
        case waitAndAskKeeper(WaiterID)
    }

    struct Wakeup: Equatable {
        /// It is over; whether threads wait in it.
        var group: Group
        var hasThreads: Bool
        /// Others whose targets are durable.
        var covered: [WaiterID] = []
        var next: NextLeader?
    }

    /// Who is to be asked to lead the next group.
    enum NextLeader: Equatable {
        /// One of its threads.
        case threadOf(Group)
        case keeper
    }

    private enum Leader: Equatable {
        case none
        /// Somebody has been asked; whoever comes first leads.
        case asked
        case chosen
        case flushing(upTo: LSN)
    }

    private struct Waiter {
        let id: WaiterID
        let target: LSN
        /// Nil: it waits for records that are yet to be appended, and for a flush that others ask for.
        let group: Group?
        /// The log was cut off below its target since: the next flush tells it.
        var isCutOff = false
    }

    private(set) var durable: LSN
    private(set) var failure: StopCause?
    private var leader = Leader.none
    /// The group that is being flushed, or will be next.
    private var current: Group = 1
    private var currentThreads = 0
    private var nextThreads = 0
    private var waiters: [Waiter] = []
    private var nextID: WaiterID = 1

    init(durable: LSN) { self.durable = durable }

    var waiterCount: Int { waiters.count + currentThreads + nextThreads }

    /// A thread wants everything below `target` durable, which is written.
    mutating func requestDurability(of target: LSN) -> Request {
        if durable >= target { return .alreadyDurable }
        if let failure { return .fail(failure) }
        // One that runs is faster than one that has to be woken.
        if leader == .none || leader == .asked {
            leader = .chosen
            return .lead
        }
        let group = group(of: target)
        if group == current { currentThreads += 1 } else { nextThreads += 1 }
        return .wait(group)
    }

    /// The same for one who cannot lead. Where `target` lies above `written`, a watermark, it waits for a flush that others ask for.
    mutating func requestNotice(of target: LSN, written: LSN) -> AsyncRequest {
        if durable >= target { return .alreadyDurable }
        if let failure { return .fail(failure) }
        let id = nextID
        nextID += 1
        waiters.append(Waiter(id: id, target: target, group: target <= written ? group(of: target) : nil))
        guard target <= written, leader == .none else { return .wait(id) }
        leader = .asked
        return .waitAndAskKeeper(id)
    }

    private func group(of target: LSN) -> Group {
        if case .flushing(let point) = leader, target > point { current + 1 } else { current }
    }

    /// One who was asked to lead `group` (the keeper: whichever is next) is ready to. False where somebody else was faster.
    mutating func takeLead(of group: Group?) -> Bool {
        guard leader == .asked, group == nil || group == current else { return false }
        if group != nil { currentThreads -= 1 }
        leader = .chosen
        return true
    }

    /// The chosen leader begins to flush everything below `written`, the watermark now: returns it. Nil where the log has stopped meanwhile.
    mutating func began(written: LSN) -> LSN? {
        if failure != nil { return nil }
        precondition(leader == .chosen, "a flush was begun by nobody's leader")
        let point = max(written, durable)
        leader = .flushing(upTo: point)
        return point
    }

    /// The leader has flushed. Nil where the log has stopped meanwhile: everybody has been told, and nothing is acknowledged any more.
    mutating func flushed() -> Wakeup? {
        if failure != nil { return nil }
        guard case .flushing(let point) = leader else { preconditionFailure("a flush was reported by nobody's leader") }
        durable = max(durable, point)
        var wakeup = Wakeup(group: current, hasThreads: currentThreads > 0)
        if !waiters.isEmpty {
            let (group, durable) = (current, durable)
            let isOver = { (waiter: Waiter) in waiter.group == group || waiter.target <= durable || waiter.isCutOff }
            wakeup.covered = waiters.filter(isOver).map(\.id)
            waiters.removeAll(where: isOver)
        }
        current += 1
        currentThreads = nextThreads
        nextThreads = 0
        if currentThreads > 0 {
            wakeup.next = .threadOf(current)
        } else if waiters.contains(where: { $0.group != nil }) {
            wakeup.next = .keeper
        }
        leader = wakeup.next == nil ? .none : .asked
        return wakeup
    }

    /// The log has been cut at `end`, between two flushes. Who waits for what lay above, or was to come there, goes on waiting for the next flush:
    /// nothing that it could lose is left.
    mutating func cut(at end: LSN) {
        if case .flushing = leader { preconditionFailure("the log was cut during a flush") }
        durable = min(durable, end)
        for index in waiters.indices where waiters[index].target > end { waiters[index].isCutOff = true }
    }

    /// Nothing can become durable any more; returns everybody who waits under an id: threads are all told. The first failure stays the cause.
    mutating func fail(_ cause: StopCause) -> [WaiterID] {
        if failure == nil { failure = cause }
        leader = .none
        currentThreads = 0
        nextThreads = 0
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
