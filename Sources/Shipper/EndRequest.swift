import Synchronization
import WAL

/// The wish that shipping come to its end, from another task: heard at the next look at the log.
final class EndRequest: Sendable {
    struct Request: Sendable {
        var target: LSN
        var truncates: Bool
    }

    private enum State { case none, wanted(target: LSN?, truncates: Bool), given(Request) }
    private let state = Mutex(State.none)

    /// `target` nil: what is durable when it is heard.
    func ask(target: LSN?, truncates: Bool) {
        state.withLock { state in
            if case .none = state { state = .wanted(target: target, truncates: truncates) }
        }
    }

    /// The same request each time, once there is one: a session that is opened again has the same end.
    func take(durable: LSN) -> Request? {
        state.withLock { state in
            switch state {
            case .none: return nil
            case .given(let request): return request
            case .wanted(let target, let truncates):
                let request = Request(target: target ?? durable, truncates: truncates)
                state = .given(request)
                return request
            }
        }
    }

    /// Nobody has heard it yet.
    var isWanted: Bool {
        state.withLock { if case .wanted = $0 { true } else { false } }
    }

    var isAsked: Bool {
        state.withLock { if case .none = $0 { false } else { true } }
    }
}
