import Foundation
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
        core = try RelayCore(to: server)
        // The thread holds the core, not the relay, whose end is what ends it.
        let core = core
        let thread = Thread { core.acceptConnections() }
        thread.name = "cutting-relay"
        thread.start()
    }

    deinit { core.stop() }

    package var port: UInt16 { core.port }
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
        /// Both sides of each connection; only its own thread closes them.
        var connections: Set<Int32> = []
        var isStopped = false
    }

    let port: UInt16
    let state = Mutex(State())
    private let server: UInt16
    private let listener: Int32

    init(to server: UInt16) throws {
        self.server = server
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard listener >= 0 else { throw ServerError("socket failed: errno \(errno)") }
        port = try Ports.bind(listener)
        guard listen(listener, 64) == 0 else { throw ServerError("listen failed: errno \(errno)") }
    }

    func stop() {
        state.withLock { state in
            state.isStopped = true
            shutdown(listener, Int32(SHUT_RDWR))
            for connection in state.connections { shutdown(connection, Int32(SHUT_RDWR)) }
        }
    }

    func acceptConnections() {
        while true {
            // As in `FaultServerCore`: no child may inherit the connection.
            var ready = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            if poll(&ready, 1, -1) < 0, errno == EINTR { continue }
            let client = ChildProcess.spawning.withLock { _ in
                let client = accept(listener, nil, nil)
                if client >= 0 { _ = fcntl(client, F_SETFD, FD_CLOEXEC) }
                return client
            }
            if client < 0, errno == EINTR || errno == ECONNABORTED { continue }
            guard client >= 0 else { break }
            guard let upstream = Ports.connect(server) else {
                close(client)
                continue
            }
            let goesOn = state.withLock { state in
                if !state.isStopped { state.connections.formUnion([client, upstream]) }
                return !state.isStopped
            }
            guard goesOn else {
                close(client)
                close(upstream)
                break
            }
            let thread = Thread { [self] in
                relay(client, upstream)
                state.withLock { $0.connections.subtract([client, upstream]) }
                close(client)
                close(upstream)
            }
            thread.name = "cutting-relay"
            thread.start()
        }
        close(listener)
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
                guard let count = receive(upstream, &buffer), send(buffer[..<count], to: client) else { return }
            }
            if sides[0].revents != 0 {
                guard let count = receive(client, &buffer) else { return }
                let (passed, end) = pass(count)
                guard send(buffer[..<passed], to: upstream) else { return }
                if let end {
                    if end == .reset { reset(client, upstream) }
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

    /// A close(2) of a socket that lingers for no time sends RST: socket(7).
    private func reset(_ sockets: Int32...) {
        for socket in sockets {
            var now = linger(l_onoff: 1, l_linger: 0)
            setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        }
    }

    /// nil: that side has ended.
    private func receive(_ socket: Int32, _ buffer: inout [UInt8]) -> Int? {
        var count: Int
        repeat { count = recv(socket, &buffer, buffer.count, 0) } while count < 0 && errno == EINTR
        return count > 0 ? count : nil
    }

    private func send(_ bytes: ArraySlice<UInt8>, to socket: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0 {
                if errno == EINTR { continue }
                return false
            }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
