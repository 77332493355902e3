import Synchronization

/// Who does the work that no caller has to wait for.
package enum HelperMode: Hashable, Sendable {
    /// A thread of its own, started when there is something to do for the first time.
    case background
    /// The caller, at once: what happens, and in which order, follows from the calls alone. For simulated machines.
    case synchronous
    /// Nobody.
    case off
}

/// A named thread that does one kind of work whenever it is asked to, and sleeps in between.
///
/// Work asked for while the thread works is done after that, once, however often it was asked for. Nothing is asked for in vain: a request
/// is noted under the lock under which the thread goes to sleep. Any thread may ask; whoever owns it calls `stop`, once, last. Where
/// no thread can be had, nothing is done: helpers spare others work, they are never needed.
final class HelperThread: Sendable {
    private struct State {
        var isAsked = false
        var isAsleep = false
        var isStopping = false
        var cannotStart = false
        var thread: NamedThread?
    }

    private enum Next { case work, sleep, end }

    private let name: String
    private let mode: HelperMode
    private let state = Mutex(State())
    private let alarm = Parker()

    init(name: String, mode: HelperMode) {
        self.name = name
        self.mode = mode
    }

    /// Whether asking may have an effect.
    var isOn: Bool { mode != .off }

    /// Has `work` called until it says that there is no more to do. `work` is the same at every call; it is kept until `stop`.
    func ask(_ work: @escaping @Sendable () -> Bool) {
        switch mode {
        case .off: return
        case .synchronous: while work() {}
        case .background:
            let isAsleep = state.withLock { state -> Bool in
                guard !state.isStopping, !state.cannotStart else { return false }
                state.isAsked = true
                if state.thread == nil {
                    do throws(WALError) {
                        state.thread = try NamedThread(name: name) { [self] in run(work) }
                    } catch {
                        state.cannotStart = true
                    }
                }
                defer { state.isAsleep = false }
                return state.isAsleep
            }
            if isAsleep { alarm.unpark() }
        }
    }

    private func run(_ work: () -> Bool) {
        while true {
            let next = state.withLock { state -> Next in
                if state.isStopping { return .end }
                if state.isAsked {
                    state.isAsked = false
                    return .work
                }
                state.isAsleep = true
                return .sleep
            }
            switch next {
            case .end: return
            case .sleep: alarm.park()
            case .work: if work() { state.withLock { $0.isAsked = true } }
            }
        }
    }

    /// Returns when the work under way has ended and the thread with it; none begins any more. Not from the work itself.
    func stop() {
        let (thread, isAsleep) = state.withLock { state in
            state.isStopping = true
            defer {
                state.thread = nil
                state.isAsleep = false
            }
            return (state.thread, state.isAsleep)
        }
        if isAsleep { alarm.unpark() }
        thread?.join()
    }
}
