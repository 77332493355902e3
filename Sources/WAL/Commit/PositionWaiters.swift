import Synchronization

/// Threads and tasks that wait for a position of the log to be passed, without asking for it to happen: whoever moves the position wakes
/// those that it covers.
///
/// The position is kept and looked at under one lock: no wake-up is lost. Any thread.
final class PositionWaiters: Sendable {
    private enum Waker {
        case parked(Parker)
        case continuation(CheckedContinuation<Outcome, Never>)
    }

    enum Outcome: Sendable {
        case passed
        case cancelled
        /// The log was cut off below the target since this was chosen.
        case cut
        /// Nothing moves the position any more, or nobody is there to do so.
        case ended(WALError)
    }

    private struct Waiter {
        let target: LSN
        /// Ended when the log's writer is gone, which another may follow.
        let endsWithWriter: Bool
        let waker: Waker
    }

    private struct State {
        var position: LSN
        var waiters: [UInt64: Waiter] = [:]
        var outcomes: [UInt64: Outcome] = [:]
        var nextID: UInt64 = 0
        var end: WALError?
    }

    private let state: Mutex<State>

    init(at position: LSN) { state = Mutex(State(position: position)) }

    var count: Int { state.withLock { $0.waiters.count } }

    /// Why nobody waits any more, once that is so.
    var end: WALError? { state.withLock { $0.end } }

    // MARK: Waiting

    /// Returns when the position is at or past `target`; nil when `nanoseconds` have passed before. `begun` is called once this waits, `isLost`
    /// under the lock: who asks after a cut might otherwise wait for ever.
    func wait(
        for target: LSN, nanoseconds: UInt64?, endsWithWriter: Bool = true, isLost: () -> Bool = { false }, begun: () -> Void = {}
    ) -> Outcome? {
        let parker = Parker()
        let (id, already) = add(target, endsWithWriter, isLost, .parked(parker))
        if let already { return already }
        begun()
        if let nanoseconds { _ = parker.park(nanoseconds: nanoseconds) } else { parker.park() }
        return state.withLock { state in
            state.waiters[id] = nil
            return state.outcomes.removeValue(forKey: id)
        }
    }

    /// As above without holding a thread; ends with `.cancelled` when the task is cancelled.
    func wait(
        for target: LSN, endsWithWriter: Bool = true, isLost: @Sendable () -> Bool = { false }, begun: @Sendable () -> Void = {}
    ) async -> Outcome {
        let mine = Mutex<UInt64?>(nil)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let (id, already) = add(target, endsWithWriter, isLost, .continuation(continuation))
                if let already { return continuation.resume(returning: already) }
                mine.withLock { $0 = id }
                begun()
                // The handler may have run before there was anything to cancel.
                if Task.isCancelled { cancel(id) }
            }
        } onCancel: {
            if let id = mine.withLock({ $0 }) { cancel(id) }
        }
    }

    private func add(_ target: LSN, _ endsWithWriter: Bool, _ isLost: () -> Bool, _ waker: Waker) -> (UInt64, Outcome?) {
        state.withLock { state in
            if isLost() { return (0, .cut) }
            if state.position >= target { return (0, .passed) }
            if let end = state.end { return (0, .ended(end)) }
            state.nextID += 1
            state.waiters[state.nextID] = Waiter(target: target, endsWithWriter: endsWithWriter, waker: waker)
            return (state.nextID, nil)
        }
    }

    private func cancel(_ id: UInt64) { finish(.cancelled) { number, _ in number == id } }

    // MARK: Waking

    /// The position has moved: wakes those that it covers. Asked for under the lock, so that what was asked for last is what is kept.
    func advance(to position: () -> LSN) {
        let position = state.withLock { state in
            state.position = position()
            return state.position
        }
        finish(.passed) { _, waiter in waiter.target <= position }
    }

    /// The position has gone back to `end`: tells those who wait for what lies above.
    func cut(at end: LSN) {
        state.withLock { $0.position = min($0.position, end) }
        finish(.cut) { _, waiter in waiter.target > end }
    }

    /// Tells everybody that nothing comes any more; those who come later are told at once.
    func end(_ error: WALError) {
        state.withLock { if $0.end == nil { $0.end = error } }
        finish(.ended(error)) { _, _ in true }
    }

    /// Tells those who wait for a writer that is gone.
    func endThoseWithWriter(_ error: WALError) { finish(.ended(error)) { _, waiter in waiter.endsWithWriter } }

    private func finish(_ outcome: Outcome, where isMeant: (UInt64, Waiter) -> Bool) {
        let wakers = state.withLock { state -> [Waker] in
            guard !state.waiters.isEmpty else { return [] }
            var wakers: [Waker] = []
            for (id, waiter) in state.waiters where isMeant(id, waiter) {
                wakers.append(waiter.waker)
                if case .parked = waiter.waker { state.outcomes[id] = outcome }
                state.waiters[id] = nil
            }
            return wakers
        }
        for waker in wakers {
            switch waker {
            case .parked(let parker): parker.unpark()
            case .continuation(let continuation): continuation.resume(returning: outcome)
            }
        }
    }
}

extension PositionWaiters.Outcome {
    /// Throws unless the position was passed.
    func get() throws(WALError) {
        switch self {
        case .passed: return
        case .ended(let error): throw error
        case .cancelled: throw .cancelled
        case .cut: throw .positionLost(head: .zero)
        }
    }
}

extension Duration {
    /// Nanoseconds, none for a negative duration, at most some 290 years.
    var nanosecondsClamped: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        guard seconds < Int64.max / 1_000_000_000 - 1 else { return UInt64(Int64.max) }
        return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }
}
