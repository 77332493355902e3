import Synchronization

/// Group commit: takes `CommitQueue`'s decisions under a lock, flushes outside of it, wakes exactly the covered waiters.
///
/// A flush covers every affected segment in ascending order, never only the last, on descriptors that were opened before the
/// segment's first byte. Any thread.
final class Committer: Sendable {
    private enum Waker {
        case parked(ParkedCommit)
        case continuation(CheckedContinuation<Result<Void, WALError>, Never>)
    }

    private struct State {
        var queue: CommitQueue
        var wakers: [CommitQueue.WaiterID: Waker] = [:]
        /// Asked of the keeper: lead one flush.
        var leaderIsAskedFor = false
        var idleNoteIsDue = false
        var isClosing = false
    }

    private let store: any LogStore
    private let segmentSize: UInt64
    private let active: ActiveSegments
    private let state: Mutex<State>
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

    /// Returns when everything below `target` is durable; flushes on this thread if nobody does. `written` asks for the watermark.
    func waitUntilDurable(_ target: LSN, written: () -> LSN) throws(WALError) {
        if durable >= target { return }
        let parked = ParkedCommit()
        let now = written()
        let request = state.withLock { state in
            let request = state.queue.requestDurability(of: target, written: now, canLead: true)
            if case .wait(let id) = request { state.wakers[id] = .parked(parked) }
            return request
        }
        switch request {
        case .alreadyDurable: return
        case .fail(let cause): throw .stopped(cause: cause)
        case .lead: try lead(written)
        case .wait:
            switch parked.wait() {
            case .durable: return
            case .failed(let error): throw error
            case .lead: try lead(written)
            }
        case .waitAndAskForLeader: preconditionFailure("a thread that can lead is never asked to have another lead")
        }
    }

    /// As above without blocking the cooperative pool: the keeper flushes. Throws `.cancelled` when the task is cancelled.
    func waitUntilDurable(_ target: LSN, written: @Sendable () -> LSN) async throws(WALError) {
        if durable >= target { return }
        let waiter = Mutex<CommitQueue.WaiterID?>(nil)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Result<Void, WALError>, Never>) in
                let now = written()
                let request = state.withLock { state in
                    let request = state.queue.requestDurability(of: target, written: now, canLead: false)
                    switch request {
                    case .wait(let id), .waitAndAskForLeader(let id):
                        state.wakers[id] = .continuation(continuation)
                        waiter.withLock { $0 = id }
                        if case .waitAndAskForLeader = request { state.leaderIsAskedFor = true }
                    default: break
                    }
                    return request
                }
                switch request {
                case .alreadyDurable: continuation.resume(returning: .success(()))
                case .fail(let cause): continuation.resume(returning: .failure(.stopped(cause: cause)))
                case .waitAndAskForLeader: keeperWakeup.unpark()
                case .wait: break
                case .lead: preconditionFailure("an async waiter never leads")
                }
                // The handler may have run before there was anything to cancel.
                if Task.isCancelled { cancel(waiter) }
            }
        } onCancel: {
            cancel(waiter)
        }
        try result.get()
    }

    /// Has the keeper flush what is written up to `target`, if nobody does; returns at once. Whoever cares waits in `durableWaiters`.
    func askForFlush(of target: LSN, written: LSN) {
        let isAsked = state.withLock { state in
            guard case .waitAndAskForLeader = state.queue.requestDurability(of: target, written: written, canLead: false) else { return false }
            state.leaderIsAskedFor = true
            return true
        }
        if isAsked { keeperWakeup.unpark() }
    }

    private func cancel(_ waiter: borrowing Mutex<CommitQueue.WaiterID?>) {
        let id = waiter.withLock { id in
            defer { id = nil }
            return id
        }
        guard let id else { return }
        let waker = state.withLock { state in state.queue.cancel(id) ? state.wakers.removeValue(forKey: id) : nil }
        if case .continuation(let continuation) = waker { continuation.resume(returning: .failure(.cancelled)) }
    }

    // MARK: Flushing

    /// Flushes everything written, tells the store, then the waiters. The caller was chosen as the one leader.
    private func lead(_ written: () -> LSN) throws(WALError) {
        let target = written()
        try betweenFlushes { () throws(WALError) in
            // Somebody else may have met the error that this flush would have met.
            if let cause = stopCause { throw .stopped(cause: cause) }
            let from = durable.rawValue
            for entry in active.entries
            where entry.index * segmentSize < target.rawValue && (entry.index + 1) * segmentSize > from {
                try entry.segment.flush()
            }
            // Other processes may read up to the durable LSN before any waiter has been woken, never the other way round.
            try store.noteDurable(target, written: target)
        }
        let now = written()
        let next = state.withLock { state -> ([Waker], ParkedCommit?, Bool)? in
            guard let wakeup = state.queue.flushed(upTo: target, written: now) else { return nil }
            durableWord.store(target.rawValue, ordering: .releasing)
            let wakers = wakeup.covered.compactMap { state.wakers.removeValue(forKey: $0) }
            var leader: ParkedCommit?
            if let id = wakeup.nextLeader {
                if case .parked(let parked) = state.wakers[id] {
                    state.wakers.removeValue(forKey: id)
                    leader = parked
                } else {
                    state.leaderIsAskedFor = true
                }
            }
            let wakeKeeper = state.leaderIsAskedFor || !state.idleNoteIsDue
            state.idleNoteIsDue = true
            return (wakers, leader, wakeKeeper)
        }
        guard let (wakers, leader, keeperIsNeeded) = next else { throw .stopped(cause: stopCause ?? .closed) }
        // Its group has been waiting: let the next flush begin first.
        leader?.finish(.lead)
        if keeperIsNeeded { keeperWakeup.unpark() }
        for waker in wakers { wake(waker, .success(())) }
        durableWaiters.advance(to: target)
    }

    /// Nothing can become durable any more: tells every waiter, and other processes. Returns the cause, which is that of the first failure.
    @discardableResult
    func fail(_ error: WALError) -> StopCause {
        let cause: StopCause =
            switch error {
            case .stopped(let cause): cause
            case .io(let operation, let path, let errno): .flushFailed(operation: operation, path: path, errno: errno)
            case .noSpace(let path): .flushFailed(operation: "flush", path: path, errno: 28)
            default: .flushFailed(operation: "flush", path: "\(error)", errno: 0)
            }
        let (wakers, final) = state.withLock { state in
            let ids = state.queue.fail(cause)
            return (ids.compactMap { state.wakers.removeValue(forKey: $0) }, state.queue.failure ?? cause)
        }
        if case .flushFailed = final { store.noteStopped() }
        stopHandler.withLock { $0 }?()
        for waker in wakers { wake(waker, .failure(.stopped(cause: final))) }
        durableWaiters.end(.stopped(cause: final))
        return final
    }

    /// The log was closed: whoever still waits for records to come is told.
    func refuse(_ cause: StopCause) {
        let wakers = state.withLock { state in
            state.queue.fail(cause).compactMap { state.wakers.removeValue(forKey: $0) }
        }
        for waker in wakers { wake(waker, .failure(.stopped(cause: cause))) }
        durableWaiters.end(.stopped(cause: cause))
    }

    private func wake(_ waker: Waker, _ result: Result<Void, WALError>) {
        switch waker {
        case .continuation(let continuation): continuation.resume(returning: result)
        case .parked(let parked):
            switch result {
            case .success: parked.finish(.durable)
            case .failure(let error): parked.finish(.failed(error))
            }
        }
    }

    // MARK: The keeper's thread

    /// Leads flushes for async waiters and makes lazily kept notes durable when the log goes idle. Returns after `stopKeeper`.
    func runKeeper(_ written: () -> LSN) {
        var seen = durable
        while true {
            let (shouldLead, noteIsDue, isClosing) = state.withLock { state in
                defer { state.leaderIsAskedFor = false }
                return (state.leaderIsAskedFor, state.idleNoteIsDue, state.isClosing)
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

/// One thread that waits for a flush, and what it is told.
final class ParkedCommit: Sendable {
    enum Outcome: Sendable {
        case durable
        case failed(WALError)
        /// The one who waited becomes the leader.
        case lead
    }

    private let outcome = Mutex<Outcome?>(nil)
    private let parker = Parker()

    func finish(_ outcome: Outcome) {
        self.outcome.withLock { $0 = outcome }
        parker.unpark()
    }

    func wait() -> Outcome {
        parker.park()
        guard let outcome = outcome.withLock({ $0 }) else { preconditionFailure("woken without being told why") }
        return outcome
    }
}
