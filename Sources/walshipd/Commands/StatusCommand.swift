import ArgumentParser
import Follower
import WAL

/// `walshipd status`: where a log stands, by its own files, and what an archive says about itself.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows how far a log is written, durable and archived.",
        discussion: """
            --log reads the log's own files, whether a writer or a daemon runs or not; --archive reads the archive's documents, not its \
            objects. Nothing is changed. With --json: one object on one line for each of the two; LSNs are decimal strings; a \
            destination's url, state and last_error are null, as only the running daemon knows them.
            """)

    @Option(help: ArgumentHelp("The directory of the log.", valueName: "dir"))
    var log: String?

    @Option(help: ArgumentHelp("The archive, <base>/<log name>: http://…, https://…, s3://… or file:///….", valueName: "url"))
    var archive: String?

    @OptionGroup var s3: S3Options
    @OptionGroup var keys: KeyOptions

    @Flag(help: "Print JSON.")
    var json = false

    mutating func validate() throws {
        if log == nil && archive == nil { throw ValidationError("nothing to look at; name a log with --log, an archive with --archive, or both") }
        if let log { try LogDirectory.validate(log) }
    }

    mutating func run() async throws {
        if let log {
            let reader = try LogDirectory.open(log)
            defer { reader.close() }
            let status = try LogStatus(of: reader, now: LinuxTimeSource().now())
            try Output.standard.write(line: json ? status.json.text : status.table)
        }
        if let archive {
            let opening = try await ArchiveOpening(archive, s3, keys)
            let status = try await ArchiveStatus.read(store: opening.store, log: opening.log)
            try Output.standard.write(line: json ? status.json(url: opening.url).text : status.table(url: opening.url))
        }
    }
}
