import Archive
import ArgumentParser
import Follower
import WAL

/// `walshipd status`: where a log stands, by its own files, and what an archive says about itself.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows how far a log is written, durable and archived.",
        discussion: """
            --log reads the log's own files, whether a writer, a daemon or a follower runs or not, and what the follower of a replica last said; --archive reads the archive's documents, and of its \
            objects only the last ones, to find its end. Nothing is changed, unless --probe is given: what a store can do is found out by writing a few small objects below \
            <log>/.probe/, which are removed again. With --json: one object on one line for each of the two; LSNs are decimal strings; a \
            destination's url, state and last_error are null, as only the running daemon knows them.
            """)

    @Option(help: ArgumentHelp("The directory of the log.", valueName: "dir"))
    var log: String?

    @Option(help: ArgumentHelp("The archive, <base>/<log name>: http://…, https://…, s3://… or file:///….", valueName: "url"))
    var archive: String?

    @OptionGroup var s3: S3Options
    @OptionGroup var keys: KeyOptions

    @Flag(help: "With --archive: find out what the store can do; needs the right to write there.")
    var probe = false

    @Flag(help: "Print JSON.")
    var json = false

    mutating func validate() throws {
        if log == nil && archive == nil { throw ValidationError("nothing to look at; name a log with --log, an archive with --archive, or both") }
        if probe && archive == nil { throw ValidationError("--probe is for --archive") }
        if let log { try LogDirectory.validate(log) }
    }

    mutating func run() async throws {
        if let log {
            let reader = try LogDirectory.open(log)
            defer { reader.close() }
            var status = try LogStatus(of: reader, now: LinuxTimeSource().now())
            if status.isReplica {
                status.follower = try FollowerDocument.read(directory: log)?.aged(now: LinuxTimeSource().now(), isRunning: status.writer != nil)
            }
            try Output.standard.write(line: json ? status.json.text : status.table)
        }
        if let archive {
            let opening = try await ArchiveOpening(archive, s3, keys)
            let status = try await ArchiveStatus.read(store: opening.store, log: opening.log)
            let capabilities = probe ? try await opening.store.probe(prefix: Layout(log: opening.log).probe) : nil
            try Output.standard.write(
                line: json ? status.json(url: opening.url, capabilities: capabilities).text : status.table(url: opening.url, capabilities: capabilities))
        }
    }
}
