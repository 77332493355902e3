import ArgumentParser
import Follower
import Synchronization
import WAL

/// `walshipd replay`: the records of a log, or of its archive, to a command or standard output, with positions.
struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Gives the records of a log, or of its archive, to a command.",
        discussion: """
            Whole records and batches, in order, up to what is durable or archived at the start; the last line on standard error says where to go on. Without --exec they go \
            to standard output.

            \(RecordFormat.positionWords)

            Exit codes: 1 where the command fails, 3 for damage or a gap, 4 for a position of another history, 5 where there is no log, archive or record at --from.
            """)

    @OptionGroup var source: SourceOptions

    @Option(
        help: ArgumentHelp("Where to begin: the LSN of a record, or next of the one before (default: the first).", valueName: "position"), transform: PositionText.parse)
    var from: LogPosition?

    @Option(help: ArgumentHelp("A command, for /bin/sh, that is given the records on its standard input.", valueName: "command"))
    var exec: String?

    @Option(
        help: ArgumentHelp("How records are given (default: json).", valueName: "json|positioned|lines|framed|hex"),
        transform: { try RecordFormat.parse(RecordFormat.allCases)($0) })
    var format = RecordFormat.json

    mutating func validate() throws {
        if exec == "" { throw ValidationError("--exec is empty; name a command") }
        try source.requireAbove(from?.lsn)
    }

    mutating func run() async throws {
        let pool = BlockingPool()
        if let log = source.log { try check(log) }
        let opening = try await source.opening
        let consumer = try exec.map { try ConsumerProcess($0, position: from) }
        let printer = RecordPrinter(output: consumer?.input ?? .standard, format: format)
        let position: LogPosition?
        do {
            if let opening {
                position = try await replay(opening, printer, pool)
            } else {
                let (directory, from, to) = (source.log ?? "", from, source.to)
                position = try await pool.run { try Self.replay(directory, from: from, to: to, printer) }
            }
        } catch {
            guard let consumer else { throw error }
            try await consumer.abandon(pool)
            if let error = error as? WALError, error.isBrokenPipe { throw consumer.failure("ended, or closed its input, before the last record") }
            throw error
        }
        try await consumer?.finish(pool)
        if let position = position ?? from {
            try Output.error.write(line: "replayed; go on with --from \(position)")
        } else {
            try Output.error.write(line: source.to.map { "no record ends at or below --to \($0)" } ?? "nothing is archived yet")
        }
    }

    /// Found out before a command is started: that there is a log, and that it has been where the consumer is. Read on from a position past its end, it would one day have
    /// other records there than those that the consumer knows.
    private func check(_ directory: String) throws {
        let reader = try LogDirectory.open(directory)
        defer { reader.close() }
        let end = try reader.durableLSN
        guard let from else { return }
        // Of another history is what it stays, however far this log goes; not here yet may change.
        try reader.requireHistory(of: from)
        guard from.lsn > end else { return }
        throw CommandError(
            .notFound, "\(directory) ends at LSN \(end), and --from is \(from): whoever stored that position was given it by another log, or has records that this one does not have")
    }

    private static func replay(_ directory: String, from: LogPosition?, to: LSN?, _ printer: RecordPrinter) throws -> LogPosition {
        var printer = printer
        let result = Result {
            try LogReplay.run(log: directory, from: from, to: to) { lsn, bytes, next in
                try bytes.withTyped { bytes throws(WALError) in try printer.print(lsn, bytes, next: next) }
            }
        }
        // What is intact before damage was asked for, too.
        if case .failure(let error as WALError) = result, error.isBrokenPipe { throw error }
        try printer.flush()
        do {
            return try result.get()
        } catch {
            throw LogDirectory.explain(error, reading: directory, from: from?.lsn)
        }
    }

    private func replay(_ opening: ArchiveOpening, _ printer: RecordPrinter, _ pool: BlockingPool) async throws -> LogPosition? {
        let input = ConsumerInput(printer)
        var waiting: [FollowedRecord] = []
        var bytes = 0
        let result: Result<LogPosition?, any Error>
        do {
            result = .success(
                try await LogReplay.run(archive: opening.store, log: opening.log, keys: opening.keys, from: from, to: source.to) { record in
                    waiting.append(record)
                    bytes += record.data.count + Record.overhead
                    guard bytes >= Self.bytesAtATime else { return }
                    let records = waiting
                    try await pool.run { try input.give(records) }
                    waiting = []
                    bytes = 0
                })
        } catch let error as WALError where error.isBrokenPipe {
            throw error
        } catch {
            result = .failure(error)
        }
        // What came before damage was asked for, too.
        let records = waiting
        try await pool.run { try input.give(records) }
        return try result.get()
    }

    /// Gathered before a write.
    private static let bytesAtATime = 256 << 10
}
