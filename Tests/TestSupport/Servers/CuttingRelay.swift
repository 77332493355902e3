import Glibc
import Synchronization

/// Stands between a client and a real server on 127.0.0.1, passes everything on, and cuts connections in the middle of what the client sends, as networks
/// and dying machines do. Ends with the object. Clients that name their server in what they send (Host, signatures) name the relay.
package final class CuttingRelay: Sendable {
    package enum End: CaseIterable, Sendable {
        /// The server is told that nothing more comes.
        case closed
        case reset
    }

    private let core: RelayCore

    package init(to server: UInt16) throws {
        let core = try RelayCore(to: server)
        self.core = core
        // The threads hold the core, not the relay, whose end is what ends them.
        core.connections.start { client, _ in core.serve(client) }
    }

    deinit { core.connections.stop() }

    package var port: UInt16 { core.connections.port }
    package var url: String { "http://127.0.0.1:\(port)" }

    /// Once clients have sent so many more bytes, on all connections together, the connection on which the last of them came is cut; so many times, counting
    /// anew each time. (A client may send once more what was cut on a connection that it used before.)
    package func cut(after bytes: Int, times: Int = 1, _ end: End = .closed) {
        core.state.withLock { state in
            state.cuts = Array(repeating: bytes, count: times)
            state.end = end
        }
    }

    /// What was asked for and has not come to pass is not cut any more.
    package func cutNoMore() { core.state.withLock { $0.cuts = [] } }

    /// Cuts that were made.
    package var cutCount: Int { core.state.withLock { $0.cutCount } }
}

/// What the threads of a relay share.
private final class RelayCore: Sendable {
    struct State {
        /// Bytes that still pass before each of the cuts to come.
        var cuts: [Int] = []
        var end = CuttingRelay.End.closed
        var cutCount = 0
    }

    let connections: ConnectionServer
    let state = Mutex(State())
    private let server: UInt16

    init(to server: UInt16) throws {
        self.server = server
        connections = try ConnectionServer("cutting-relay")
    }

    func serve(_ client: Int32) {
        guard let upstream = Ports.connect(server) else { return }
        _ = connections.with(upstream) { relay(client, upstream) }
    }

    /// Until one side closes, or the cut.
    private func relay(_ client: Int32, _ upstream: Int32) {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            var sides = [client, upstream].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            if poll(&sides, 2, -1) < 0 {
                if errno == EINTR { continue }
                return
            }
            if sides[1].revents != 0 {
                guard let count = Sockets.receive(upstream, &buffer), Sockets.send(buffer[..<count], to: client) else { return }
            }
            if sides[0].revents != 0 {
                guard let count = Sockets.receive(client, &buffer) else { return }
                let (passed, end) = pass(count)
                guard Sockets.send(buffer[..<passed], to: upstream) else { return }
                if let end {
                    if end == .reset { for side in [client, upstream] { Sockets.resetAtEnd(side) } }
                    return
                }
            }
        }
    }

    /// How many of so many bytes pass, and how the connection ends after them, if it does.
    private func pass(_ count: Int) -> (Int, CuttingRelay.End?) {
        state.withLock { state in
            guard let left = state.cuts.first else { return (count, nil) }
            guard count >= left else {
                state.cuts[0] = left - count
                return (count, nil)
            }
            state.cuts.removeFirst()
            state.cutCount += 1
            return (left, state.end)
        }
    }
}
