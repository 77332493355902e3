import ArgumentParser
import Archive
import Follower
import Logging
import Synchronization
import WAL

/// `walshipd follow`: a replica, or a command, that is kept up to date from an archive.
struct FollowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "follow",
        abstract: "Keeps a replica, or a command, up to date with a log's archive.",
        discussion: """
            With --to, the directory is a replica: made of the archive where nothing is there, continued where one is. Programs read it while it grows. With --exec, \
            each record is written to the standard input of a command instead, from --from on.

            Outages of storage are waited for. A gap or damage ends it with 3, an archive of another history with 4, one that was pruned past the position with 5; \
            `walshipd status --log` says how it stands, also after it has ended. SIGTERM and SIGINT end it with 0.

            After a promotion elsewhere the new writer is followed. A replica or an old writer that has gone on past that is left as it is (4), unless --rewind: then what \
            it has past the fork is moved to diverged-<epoch>-<LSN> in its directory, a log that `walshipd cat --log` reads, and it follows.

            \(RecordFormat.positionWords)
            """)

    @Option(help: ArgumentHelp("The archive, <base>/<log name>: http://…, https://…, s3://… or file:///….", valueName: "url"))
    var archive: String

    @OptionGroup var s3: S3Options
    @OptionGroup var keys: KeyOptions

    @Option(help: ArgumentHelp("The replica's directory.", valueName: "dir"))
    var to: String?

    @Option(help: ArgumentHelp("A command, for /bin/sh, that is given the records on its standard input.", valueName: "command"))
    var exec: String?

    @Option(
        help: ArgumentHelp("Where to begin: the LSN of a record, or next of the one before. With --to, where the replica is made: the end of a gap.", valueName: "position"),
        transform: PositionText.parse)
    var from: LogPosition?

    @Option(
        help: ArgumentHelp(
            "With --to: how much of the log stays in the replica behind its end; what lies below is truncated, unless a pin holds it (default: all of it).", valueName: "size"),
        transform: ByteSize.parse)
    var retain: ByteSize?

    @Flag(help: "Cut off what this log has past the fork, and keep it aside.")
    var rewind = false

    @Option(
        help: ArgumentHelp("How records are given to the command (default: json).", valueName: "json|positioned|lines|framed|hex"),
        transform: { try RecordFormat.parse(RecordFormat.allCases)($0) })
    var format: RecordFormat?

    @Option(
        help: ArgumentHelp("Between two looks for something new, one request each; 10ms to 1h (default: 1s). Ten times as much after an idle minute, at most 10s.", valueName: "duration"),
        transform: { try SettingParsers.duration(.milliseconds(10)...(.seconds(3600)))($0) })
    var interval: Duration = .seconds(1)

    @Option(
        help: "Least severe messages shown: trace, debug, info, notice, warning, error or critical.",
        transform: { try SettingParsers.word(Logger.Level.self)($0) })
    var logLevel = Logger.Level.notice

    mutating func validate() throws {
        guard (to == nil) != (exec == nil) else { throw ValidationError("name either --to, a replica's directory, or --exec, a command") }
        if to == "" { throw ValidationError("--to is empty; name the replica's directory") }
        if exec == "" { throw ValidationError("--exec is empty; name a command") }
        if retain != nil && to == nil { throw ValidationError("--retain is for --to") }
        if rewind && to == nil { throw ValidationError("--rewind is for --to") }
        if let from, from.epoch != nil, to != nil { throw ValidationError("--from \(from) is a consumer's position; with --to it is an LSN") }
        if format != nil && exec == nil { throw ValidationError("--format is for --exec") }
    }

    mutating func run() async throws {
        // The follower says itself what it waits for.
        let opening = try await ArchiveOpening(archive, s3, keys, tellsOutages: false)
        let logger = StderrLogHandler.logger(level: logLevel)
        let pool = BlockingPool()
        var consumer: ConsumerProcess?
        let target: LogFollower.Target
        if let exec {
            if let away = try await Self.requireArchive(opening) { logger.warning("\(away); trying again") }
            let process = try ConsumerProcess(exec, position: from)
            consumer = process
            let printer = ConsumerInput(RecordPrinter(output: process.input, format: format ?? .json))
            target = .consumer(from: from) { records in try await pool.run { try printer.give(records) } }
        } else {
            target = .replica(directory: to ?? "", from: from?.lsn, rewinds: rewind)
        }
        var settings = FollowerSettings()
        settings.interval = interval.inSeconds
        settings.retain = retain?.bytes
        let follower = LogFollower(
            store: opening.store, log: opening.log, keys: opening.keys, url: opening.url, to: target, settings: settings, logger: logger)
        let service = FollowService(follower: follower, consumer: consumer, pool: pool)
        do {
            try await SignalledService.run(service)
        } catch {
            throw to.map { LogDirectory.explain(error, making: $0) } ?? error
        }
    }
}

extension FollowCommand {
    /// Before anything is started: whether there is an archive. One that cannot be reached is waited for: then why.
    fileprivate static func requireArchive(_ opening: ArchiveOpening) async throws(ArchiveError) -> ArchiveError? {
        do throws(ArchiveError) {
            _ = try await ArchiveReader.open(store: opening.store, log: opening.log)
            return nil
        } catch {
            guard error.isRetryable else { throw error }
            return error
        }
    }
}

/// Prints records to a command. One gives at a time.
final class ConsumerInput: Sendable {
    private let printer: Mutex<RecordPrinter>

    init(_ printer: RecordPrinter) { self.printer = Mutex(printer) }

    /// All of them are in the pipe on return.
    func give(_ records: [FollowedRecord]) throws(WALError) {
        try printer.withLock { printer throws(WALError) in
            for record in records { try printer.print(record.lsn, record.data.span, next: record.next) }
            try printer.flush()
        }
    }
}
