import Foundation
import Glibc
import Synchronization

/// Accepts connections on a port of its own on 127.0.0.1, each served by a thread of its own, until `stop()`.
final class ConnectionServer: Sendable {
    private struct State {
        /// Only the thread of a connection closes it, after taking it out here.
        var open: Set<Int32> = []
        var accepted = 0
        var isStopped = false
    }

    let port: UInt16
    private let name: String
    private let listener: Int32
    private let state = Mutex(State())

    /// `name` is that of its threads. Nobody is answered before `start`.
    init(_ name: String) throws {
        self.name = name
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard listener >= 0 else { throw ServerError("socket failed: errno \(errno)") }
        port = try Ports.bind(listener)
        guard listen(listener, 128) == 0 else { throw ServerError("listen failed: errno \(errno)") }
    }

    /// `serve` is given each connection, and its number, from 0 in order of acceptance; the connection is closed when it returns.
    func start(_ serve: @escaping @Sendable (_ connection: Int32, _ number: Int) -> Void) {
        let thread = Thread { [self] in accept(serve) }
        thread.name = name
        thread.start()
    }

    /// Ends all connections and refuses new ones.
    func stop() {
        state.withLock { state in
            state.isStopped = true
            shutdown(listener, Int32(SHUT_RDWR))
            for connection in state.open { shutdown(connection, Int32(SHUT_RDWR)) }
        }
    }

    var acceptedCount: Int { state.withLock(\.accepted) }
    var openCount: Int { state.withLock(\.open.count) }

    /// Another socket that a connection needs, and that ends with `stop`, too: for as long as `body` runs, then it is closed. Nil, and closed at once, after `stop`.
    func with<Result>(_ socket: Int32, _ body: () -> Result) -> Result? {
        defer { close(socket) }
        let isRunning = state.withLock { state in
            if !state.isStopped { state.open.insert(socket) }
            return !state.isStopped
        }
        guard isRunning else { return nil }
        defer { state.withLock { _ = $0.open.remove(socket) } }
        return body()
    }

    private func accept(_ serve: @escaping @Sendable (Int32, Int) -> Void) {
        while true {
            var ready = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            if poll(&ready, 1, -1) < 0, errno == EINTR { continue }
            // No child may come into being before the mark is set: it would keep the connection open.
            let connection = ChildProcess.spawning.withLock { _ in
                let connection = Glibc.accept(listener, nil, nil)
                if connection >= 0 { _ = fcntl(connection, F_SETFD, FD_CLOEXEC) }
                return connection
            }
            if connection < 0, errno == EINTR || errno == ECONNABORTED { continue }
            guard connection >= 0 else { break }
            let number: Int? = state.withLock { state in
                guard !state.isStopped else { return nil }
                state.open.insert(connection)
                state.accepted += 1
                return state.accepted - 1
            }
            guard let number else {
                close(connection)
                break
            }
            let thread = Thread { [self] in
                serve(connection, number)
                state.withLock { _ = $0.open.remove(connection) }
                close(connection)
            }
            thread.name = name
            thread.start()
        }
        close(listener)
    }
}

/// Blocking calls on a connected socket.
enum Sockets {
    /// Bytes at the beginning of the buffer; nil: the other side has ended.
    static func receive(_ socket: Int32, _ buffer: inout [UInt8]) -> Int? {
        var count: Int
        repeat { count = recv(socket, &buffer, buffer.count, 0) } while count < 0 && errno == EINTR
        return count > 0 ? count : nil
    }

    /// All of them; false: nobody takes them any more.
    static func send(_ bytes: ArraySlice<UInt8>, to socket: Int32) -> Bool {
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

    /// Closing it sends RST: it lingers for no time (SO_LINGER, socket(7)).
    static func resetAtEnd(_ socket: Int32) {
        var off = linger(l_onoff: 1, l_linger: 0)
        setsockopt(socket, SOL_SOCKET, SO_LINGER, &off, socklen_t(MemoryLayout<linger>.size))
    }
}
