import ArgumentParser
import WAL

/// `walshipd append`: records from standard input into a log.
///
/// Synchronous: it blocks on its input and on flushes, on the main thread, where nobody else runs.
struct AppendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "append",
        abstract: "Appends records from standard input to a log; makes the log if there is none.",
        discussion: """
            Ends with the input. SIGTERM or SIGINT end it too, with the exit code 0: whole records that were read are appended and \
            made durable, an unfinished one is left out; a second signal ends it at once. When it fails, what was acknowledged \
            is in the log.

            With --sync end and --ack, a sync is made earlier where 1 MiB of acknowledgements wait for it.
            """)

    @Option(help: ArgumentHelp("The directory of the log.", valueName: "dir"))
    var log: String

    @Option(
        help: ArgumentHelp("When to make records durable: each record, each batch (one read of the input), or at its end (default: batch).", valueName: "each|batch|end"),
        transform: { try SettingParsers.word(RecordAppender.SyncPolicy.self)($0) })
    var sync = RecordAppender.SyncPolicy.batch

    @Option(
        help: ArgumentHelp("lines: one record a line; framed: the length in 4 bytes, little-endian, then the record (default: lines).", valueName: "lines|framed"),
        transform: { try RecordFormat.parse(RecordFormat.readable)($0) })
    var format = RecordFormat.lines

    @Flag(help: "Print the LSN of each record, one a line, once the record is durable.")
    var ack = false

    @Option(
        help: ArgumentHelp("Segment size of a new log, 4KiB to 1GiB in steps of 4KiB (default: 16MiB). A log that exists must have it.", valueName: "size"),
        transform: ByteSize.parse)
    var segmentSize: ByteSize?

    mutating func validate() throws {
        try LogDirectory.validate(log)
        if let size = segmentSize?.bytes {
            let sizes = UInt64(LogLimits.segmentSizeMin)...UInt64(LogLimits.segmentSizeMax)
            guard sizes.contains(size), size % UInt64(LogLimits.pageSize) == 0 else {
                throw ValidationError("--segment-size \(ByteSize(size)): expected 4KiB to 1GiB, a multiple of 4KiB")
            }
        }
    }

    mutating func run() throws {
        let input = try StandardInput()
        let log = try open()
        do {
            try tellRecovery(of: log)
            try feed(log, from: RecordFeed(input: input, format: format, maxRecordSize: log.maxRecordSize))
        } catch {
            // What came first is what has to be told; a log that has stopped would only say so again.
            try? log.close()
            throw error
        }
        try log.close()
    }

    private func open() throws -> SegmentedLog {
        do throws(WALError) {
            let opened = try SegmentedLog.open(directory: log, segmentSize: segmentSize.map { Int($0.bytes) })
            if opened.isReplica {
                try opened.close()
                throw .stopped(cause: .replica)
            }
            return opened
        } catch {
            throw LogDirectory.explain(error, making: log)
        }
    }

    private func tellRecovery(of opened: SegmentedLog) throws(WALError) {
        let report = opened.recoveryReport
        guard let reason = report.discardReason else { return }
        try Output.error.write(
            line: "walshipd append: \(report.bytesDiscarded) bytes after LSN \(report.end) of \(log) were never durable and have been discarded (\(reason.rawValue))")
    }

    private func feed(_ log: SegmentedLog, from feed: RecordFeed) throws {
        var feed = feed
        var appender = RecordAppender(log: log, policy: sync, output: ack ? .standard : nil)
        do {
            loop: while true {
                switch try feed.next({ record in try appender.append(record) }) {
                case .paused: try appender.pause()
                case .ended: break loop
                case .stopped(let unfinished):
                    if unfinished > 0 {
                        try Output.error.write(
                            line: "walshipd append: stopped by a signal; \(feed.place) was not whole and was left out (\(unfinished) bytes)")
                    }
                    break loop
                }
            }
        } catch let error as WALError {
            throw try refusal(error, &appender, at: feed.place)
        } catch {
            // The input is not what it should be: what came before it counts.
            try appender.settle()
            throw error
        }
        try appender.settle()
    }

    /// After an error of the log: what of the input is in it.
    private func refusal(_ error: WALError, _ appender: inout RecordAppender, at place: String) throws -> any Error {
        if error.isBrokenPipe { return error }
        switch error {
        case .noSpace, .recordTooLarge, .io: break
        default: return error
        }
        try appender.settle()
        let kept = appender.last.map { "\(appender.count) records before it are in the log, the last at LSN \($0)" } ?? "nothing was appended"
        return CommandError(.failed, "\(place) was not appended: \(error); \(kept)")
    }
}
