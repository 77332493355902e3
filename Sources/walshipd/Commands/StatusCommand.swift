import ArgumentParser
import WAL

/// `walshipd status`: where a log stands, by its own files.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows how far a log is written, durable and archived.",
        discussion: """
            Reads the log's own files, whether a writer or a daemon runs or not, and changes nothing. With --json: one object on one \
            line; LSNs are decimal strings; a destination's url, state and last_error are null, as only the running daemon knows them.
            """)

    @Option(help: ArgumentHelp("The directory of the log.", valueName: "dir"))
    var log: String

    @Flag(help: "Print JSON.")
    var json = false

    mutating func validate() throws { try LogDirectory.validate(log) }

    mutating func run() throws {
        let reader = try LogDirectory.open(log)
        defer { reader.close() }
        let status = try LogStatus(of: reader, now: LinuxTimeSource().now())
        try Output.standard.write(line: json ? status.json.text : status.table)
    }
}
