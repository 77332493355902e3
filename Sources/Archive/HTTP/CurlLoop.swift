internal import CCurl
internal import Glibc
internal import Synchronization

/// The thread side of `CurlEngine`: what is shared with callers lies behind one lock, what libcurl hands out stays on the thread.
///
/// The multi handle exists while the thread runs. Other threads use it for curl_multi_wakeup(3) only, which libcurl documents as
/// safe from any thread, and only with the lock held, so never after it was freed. Continuations are resumed without the lock.
final class CurlLoop: Sendable {
    typealias Completion = CheckedContinuation<Result<HTTPResponse, ArchiveError>, Never>

    private enum Phase { case idle, running, stopping, stopped }

    private struct Pending {
        let transfer: CurlTransfer
        let completion: Completion
    }

    @safe private struct State {
        var phase = Phase.idle
        var queue: TransferQueue
        var pending: [UInt64: Pending] = [:]
        /// Cancelled since the thread last looked.
        var cancelled: [UInt64] = []
        var stopWaiters: [@Sendable () -> Void] = []
        // SAFETY: valid while phase is running or stopping; freed by the thread with the lock held.
        var multi: UnsafeMutableRawPointer?
    }

    private let state: Mutex<State>
    /// Nil: bodies go out as fast as they can.
    let pace: SendPace?

    init(transfersMax: Int, pace: SendPace? = nil) {
        self.pace = pace
        state = unsafe Mutex(State(queue: TransferQueue(limit: transfersMax)))
    }

    // MARK: From any thread

    func submit(_ transfer: CurlTransfer, _ completion: Completion) {
        let refusal: ArchiveError? = state.withLock { state in
            if transfer.isCancelled { return transfer.error(.cancelled, "cancelled before it began") }
            switch state.phase {
            case .stopping, .stopped:
                return transfer.error(.cancelled, "the HTTP client was shut down")
            case .idle:
                if let failure = start(&state) { return transfer.error(.unreachable, failure) }
            case .running: break
            }
            state.queue.submit(transfer.id, deadline: transfer.deadline)
            state.pending[transfer.id] = Pending(transfer: transfer, completion: completion)
            wake(state)
            return nil
        }
        if let refusal { completion.resume(returning: .failure(refusal)) }
    }

    func cancel(_ transfer: CurlTransfer) {
        state.withLock { state in
            // The mark is for a cancellation that comes before its submission; both hold the lock.
            transfer.isCancelled = true
            guard state.pending[transfer.id] != nil else { return }
            state.cancelled.append(transfer.id)
            wake(state)
        }
    }

    func requestStop(_ whenStopped: (@Sendable () -> Void)? = nil) {
        let stopped = state.withLock { state in
            switch state.phase {
            case .idle: state.phase = .stopped
            case .running:
                state.phase = .stopping
                wake(state)
            case .stopping, .stopped: break
            }
            if state.phase == .stopping, let whenStopped { state.stopWaiters.append(whenStopped) }
            return state.phase == .stopped
        }
        if stopped { whenStopped?() }
    }

    private func wake(_ state: borrowing State) {
        guard let multi = unsafe state.multi else { return }
        // Its only error is a handle that is none.
        _ = unsafe curl_multi_wakeup(multi)
    }

    /// Makes the multi handle and the thread; returns what went wrong.
    private func start(_ state: inout State) -> String? {
        let initialised = CurlLoop.globalInit
        guard initialised == CURLE_OK else { return "curl_global_init failed with code \(initialised.rawValue)" }
        guard let multi = unsafe curl_multi_init() else { return "curl_multi_init failed: no memory" }
        // As many idle connections are kept as transfers can use, not libcurl's four times the handles.
        unsafe walship_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, state.queue.limit)

        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        // SAFETY: the thread takes over the reference and the handle; on failure both are taken back here.
        let context = unsafe Unmanaged.passRetained(self)
        unsafe state.multi = multi
        state.phase = .running
        let code = unsafe pthread_create(&thread, &attributes, curlThreadMain, context.toOpaque())
        guard code == 0 else {
            unsafe context.release()
            unsafe curl_multi_cleanup(multi)
            unsafe state.multi = nil
            state.phase = .idle
            return "pthread_create failed with errno \(code)"
        }
        return nil
    }

    /// curl_global_init(3), once per process; a static is initialised under a lock.
    private static let globalInit: CURLcode = curl_global_init(walship_curl_global_default)

    // MARK: On the thread

    /// A longest sleep in milliseconds while nothing waits in the queue; wakeups end it at once.
    private static let idlePoll: CInt = 60_000
    /// The same while transfers wait: how late an expired one may be noticed.
    private static let queuePoll: CInt = 250

    private enum Work {
        case start(CurlTransfer)
        case end(CurlTransfer, Completion, wasInFlight: Bool, ArchiveError)
    }

    fileprivate func run() {
        guard let multi = unsafe UnsafeMutableRawPointer(bitPattern: state.withLock { unsafe UInt(bitPattern: $0.multi) }) else {
            preconditionFailure("the thread was started without a handle")
        }
        var active: [UInt: CurlTransfer] = [:]

        while true {
            let (work, stopping, hasWaiting) = nextWork()
            for item in work { unsafe act(item, multi, &active) }
            if stopping { break }

            var running: CInt = 0
            let performed = unsafe curl_multi_perform(multi, &running)
            if performed != CURLM_OK {
                // Out of memory, or libcurl's own state is broken: nothing in flight can be trusted to end by itself.
                let text = unsafe String(cString: curl_multi_strerror(performed))
                for transfer in active.values {
                    unsafe finish(transfer, multi, &active, .failure(transfer.error(.unreachable, text)))
                }
            }
            var ended = false
            while let (transfer, code) = unsafe nextEnded(multi, active) {
                ended = true
                unsafe finish(transfer, multi, &active, transfer.result(code))
            }
            // Room was made: what waits can start before the sleep.
            if ended { continue }
            let turn = pace?.turn()
            if let turn, !turn.resumed.isEmpty {
                for transfer in active.values where turn.resumed.contains(transfer.id) { transfer.resumeSending() }
                continue
            }
            var sleep = hasWaiting ? CurlLoop.queuePoll : CurlLoop.idlePoll
            if let milliseconds = turn?.milliseconds { sleep = min(sleep, CInt(clamping: milliseconds)) }
            let slept = unsafe curl_multi_poll(multi, nil, 0, sleep, nil)
            // A poll that fails (no memory, no descriptor) returns at once; sleeping keeps that from becoming a busy loop.
            if slept != CURLM_OK { usleep(100_000) }
        }

        let waiters = state.withLock { state in
            unsafe curl_multi_cleanup(multi)
            unsafe state.multi = nil
            state.phase = .stopped
            precondition(state.pending.isEmpty, "a transfer was left without an ending")
            defer { state.stopWaiters = [] }
            return state.stopWaiters
        }
        for waiter in waiters { waiter() }
    }

    /// Takes what callers left since the last look.
    private func nextWork() -> (work: [Work], stopping: Bool, hasWaiting: Bool) {
        state.withLock { state in
            var work: [Work] = []
            func end(_ id: UInt64, _ state: inout State, _ code: ArchiveError.Code, _ text: String) {
                guard let pending = state.pending.removeValue(forKey: id) else { return }
                let wasInFlight = state.queue.remove(id)
                work.append(
                    .end(pending.transfer, pending.completion, wasInFlight: wasInFlight, pending.transfer.error(code, text)))
            }
            for id in state.cancelled { end(id, &state, .cancelled, "cancelled") }
            state.cancelled = []
            if state.phase == .stopping {
                for id in state.pending.keys.sorted() { end(id, &state, .cancelled, "the HTTP client was shut down") }
                return (work, true, false)
            }
            let now = ContinuousClock.now
            while let step = state.queue.next(now: now) {
                switch step {
                case .expire(let id):
                    end(id, &state, .unreachable, "no turn came within the request's time; too many transfers wait")
                case .start(let id):
                    guard let pending = state.pending[id] else { preconditionFailure("transfer \(id) is queued but not pending") }
                    work.append(.start(pending.transfer))
                }
            }
            return (work, false, state.queue.hasWaiting)
        }
    }

    private func act(_ item: Work, _ multi: UnsafeMutableRawPointer, _ active: inout [UInt: CurlTransfer]) {
        switch item {
        case .start(let transfer):
            do throws(ArchiveError) {
                let easy = try unsafe transfer.start(on: multi)
                active[easy] = transfer
            } catch {
                unsafe finish(transfer, multi, &active, .failure(error))
            }
        case .end(let transfer, let completion, let wasInFlight, let error):
            if wasInFlight {
                active[transfer.handleKey] = nil
                unsafe transfer.end(on: multi)
            }
            completion.resume(returning: .failure(error))
        }
    }

    private func finish(
        _ transfer: CurlTransfer, _ multi: UnsafeMutableRawPointer, _ active: inout [UInt: CurlTransfer],
        _ result: Result<HTTPResponse, ArchiveError>
    ) {
        active[transfer.handleKey] = nil
        unsafe transfer.end(on: multi)
        let completion = state.withLock { state in
            _ = state.queue.remove(transfer.id)
            return state.pending.removeValue(forKey: transfer.id)?.completion
        }
        completion?.resume(returning: result)
    }

    private func nextEnded(_ multi: UnsafeMutableRawPointer, _ active: [UInt: CurlTransfer]) -> (CurlTransfer, CURLcode)? {
        var easy: UnsafeMutableRawPointer?
        var code = CURLE_OK
        guard unsafe walship_curl_multi_next_ended(multi, &easy, &code) == 1 else { return nil }
        guard let easy = unsafe easy, let transfer = active[UInt(bitPattern: easy)] else {
            preconditionFailure("libcurl ended a transfer that was not begun")
        }
        return (transfer, code)
    }
}

/// The thread's entry: a plain function, because a closure written in an actor's context traps on another thread.
private func curlThreadMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context = unsafe context else { preconditionFailure("no context") }
    // SAFETY: balances passRetained in `start`.
    let loop = unsafe Unmanaged<CurlLoop>.fromOpaque(context).takeRetainedValue()
    unsafe walship_name_this_thread("walship-curl")
    // No signal is handled on this thread; SIGPIPE, which a TLS library can raise by writing, stays pending without effect.
    var all = sigset_t()
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_SETMASK, &all, nil)
    loop.run()
    return nil
}
