import ArgumentParser
import WAL

/// `walshipd flush`: waits until a record is safe elsewhere.
struct FlushCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flush",
        abstract: "Waits until every destination of a log has archived it, up to an LSN.",
        discussion: """
            Looks at the slots of the log, which a running `walshipd run` moves when storage has acknowledged; it ships nothing by itself. With --wait, \
            the record at that LSN is waited for, and all before it; without, all that is durable now.

            Exit codes: 3 where a destination gave the range up, 5 where the log or a destination's slot does not exist, 6 after --timeout.
            """)

    @Option(help: ArgumentHelp("The directory of the log.", valueName: "dir"))
    var log: String

    @Option(help: ArgumentHelp("The LSN of a record, or the log's end.", valueName: "lsn"), transform: LSNText.parse)
    var wait: LSN?

    @Option(
        help: ArgumentHelp("How long to wait; default: 30s.", valueName: "duration"),
        transform: { try SettingParsers.duration(.milliseconds(1)...(.seconds(7 * 86_400)))($0) })
    var timeout: Duration = .seconds(30)

    /// Between two looks: two reads of small files that are in the page cache.
    private static let lookInterval: Duration = .milliseconds(20)

    mutating func validate() throws { try LogDirectory.validate(log) }

    mutating func run() async throws {
        let reader = try LogDirectory.open(log)
        defer { reader.close() }
        let end = ContinuousClock.now + timeout
        var goal = FlushGoal(asked: try wait ?? reader.durableLSN)
        while true {
            let standing = try goal.look(at: reader)
            if case .archived(let lsn) = standing {
                try Output.error.write(line: "archived up to LSN \(lsn)")
                return
            }
            guard ContinuousClock.now < end else {
                throw CommandError(.storage, "not archived within \(DurationText.format(timeout)): \(standing.words)")
            }
            try await Task.sleep(for: Self.lookInterval)
        }
    }
}
