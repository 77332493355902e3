import Archive
import ArgumentParser
import Follower
import WAL

/// `walshipd restore`: a log from its archive.
struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Restores a log from its archive into a new directory.",
        discussion: """
            Every byte is checked before it says done. The directory becomes a log only when it is complete. A restore that was interrupted, by an error, a \
            full disk, kill -9 or a power failure, goes on where it was when it is run again into the same directory; what an attempt before has left is verified again. \
            The restored log is a replica: it can be read, and written after `walshipd promote`.

            With --at, every record whose LSN is at or below the given one is restored, the record at that LSN included; a batch is restored only \
            if its last record is. With --before, what ends at or below the given LSN: all that precedes a gap, say. \
            With --at-time, what was durable at that time, by the clock of the machine that wrote it, to a second. \
            Without, all that is archived, up to the last whole record or batch. A gap (a range that was given up) is not crossed: \
            with --from, the restored log begins after it.

            With --archive repeated, what is damaged, missing or cannot be reached in one archive is taken from the next one that has it, and named; all are archives of one log.

            Encrypted objects need the keys that they were encrypted with: --key-file, or encryption.key-file and the like in the environment; --plan says which, and \
            needs none.

            Exit codes: 2 where a key is missing, or where a clock was set back and the log was at the time more than once (the LSNs are listed); 3 for a gap, a missing or \
            damaged object or an end that cannot be proven; 4 for archives of different histories; 5 where there is no archive, or nothing at the LSN or time; 6 where storage cannot be reached.
            """)

    @Option(
        help: ArgumentHelp(
            "The archive, <base>/<log name>: http://…, https://…, s3://… or file:///…; repeat it for each that stands in for the ones before.",
            valueName: "url"))
    var archive: [String]

    @OptionGroup var s3: S3Options
    @OptionGroup var keys: KeyOptions

    @Option(help: ArgumentHelp("The directory to restore into: missing, empty, or left by the same restore.", valueName: "dir"))
    var to: String?

    @Option(help: ArgumentHelp("The LSN of the last record to restore.", valueName: "lsn"), transform: LSNText.parse)
    var at: LSN?

    @Option(help: ArgumentHelp("Restore the records, and batches, that end at or below this LSN.", valueName: "lsn"), transform: LSNText.parse)
    var before: LSN?

    @Option(
        help: ArgumentHelp("Restore what was durable at this time, like 2026-11-23T14:05:00Z.", valueName: "time"), transform: InstantText.parse)
    var atTime: UInt64?

    @Option(
        help: ArgumentHelp("Begin with the first record at or after this LSN: the end of a gap, as the error about it says.", valueName: "lsn"),
        transform: LSNText.parse)
    var from: LSN?

    @Option(help: ArgumentHelp("Objects that are downloaded at one time, 1 to \(RestoreLimits.downloadsMax).", valueName: "n"))
    var downloads = RestoreLimits.downloads

    @Flag(help: "Only say what would be done, and whether anything is missing.")
    var plan = false

    @Flag(help: "With --plan: as JSON, with every object.")
    var json = false

    mutating func validate() throws {
        if archive.isEmpty { throw ValidationError("--archive is missing; name the archive to restore from") }
        if to == nil && !plan { throw ValidationError("--to is missing; name the directory to restore into, or ask for --plan") }
        if to == "" { throw ValidationError("--to is empty; name the directory to restore into") }
        if [at != nil, before != nil, atTime != nil].count(where: { $0 }) > 1 {
            throw ValidationError("--at, --before and --at-time say different ends; leave all but one out")
        }
        if let end = at ?? before, let from, end < from { throw ValidationError("--from \(from) lies above the end that is asked for, \(end)") }
        if json && !plan { throw ValidationError("--json is the form of a plan; ask for --plan, too") }
        guard (1...RestoreLimits.downloadsMax).contains(downloads) else {
            throw ValidationError("--downloads is \(downloads); set it between 1 and \(RestoreLimits.downloadsMax)")
        }
    }

    mutating func run() async throws {
        let group = try await archives()
        let target: RestoreTarget = at.map { .through($0) } ?? before.map { .before($0) } ?? atTime.map { .time($0) } ?? .everything
        let restore = Restore(group, target: target, from: from, downloads: downloads)
        let names = group.readers.map(\.name)
        if plan { return try print(try await restore.plan(), names) }
        guard let to else { preconditionFailure("validated") }
        let screen = RestoreScreen(names)
        defer { screen.clear() }
        let summary: Restore.Summary
        do {
            summary = try await restore.run(into: to, progress: { screen.show($0) }, note: { screen.note($0) })
        } catch {
            throw explain(error, to)
        }
        screen.clear()
        let rate = summary.seconds > 0 ? Double(summary.bytes - summary.resumed) / summary.seconds / 1e6 : 0
        var words = "restored \(Counted.text(summary.records, "record")), \(Counted.text(summary.bytes, "byte")), LSN \(summary.head) to \(summary.end), "
        words += "from \(Counted.text(summary.objects, "object")) "
        words += "in \(Self.decimal(summary.seconds)) s (\(Self.decimal(rate)) MB/s)"
        if summary.resumed > 0 { words += "; \(Counted.text(summary.resumed, "byte")) of them were there from an attempt before" }
        if !summary.problems.isEmpty { words += "; what was wrong in one archive was taken from another (\(Counted.text(summary.problems.count, "object")))" }
        words += "; it is a replica until `walshipd promote`"
        // Who goes back to a point has to know it: the archive has more.
        if case .everything = target {} else { words += ", which takes in what is archived past it unless --at \(summary.end) is given" }
        try Output.error.write(line: words)
    }

    /// What stands in the way of the directory, in words that say what to do.
    private func explain(_ error: any Error, _ directory: String) -> any Error {
        guard case .notALog(_, let reason)? = error as? WALError else { return LogDirectory.explain(error, making: directory) }
        return CommandError(.failed, "nothing was restored into \(directory): \(reason); it was left as it was, name a directory that is missing or empty")
    }

    /// Those that can be opened, at least one; about the others it is said why not.
    private func archives() async throws -> ArchiveGroup {
        var readers: [ArchiveReader] = []
        var failures: [(url: String, error: ArchiveError)] = []
        for argument in archive {
            let opening = try await ArchiveOpening(argument, s3, keys, transfers: downloads)
            do throws(ArchiveError) {
                readers.append(
                    try await ArchiveReader.open(store: opening.store, log: opening.log, keys: opening.keys, traces: .objects))
            } catch {
                failures.append((opening.url, error))
            }
        }
        if readers.isEmpty, let first = failures.first { throw first.error }
        for (url, error) in failures { try Output.error.write(line: "walshipd restore: the archive \(url) is left out: \(error)") }
        return try ArchiveGroup(readers)
    }

    private func print(_ plan: RestorePlan, _ names: [String]) throws(WALError) {
        for problem in plan.problems { try Output.error.write(line: RestoreScreen.words(problem, names)) }
        if json { return try Output.standard.write(line: plan.json(archives: names).text) }
        for line in plan.lines { try Output.standard.write(line: line) }
    }

    /// With one decimal, without a locale.
    private static func decimal(_ value: Double) -> String {
        let tenths = Int64((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
