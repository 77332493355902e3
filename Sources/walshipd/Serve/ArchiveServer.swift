import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import ServiceLifecycle
import WAL

/// The embedded archive server as a service: binds, serves until it is told to end, lets requests under way finish.
struct ArchiveServer: Service {
    var root: String
    var address: ListenAddress
    var objectSizeMax: UInt64
    var shutdownDeadline: Duration
    var logger: Logger

    /// Two descriptors each at most (socket and file) stay below the usual limit of 1024.
    static let connectionsMax = 400
    /// A request that sends nothing for so long is cut; so is a connection without one.
    static let idleTimeout: TimeAmount = .seconds(60)

    func run() async throws {
        let pool = BlockingPool()
        do {
            let tree = try await pool.run { try ObjectTree(root: root, system: LinuxFileSystem(), logger: logger) }
            let responder = ArchiveResponder(tree: tree, pool: pool, objectSizeMax: objectSizeMax)
            try await serve(responder)
        } catch {
            try await pool.shutDown()
            throw error
        }
        try await pool.shutDown()
    }

    private func serve(_ responder: ArchiveResponder) async throws {
        let application = Application(
            responder: responder,
            server: Self.server(objectSizeMax: objectSizeMax),
            configuration: ApplicationConfiguration(
                address: .hostname(address.host, port: address.port),
                serverName: "walshipd",
                availableConnectionsDelegate: MaximumAvailableConnections(Self.connectionsMax)),
            onServerRunning: { channel in announce(port: channel.localAddress?.port ?? address.port) },
            logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await application.run()
                } catch let error as IOError {
                    throw CommandError(
                        .failed,
                        "cannot listen on \(address): \(ErrorText.describe(errno: error.errnoCode)); choose another address with --listen"
                    )
                } catch let error as SocketAddressError {
                    throw CommandError(
                        .failed, "cannot listen on \(address): no such host (\(error)); choose another address with --listen")
                }
            }
            group.addTask { try await endAfterDeadline() }
            // The first to end is the application, well or not. The other is only waiting.
            try await group.next()
            group.cancelAll()
        }
    }

    /// HTTP/1.1, with the answer to `Expect: 100-continue` that clients wait a second for before they send a large body.
    private static func server(objectSizeMax: UInt64) -> HTTPServerBuilder {
        HTTPServerBuilder { responder in
            HTTP1Channel(
                responder: { request, writer, channel in
                    let length = request.headers[.contentLength].flatMap { UInt64($0) }
                    if request.headers[.expect]?.lowercased() == "100-continue", (length ?? 0) <= objectSizeMax {
                        try await writer.writeInformationalHead(HTTPResponse(status: .continue))
                    }
                    try await responder(request, writer, channel)
                },
                configuration: HTTP1Channel.Configuration(idleTimeout: idleTimeout))
        }
    }

    private func announce(port: Int) {
        let bound = ListenAddress(host: address.host, port: port)
        do {
            try Output.standard.write(line: "listening on http://\(bound)")
        } catch {
            // Nobody reads standard output; the server serves all the same.
            logger.notice("listening", metadata: ["url": "http://\(bound)"])
        }
    }

    /// Ends the process when requests are still under way long after the end was asked for: a client that stands still would hold
    /// it up for ever. Nothing is lost: no upload is visible before it is complete.
    private func endAfterDeadline() async throws {
        try await gracefulShutdown()
        try await Task.sleep(for: shutdownDeadline)
        logger.warning(
            "requests were cut at the end", metadata: ["deadline": "\(DurationText.format(shutdownDeadline))"])
        exit(ExitCode.done.rawValue)
    }
}
