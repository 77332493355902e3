import ArgumentParser
import WAL

/// Where records are read from, and up to where: a log, or its archive.
struct SourceOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The directory of the log.", valueName: "dir"))
    var log: String?

    @Option(help: ArgumentHelp("The archive to read instead, <base>/<log name>: http://…, https://…, s3://… or file:///….", valueName: "url"))
    var archive: String?

    @OptionGroup var s3: S3Options
    @OptionGroup var keys: KeyOptions

    @Option(help: ArgumentHelp("Records below this LSN only (default: the end).", valueName: "lsn"), transform: LSNText.parse)
    var to: LSN?

    mutating func validate() throws {
        guard (log == nil) != (archive == nil) else { throw ValidationError("name either --log or --archive") }
        if let log { try LogDirectory.validate(log) }
    }

    /// `from`: what the command says.
    func requireAbove(_ from: LSN?) throws {
        if let from, let to, to < from { throw ValidationError("--to \(to) lies below --from \(from)") }
    }

    /// Nil where a log is named.
    var opening: ArchiveOpening? {
        get async throws {
            guard let archive else { return nil }
            return try await ArchiveOpening(archive, s3, keys)
        }
    }
}
