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
        for directory in [log, fromLog] { if let directory { try LogDirectory.require(directory) } }
        let opening = try await ArchiveOpening(archive, s3, keys)
        if let log { return try await mend(log: log, opening) }
        if let from {
            let other = try await ArchiveOpening(from, s3, keys)
            let source = try await ArchiveReader.open(store: other.store, log: other.log, keys: other.keys)
            try await mend(opening, from: .archive(source))
        } else if let fromLog {
            let source = try LogDirectory.open(fromLog)
            defer { source.close() }
            try await mend(opening, from: .log(source))
        }
    }

    // MARK: A log

    private func mend(log: String, _ opening: ArchiveOpening) async throws {
        let reader = try await ArchiveReader.open(store: opening.store, log: opening.log, keys: opening.keys)
        let mending: LogMending
        do {
            mending = try await LogMending.open(directory: log, archive: reader)
        } catch WALError.stopped(cause: .replica) {
            throw CommandError(
                .failed, "\(log) is a copy of a log's directory, and copies are not mended: mend the log that it was copied from, or restore the archive into another directory; nothing was changed")
        }
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
        let facts = "one copy of the facts in \(log)/control, from the other one"
        let canMend = mending.areFactsDamaged || steps.contains { $0.obstacle == nil }
        guard yes && canMend else {
            if mending.areFactsDamaged { try Output.standard.write(line: "would write \(facts)") }
            throw CommandError(.damaged, canMend ? "nothing was changed; --yes mends what can be mended" : "nothing was changed, as nothing of it can be mended from \(opening.url)")
        }
        let report = try await mending.run(steps)
        for segment in report {
            let given = segment.given.isEmpty ? "a new foot" : "LSN \(segment.given.lowerBound) to \(segment.given.upperBound) from \(opening.url)"
            try Output.standard.write(line: "replaced \(segment.path): \(given), \(Counted.text(segment.bytesChanged, "byte")) changed")
        }
        if mending.areFactsDamaged { try Output.standard.write(line: "wrote \(facts)") }
        let left = steps.count { $0.obstacle != nil }
        if left > 0 { throw CommandError(.damaged, "\(Counted.text(left, "segment")) of \(log) could not be mended, as said above") }
    }

    // MARK: An archive

    /// What was put, and what is left, in one go over the archive.
    private struct Pass {
        var documents = 0
        var objects = 0
        var left = 0
        /// Of what is left, what could be put.
        var mendable = 0
        var isIntact = false
    }

    /// Documents that come back may show what else is missing: then all of it is read again.
    private static let passesMax = 3

    private func mend(_ opening: ArchiveOpening, from source: MendingSource) async throws {
        var done = 0
        var pass = Pass()
        for number in 1...Self.passesMax {
            if number > 1 { try Output.error.write(line: "documents are back; all of it is read again") }
            pass = try await mendOnce(opening, from: source)
            done += pass.documents + pass.objects
            if pass.documents == 0 { break }
        }
        if pass.isIntact, done == 0 { return try Output.error.write(line: "nothing to repair: \(opening.url) is intact") }
        guard pass.left == 0 else {
            if yes { throw CommandError(.damaged, "\(done) brought back, \(pass.left) still damaged or missing in \(opening.url)") }
            throw CommandError(
                .damaged, pass.mendable > 0 ? "nothing was changed; --yes puts what can be put" : "nothing was changed, as nothing of it can be brought back from \(source.name)")
        }
        try Output.error.write(line: "\(done) brought back; `walshipd verify --archive` reads all of it again")
    }

    private func mendOnce(_ opening: ArchiveOpening, from source: MendingSource) async throws -> Pass {
        var found: [AuditFinding] = []
        let summary = try await ArchiveAudit(store: opening.store, log: opening.log, keys: opening.keys).run { finding in
            guard finding.kind == .damage || finding.kind == .missing else { return }
            try Output.standard.write(line: VerifyCommand.line(finding))
            found.append(finding)
        }
        guard !found.isEmpty else { return Pass(isIntact: true) }
        let mending = try await ArchiveMending(store: opening.store, log: opening.log, keys: opening.keys, audited: summary, from: source)
        var pass = Pass()
        try await mending.mend(found) { step in
            let range = step.range.map { ", LSN \($0.lowerBound) to \($0.upperBound)" } ?? ""
            let digest = step.digest.map { ", digest \($0)" } ?? ""
            let what = "\(step.isMissing ? "missing" : "damaged") \(step.key)\(range)\(digest), \(Counted.text(step.size, "byte")) from \(source.name)"
            if !yes {
                pass.left += 1
                pass.mendable += 1
                try Output.standard.write(line: "would put \(what)")
            } else if try await mending.put(step) {
                if step.range == nil { pass.documents += 1 } else { pass.objects += 1 }
                try Output.standard.write(line: "put \(what)")
            } else {
                try Output.standard.write(line: "\(step.key) is intact by now; it stays as it is")
            }
        } _: { obstacle in
            pass.left += 1
            try Output.standard.write(line: "cannot mend \(obstacle.key?.path ?? "LSN \(obstacle.lsn ?? .zero)"): \(obstacle.reason)")
        }
        return pass
    }
}
