import Synchronization

/// Group commit: takes `CommitQueue`'s decisions under a lock, flushes outside of it, wakes exactly the covered waiters.
///
/// A flush covers every affected segment in ascending order, never only the last, on descriptors that were opened before the
/// segment's first byte. Any thread.
final class Committer: Sendable {
    private typealias Continuation = CheckedContinuation<Result<Void, WALError>, Never>

    private struct State {
        var queue: CommitQueue
        var continuations: [CommitQueue.WaiterID: Continuation] = [:]
        /// Asked of the keeper: lead one flush.
        var leaderIsAskedFor = false
        var idleNoteIsDue = false
        var isClosing = false
    }

    private let store: any LogStore
    private let segmentSize: UInt64
    private let active: ActiveSegments
    private let state: Mutex<State>
    /// Where threads wait.
    private let gate = GroupGate()
    private let durableWord: Atomic<UInt64>
    /// Held while segments are flushed and while they are let go, so that neither happens to the other. A failure is made known before it
    /// is let go: the kernel reports a lost write once, and whoever flushes next would hear that all is well.
    private let flushing = Mutex(())
    /// Run once the log has failed: no further append.
    private let stopHandler = Mutex<(@Sendable () -> Void)?>(nil)
    /// The keeper sleeps here.
    private let keeperWakeup = Parker()
    /// Those who wait for others' flushes: followers, and waits for records that are still to come.
    let durableWaiters: PositionWaiters

    init(store: any LogStore, durable: LSN, segmentSize: UInt64, active: ActiveSegments) {
        self.store = store
        self.segmentSize = segmentSize
        self.active = active
        durableWord = Atomic(durable.rawValue)
        durableWaiters = PositionWaiters(at: durable)
        state = Mutex(State(queue: CommitQueue(durable: durable)))
    }

    /// Everything below is on stable storage.
    var durable: LSN { LSN(durableWord.load(ordering: .acquiring)) }

    /// Why nothing can become durable any more, once that is so.
    var stopCause: StopCause? { state.withLock { $0.queue.failure } }

    /// Has `handler` run after a failure.
    func onStop(_ handler: @escaping @Sendable () -> Void) { stopHandler.withLock { $0 = handler } }

    /// Runs `body` while no segment is being flushed. An error is final for the log, before the next flush can begin.
    func betweenFlushes(_ body: () throws(WALError) -> Void) throws(WALError) {
        let cause = flushing.withLock { _ -> StopCause? in
            do throws(WALError) { try body() } catch { return fail(error) }
            return nil
        }
        if let cause { throw .stopped(cause: cause) }
    }

    // MARK: Waiting

    /// Returns when everything below `target`, which is written, is durable; flushes on this thread if nobody does. `written` asks for the
    /// watermark. Allocates nothing.
    func waitUntilDurable(_ target: LSN, written: () -> LSN) throws(WALError) {
        if durable >= target { return }
        switch state.withLock({ $0.queue.requestDurability(of: target) }) {
        case .alreadyDurable: return
        case .fail(let cause): throw .stopped(cause: cause)
        case .lead: try lead(written)
        case .wait(let group):
            var outcome = gate.wait(group, mayLead: true)
            if case .asked = outcome {
                if state.withLock({ $0.queue.takeLead(of: group) }) { return try lead(written) }
                outcome = gate.wait(group, mayLead: false)
            }
            if case .failed = outcome { throw .stopped(cause: stopCause ?? .closed) }
        }
    }

    /// As above without blocking the cooperative pool: the keeper flushes. Throws `.cancelled` when the task is cancelled.
    /// `isLost` says that the target was cut off since it was chosen, or is being cut off: then this returns at once, and the caller looks into it.
    func waitUntilDurable(
        _ target: LSN, isLost: @Sendable () -> Bool = { false }, written: @Sendable () -> LSN
    ) async throws(WALError) {
        if durable >= target { return }
        let waiter = Mutex<CommitQueue.WaiterID?>(nil)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: Continuation) in
                let now = written()
                let request = state.withLock { state -> CommitQueue.AsyncRequest? in
                    // Under the lock: who asked before a cut is told at the next flush, who asks after it might wait for ever.
                    if isLost() { return nil }
                    let request = state.queue.requestNotice(of: target, written: now)
                    switch request {
                    case .wait(let id), .waitAndAskKeeper(let id):
                        state.continuations[id] = continuation
                        waiter.withLock { $0 = id }
                        if case .waitAndAskKeeper = request { state.leaderIsAskedFor = true }
                    default: break
                    }
                    return request
                }
                switch request {
                case nil, .alreadyDurable: continuation.resume(returning: .success(()))
                case .fail(let cause): continuation.resume(returning: .failure(.stopped(cause: cause)))
                case .waitAndAskKeeper: keeperWakeup.unpark()
                case .wait: break
                }
                // The handler may have run before there was anything to cancel.
                if Task.isCancelled { cancel(waiter) }
            }
        } onCancel: {
            cancel(waiter)
        }
        try result.get()
    }

    /// Has the keeper see that `target`, which is written, is flushed; whoever asks waits in `durableWaiters`, and takes the request back.
    func askForFlush(of target: LSN, written: LSN) -> CommitQueue.WaiterID? {
        let request = state.withLock { state in
            let request = state.queue.requestNotice(of: target, written: written)
            if case .waitAndAskKeeper = request { state.leaderIsAskedFor = true }
            return request
        }
        switch request {
        case .wait(let id): return id
        case .waitAndAskKeeper(let id):
            keeperWakeup.unpark()
            return id
        case .alreadyDurable, .fail: return nil
        }
    }

    func withdraw(_ request: CommitQueue.WaiterID?) {
        if let request { _ = state.withLock { $0.queue.cancel(request) } }
    }

    private func cancel(_ waiter: borrowing Mutex<CommitQueue.WaiterID?>) {
        let id = waiter.withLock { id in
            defer { id = nil }
            return id
        }
        guard let id else { return }
        let continuation = state.withLock { state in state.queue.cancel(id) ? state.continuations.removeValue(forKey: id) : nil }
        continuation?.resume(returning: .failure(.cancelled))
    }

    // MARK: Flushing

    /// What is left to do for a leader whose flush is known: nobody needs to wait for that.
    private struct Telling {
        let wakeup: CommitQueue.Wakeup
        let continuations: [Continuation]
        let keeperIsNeeded: Bool
    }

    /// Flushes everything written, tells the store, then the waiters. The caller was chosen as the one leader.
    private func lead(_ written: () -> LSN) throws(WALError) {
        var telling: Telling?
        try betweenFlushes { () throws(WALError) in
            // Under the lock, so that whoever asked before, for what was written then, is covered. Nil: somebody else may have met the error that this
            // flush would have met.
            guard let target = state.withLock({ $0.queue.began(written: written()) }) else { throw .stopped(cause: stopCause ?? .closed) }
            let from = durable.rawValue
            for entry in active.entries
            where entry.index * segmentSize < target.rawValue && (entry.index + 1) * segmentSize > from {
                try entry.segment.flush()
            }
            // Other processes may read up to the durable LSN before any waiter has been woken, never the other way round.
            try store.noteDurable(target, written: target)
            telling = state.withLock { finish(target, &$0) }
        }
        guard let telling else { throw .stopped(cause: stopCause ?? .closed) }
        // The next group has been waiting: let its flush begin first.
        if case .threadOf(let group) = telling.wakeup.next { gate.ask(group) }
        if telling.keeperIsNeeded { keeperWakeup.unpark() }
        if telling.wakeup.hasThreads { gate.end(telling.wakeup.group) }
        for continuation in telling.continuations { continuation.resume(returning: .success(())) }
        durableWaiters.advance { durable }
    }

    private func finish(_ target: LSN, _ state: inout State) -> Telling? {
        guard let wakeup = state.queue.flushed() else { return nil }
        durableWord.store(target.rawValue, ordering: .releasing)
        if wakeup.next == .keeper { state.leaderIsAskedFor = true }
        // The keeper is awake, or wakes by itself, while an idle note is due.
        let keeperIsNeeded = state.leaderIsAskedFor || !state.idleNoteIsDue
        state.idleNoteIsDue = true
        let continuations = wakeup.covered.compactMap { state.continuations.removeValue(forKey: $0) }
        return Telling(wakeup: wakeup, continuations: continuations, keeperIsNeeded: keeperIsNeeded)
    }

    /// The log has been cut at `end`: nothing above counts as durable any more. Called inside `betweenFlushes`, with the tail frozen.
    func cut(at end: LSN) {
        state.withLock { state in
            state.queue.cut(at: end)
            durableWord.store(state.queue.durable.rawValue, ordering: .releasing)
        }
        durableWaiters.cut(at: end)
    }

    /// Nothing can become durable any more: tells every waiter, and other processes. Returns the cause, which is that of the first failure.
    @discardableResult
    func fail(_ error: WALError) -> StopCause {
        let cause = StopCause(error)
        let (continuations, final) = state.withLock { Committer.stop(&$0, cause) }
        if case .flushFailed = final { store.noteStopped() }
        stopHandler.withLock { $0 }?()
        // Whoever is told finds the log stopped.
        gate.fail()
        for continuation in continuations { continuation.resume(returning: .failure(.stopped(cause: final))) }
        durableWaiters.end(.stopped(cause: final))
        return final
    }

    /// The log was closed: whoever still waits for records to come is told.
    func refuse(_ cause: StopCause) {
        let (continuations, final) = state.withLock { Committer.stop(&$0, cause) }
        gate.fail()
        for continuation in continuations { continuation.resume(returning: .failure(.stopped(cause: final))) }
        durableWaiters.end(.stopped(cause: final))
    }

    /// Returns who is to be told, and the cause, which is that of the first failure.
    private static func stop(_ state: inout State, _ cause: StopCause) -> ([Continuation], StopCause) {
        let ids = state.queue.fail(cause)
        return (ids.compactMap { state.continuations.removeValue(forKey: $0) }, state.queue.failure ?? cause)
    }

    // MARK: The keeper's thread

    /// Leads flushes for async waiters and makes lazily kept notes durable when the log goes idle. Returns after `stopKeeper`.
    func runKeeper(_ written: () -> LSN) {
        var seen = durable
        while true {
            let (shouldLead, noteIsDue, isClosing) = state.withLock { state in
                defer { state.leaderIsAskedFor = false }
                // A thread that came meanwhile may lead already.
                return (state.leaderIsAskedFor && state.queue.takeLead(of: nil), state.idleNoteIsDue, state.isClosing)
            }
            if shouldLead {
                // Waiters hear of an error through `fail`.
                do throws(WALError) { try lead(written) } catch { continue }
                continue
            }
            if isClosing { return }
            guard noteIsDue else {
                keeperWakeup.park()
                continue
            }
            if keeperWakeup.park(nanoseconds: LogLimits.durableCellInterval) { continue }
            guard durable == seen else {
                seen = durable
                continue
            }
            state.withLock { $0.idleNoteIsDue = false }
            // Waiters hear of an error through `fail`.
            try? betweenFlushes { () throws(WALError) in
                if stopCause == nil { try store.noteIdle() }
            }
        }
    }

    func stopKeeper() {
        state.withLock { $0.isClosing = true }
        keeperWakeup.unpark()
    }
}
