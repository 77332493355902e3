import Glibc
import Synchronization

/// A small HTTP/1.1 server that does to each request what a script says: answer, be silent, close, send half, or pass it on to a real server with
/// something on the way. A thread for each open connection and sockets of its own on 127.0.0.1; everything ends with `stop()` or, at the latest,
/// with the object.
package final class FaultServer: Sendable {
    package struct Request: Sendable {
        /// From 0, in order of arrival over all connections.
        package var number: Int
        /// From 0, in order of acceptance.
        package var connection: Int
        package var method: String
        /// As sent: path and query.
        package var target: String
        package var headers: [(name: String, value: String)]
        package var body: [UInt8]
        /// The connection ended before the announced body did; nobody is there to hear a reply.
        package var isCut: Bool

        package func header(_ name: String) -> String? {
            headers.first { $0.name.lowercased() == name.lowercased() }?.value
        }
        /// Without the query.
        package var path: String { String(target.prefix { $0 != "?" }) }
    }

    package enum Reply: Sendable {
        /// With a Content-Length; the connection stays. A HEAD gets the headers only.
        case respond(Int, headers: [(String, String)] = [], body: [UInt8] = [])
        /// Closes without a byte.
        case close
        /// Says nothing until the server is stopped or the client goes.
        case stall
        /// Announces `declared` bytes, sends `body`, closes.
        case truncated(declared: Int, body: [UInt8])
        /// A 200 whose body comes in pieces with pauses between.
        case slow(body: [UInt8], piece: Int, pause: Duration)
        /// These bytes as they are, then closes.
        case raw(String)
        /// As `FaultStore` does.
        case store
        /// As `FaultStore` does, but the reply never goes out: the connection is closed.
        case storeWithoutReply
        /// As the real server behind does, with this on the way.
        case forward(Forwarding)
    }

    package typealias Traits = FaultStore.Traits

    private let core: FaultServerCore

    package init(
        _ traits: FaultStore.Traits = .ideal, readsBodyUpTo: Int = .max,
        _ script: @escaping @Sendable (Request) -> Reply = { _ in .store }
    ) throws {
        core = try FaultServerCore(store: FaultStore(traits), upstream: nil, readsBodyUpTo: readsBodyUpTo, script: script)
        start()
    }

    /// Stands before the server that listens on `upstream`.
    package init(
        before upstream: UInt16, _ script: @escaping @Sendable (Request) -> Reply = { _ in .forward(Forwarding()) }
    ) throws {
        core = try FaultServerCore(store: FaultStore(.ideal), upstream: Upstream(port: upstream), readsBodyUpTo: .max, script: script)
        start()
    }

    private func start() {
        // The threads hold the core, not the server, whose end is what ends them.
        let core = core
        core.connections.start { connection, number in core.serve(connection, number) }
    }

    deinit { stop() }

    package var port: UInt16 { core.connections.port }
    package var url: String { "http://127.0.0.1:\(port)" }
    /// What `.store` keeps.
    package var store: FaultStore { core.store }
    /// All that came so far, cut ones included.
    package var requests: [Request] { core.state.withLock { $0.requests } }
    /// What was answered, by the number of the request; nothing where no status of the script's or the store's went out.
    package var statuses: [Int: Int] { core.state.withLock { $0.statuses } }
    package var connectionCount: Int { core.connections.acceptedCount }
    /// Connections that are open now.
    package var openConnectionCount: Int { core.connections.openCount }
    /// What the real server behind has confirmed.
    package var ledger: WriteLedger {
        guard let upstream = core.upstream else { preconditionFailure("there is no server behind") }
        return upstream.ledger
    }
    /// Requests that a script keeps back for later reach the real server now; returns how many.
    @discardableResult
    package func deliverLate() -> Int { core.upstream?.deliver(upTo: .max) ?? 0 }
    /// A request that was answered otherwise is done to what `.store` keeps, as one that comes late.
    package func deliver(_ request: Request) { _ = store.answer(request) }
    /// Ends all connections and refuses new ones.
    package func stop() { core.connections.stop() }
}

/// What the threads of a `FaultServer` share.
final class FaultServerCore: Sendable {
    struct State {
        var requests: [FaultServer.Request] = []
        var statuses: [Int: Int] = [:]
    }

    let connections: ConnectionServer
    let store: FaultStore
    /// The real server behind, if there is one.
    let upstream: Upstream?
    let state = Mutex(State())
    private let script: @Sendable (FaultServer.Request) -> FaultServer.Reply
    /// Bytes of a body after which nothing is read any more.
    private let readsBodyUpTo: Int

    init(
        store: FaultStore, upstream: Upstream?, readsBodyUpTo: Int,
        script: @escaping @Sendable (FaultServer.Request) -> FaultServer.Reply
    ) throws {
        self.store = store
        self.upstream = upstream
        self.script = script
        self.readsBodyUpTo = readsBodyUpTo
        connections = try ConnectionServer("fault-server")
    }

    func serve(_ connection: Int32, _ number: Int) {
        var reader = FaultConnection(descriptor: connection)
        while var request = reader.readRequest(bodyUpTo: readsBodyUpTo) {
            request.connection = number
            state.withLock { state in
                request.number = state.requests.count
                state.requests.append(request)
            }
            if request.isCut {
                store.cut(request)
                return
            }
            let goesOn = answer(request, with: script(request), reader)
            upstream?.deliver(upTo: request.number)
            guard goesOn else { return }
        }
    }

    /// Returns whether the connection goes on.
    private func answer(_ request: FaultServer.Request, with reply: FaultServer.Reply, _ connection: FaultConnection) -> Bool {
        switch reply {
        case .respond(let status, let headers, let body):
            state.withLock { $0.statuses[request.number] = status }
            return connection.respond(status, headers, body, toHead: request.method == "HEAD")
        case .close: return false
        case .stall:
            connection.waitForEnd()
            return false
        case .truncated(let declared, let body):
            _ = connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(declared)\r\n\r\n".utf8 + body)
            return false
        case .slow(let body, let piece, let pause):
            guard connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n".utf8 + []) else { return false }
            var rest = body[...]
            while !rest.isEmpty {
                guard connection.send(Array(rest.prefix(piece))) else { return false }
                rest = rest.dropFirst(piece)
                FaultServerCore.pause(pause)
            }
            return true
        case .raw(let text):
            _ = connection.send(Array(text.utf8))
            return false
        case .store:
            guard case .respond(let status, let headers, let body) = store.answer(request) else { return false }
            state.withLock { $0.statuses[request.number] = status }
            return connection.respond(status, headers, body, toHead: request.method == "HEAD")
        case .storeWithoutReply:
            _ = store.answer(request)
            return false
        case .forward(let forwarding): return forward(request, forwarding, connection)
        }
    }

    // MARK: With a real server behind

    private func forward(_ request: FaultServer.Request, _ forwarding: Forwarding, _ connection: FaultConnection) -> Bool {
        guard let upstream else { preconditionFailure("there is no server behind to forward to") }
        FaultServerCore.pause(forwarding.delay)
        var sent = request
        switch forwarding.body {
        case .whole: break
        case .flipped(let permille): sent.body = Forwarding.flip(request.body, permille)
        case .cut(let permille):
            upstream.cut(request, after: Forwarding.index(permille, of: request.body.count))
            return false
        }
        var reply: Upstream.Reply?
        for arrival in forwarding.arrivals {
            if arrival == 0 {
                reply = upstream.exchange(sent)
            } else {
                upstream.keep(sent, until: request.number + arrival)
            }
        }
        FaultServerCore.pause(forwarding.replyDelay)
        switch forwarding.reply {
        case .instead(let status, let headers):
            return connection.respond(status, headers, [], toHead: request.method == "HEAD")
        case .reset:
            Sockets.resetAtEnd(connection.descriptor)
            return false
        case .stalled:
            connection.waitForEnd()
            return false
        default: break
        }
        guard let reply else { return false }
        return connection.pass(reply, forwarding.reply, toHead: request.method == "HEAD")
    }

    private static func pause(_ duration: Duration) {
        guard duration > .zero else { return }
        let (seconds, attoseconds) = duration.components
        usleep(UInt32(seconds) * 1_000_000 + UInt32(attoseconds / 1_000_000_000_000))
    }
}
