import Archive
import ArgumentParser
import Follower
import WAL

/// `walshipd repair`: a log from its archive, or an archive from another one or from the log.
struct RepairCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Mends a log from its archive, or an archive from another archive or from the log.",
        discussion: """
            --log with --archive: damaged and missing segments of the log get the bytes that were archived. Nobody may have the log open for writing. Each record is verified \
            in its place before anything is replaced.

            --archive with --from (another archive of the same log, or a copy) or --from-log: damaged and missing objects are put there again, if they are proven to be what \
            was there: by the digest that the object behind them names, or that their own metadata still says. Documents come from a copy only. What is intact is never replaced. It may run \
            beside the daemon.

            Without --yes it only says what would be done. Exit codes: 0 nothing was wrong, or all of it was mended; 3 something is wrong that was not (or, without --yes, yet) mended.
            """)

    @Option(help: ArgumentHelp("The directory of the log to mend.", valueName: "dir"))
    var log: String?

    @Option(help: ArgumentHelp("The archive: to mend the log from, or to mend.", valueName: "url"))
    var archive: String

    @OptionGroup var s3: S3Options
    @OptionGroup var keys: KeyOptions

    @Option(help: ArgumentHelp("Another archive of the same log, to mend the archive from.", valueName: "url"))
    var from: String?

    @Option(help: ArgumentHelp("The log's directory, to mend the archive from.", valueName: "dir"))
    var fromLog: String?

    @Flag(help: "Do it.")
    var yes = false

    mutating func validate() throws {
        guard [log, from, fromLog].count(where: { $0 != nil }) == 1 else {
            throw ValidationError("name a log to mend with --log; or, to mend the archive, where from with --from or --from-log")
        }
        for directory in [log, fromLog] { if let directory { try LogDirectory.validate(directory) } }
    }

    mutating func run() async throws {
        let opening = try await ArchiveOpening(archive, s3, keys)
        if let log { return try await mend(log: log, opening) }
        let found = try await Self.faults(opening)
        guard !found.isEmpty else { return try Output.error.write(line: "nothing to repair: \(opening.url) is intact") }
        let reader = try await ArchiveReader.open(store: opening.store, log: opening.log, keys: opening.keys)
        if let from {
            let other = try await ArchiveOpening(from, s3, keys)
            let source = try await ArchiveReader.open(store: other.store, log: other.log, keys: other.keys)
            try await mend(found, reader, .archive(source), opening)
        } else if let fromLog {
            let source = try LogDirectory.open(fromLog)
            defer { source.close() }
            try await mend(found, reader, .log(source), opening)
        }
    }

    // MARK: A log

    private func mend(log: String, _ opening: ArchiveOpening) async throws {
        let reader = try await ArchiveReader.open(store: opening.store, log: opening.log, keys: opening.keys)
        let mending = try await LogMending.open(directory: log, archive: reader)
        defer { mending.close() }
        for damage in mending.damages {
            try Output.standard.write(line: "damage at LSN \(damage.range.lowerBound) to \(damage.range.upperBound) in segment \(damage.index): \(damage.reason)")
        }
        let steps = try await mending.plan()
        guard !steps.isEmpty || mending.areFactsDamaged else { return try Output.error.write(line: "nothing to repair: \(log) is intact") }
        for step in steps {
            let what = "segment \(step.index), LSN \(step.range.lowerBound) to \(step.range.upperBound)"
            if let obstacle = step.obstacle {
                try Output.standard.write(line: "cannot mend \(what): \(obstacle)")
            } else if !yes {
                let from = step.objects.isEmpty ? "a new foot over its own bytes" : "from " + step.objects.map(\.path).joined(separator: ", ")
                try Output.standard.write(line: "would mend \(what): \(from)")
            }
        }
        guard yes else { throw CommandError(.damaged, "nothing was changed; --yes mends what can be mended") }
        let report = try await mending.run(steps)
        for segment in report {
            let given = segment.given.isEmpty ? "a new foot" : "LSN \(segment.given.lowerBound) to \(segment.given.upperBound) from \(opening.url)"
            try Output.standard.write(line: "replaced \(segment.path): \(given), \(segment.bytesChanged) bytes are other than they were")
        }
        let left = steps.count { $0.obstacle != nil }
        if left > 0 { throw CommandError(.damaged, "\(left) segments are still damaged; the archive does not have them") }
    }

    // MARK: An archive

    private static func faults(_ opening: ArchiveOpening) async throws -> [AuditFinding] {
        var found: [AuditFinding] = []
        _ = try await ArchiveAudit(store: opening.store, log: opening.log, keys: opening.keys).run { finding in
            guard finding.kind == .damage || finding.kind == .missing else { return }
            try Output.standard.write(line: VerifyCommand.line(finding))
            found.append(finding)
        }
        return found
    }

    private func mend(_ found: [AuditFinding], _ reader: ArchiveReader, _ source: MendingSource, _ opening: ArchiveOpening) async throws {
        let mending = try ArchiveMending(reader, from: source)
        var (done, left) = (0, 0)
        try await mending.mend(found) { step in
            let range = step.range.map { ", LSN \($0.lowerBound) to \($0.upperBound)" } ?? ""
            let digest = step.digest.map { ", digest \($0)" } ?? ""
            let what = "\(step.isMissing ? "missing" : "damaged") \(step.key)\(range)\(digest), \(step.size) bytes from \(source.name)"
            if !yes {
                left += 1
                try Output.standard.write(line: "would put \(what)")
            } else if try await mending.put(step) {
                done += 1
                try Output.standard.write(line: "put \(what)")
            } else {
                try Output.standard.write(line: "\(step.key) is intact by now; it stays as it is")
            }
        } _: { obstacle in
            left += 1
            try Output.standard.write(line: "cannot mend \(obstacle.key?.path ?? "LSN \(obstacle.lsn ?? .zero)"): \(obstacle.reason)")
        }
        guard left == 0 else {
            throw CommandError(.damaged, yes ? "\(done) brought back, \(left) still damaged or missing in \(opening.url)" : "nothing was changed; --yes puts what can be put")
        }
        try Output.error.write(line: "\(done) brought back; `walshipd verify --archive` reads all of it again")
    }
}
