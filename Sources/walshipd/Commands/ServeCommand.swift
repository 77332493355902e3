import ArgumentParser
import Logging

/// `walshipd serve`: the embedded archive server.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Runs the embedded archive server: objects over HTTP as plain files in a directory.",
        discussion: """
            Answers PUT, GET, HEAD, DELETE, MKCOL and PROPFIND, with byte ranges and If-None-Match: *. What it confirms is on \
            stable storage. Prints "listening on http://ADDRESS" when it does. Ends on SIGTERM or SIGINT.

            There is no access control: whoever reaches the address can read, replace and delete everything.
            """)

    @Option(help: ArgumentHelp("The directory that holds the objects; made if it is missing.", valueName: "dir"))
    var root: String

    @Option(
        help: ArgumentHelp("Address and port to listen on; port 0 picks a free one.", valueName: "host:port"),
        transform: ListenAddress.parse)
    var listen = ListenAddress(host: "127.0.0.1", port: 9180)

    @Flag(help: "Listen on an address that other machines reach, although there is no access control.")
    var allowRemote = false

    @Option(help: ArgumentHelp("The largest object taken.", valueName: "size"), transform: ByteSize.parse)
    var objectSizeMax = ByteSize(5 << 30)

    @Option(
        help: ArgumentHelp("How long requests under way may take to finish at the end.", valueName: "duration"),
        transform: { try SettingParsers.duration(RunSettings.shutdownDeadlines)($0) })
    var shutdownDeadline: Duration = .seconds(10)

    @Option(
        help: "Least severe messages shown: trace, debug, info, notice, warning, error or critical.",
        transform: { try SettingParsers.word(Logger.Level.self)($0) })
    var logLevel = Logger.Level.notice

    mutating func validate() throws {
        if root.isEmpty { throw ValidationError("--root is empty; name the directory that holds the objects") }
        if !listen.isLoopback && !allowRemote {
            throw ValidationError(
                "--listen \(listen): other machines could reach it, and there is no access control; use 127.0.0.1, or add --allow-remote"
            )
        }
    }

    mutating func run() async throws {
        let logger = StderrLogHandler.logger(level: logLevel)
        if !listen.isLoopback {
            logger.warning(
                "anyone who reaches this address can read, replace and delete every object", metadata: ["listen": "\(listen)"])
        }
        let server = ArchiveServer(
            root: root, address: listen, objectSizeMax: objectSizeMax.bytes, shutdownDeadline: shutdownDeadline, logger: logger)
        try await SignalledService.run(server, logger: logger)
    }
}
