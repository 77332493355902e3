import Archive
import ArgumentParser
import Follower
import WAL

/// `walshipd prune`: removes the beginning of an archive.
struct PruneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Deletes what an archive need not keep any more.",
        discussion: """
            Everything below an LSN or a time goes: the archive's floor is raised first, to where a record begins and no batch goes on, and then objects that lie wholly below it are \
            deleted, oldest first. The newest closed segment always stays. Without --yes it only says what would be done. A key helps only with --before an LSN in an \
            encrypted archive: without, the floor is the last commit time that the archive notes below it.

            A restore or a follower that is still below the new floor ends with an error that says that the archive was pruned. What an interrupted run leaves, the next \
            one deletes. Run it in one place at a time; where `ship.archive-retain` is set, the daemon does it.

            Exit codes: 4 while another writer takes the archive over; 6 where storage refuses to delete an object (a lock, or a missing permission): the others are gone.
            """)

    @Option(help: ArgumentHelp("The archive, <base>/<log name>: http://…, https://…, s3://… or file:///….", valueName: "url"))
    var archive: String

    @OptionGroup var s3: S3Options
    @OptionGroup var keys: KeyOptions

    @Option(help: ArgumentHelp("Delete what lies below this LSN, or was durable before this time (RFC 3339).", valueName: "lsn|time"))
    var before: String?

    @Option(help: ArgumentHelp("Delete what was durable longer ago than this, like 30d.", valueName: "duration"), transform: DurationText.parse)
    var keep: Duration?

    @Flag(help: "Do it.")
    var yes = false

    mutating func validate() throws {
        guard (before == nil) != (keep == nil) else { throw ValidationError("say what may go: --before an LSN or a time, or --keep a duration") }
        do {
            _ = try request(now: LinuxTimeSource().now())
        } catch {
            throw ValidationError("--before: \(error.description)")
        }
    }

    /// Digits alone are an LSN.
    func request(now: UInt64) throws(ArgumentTextError) -> Pruning.Request {
        if let keep {
            let (seconds, attoseconds) = keep.components
            let nanoseconds = UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds) / 1_000_000_000
            return .olderThan(now > nanoseconds ? now - nanoseconds : 0)
        }
        let text = before ?? ""
        return text.allSatisfy(\.isNumber) ? .before(try LSNText.parse(text)) : .olderThan(try InstantText.parse(text))
    }

    mutating func run() async throws {
        let opening = try await ArchiveOpening(archive, s3, keys)
        let pruning = try await Pruning.open(store: opening.store, log: opening.log, keys: opening.keys, now: { LinuxTimeSource().now() })
        let request = try request(now: LinuxTimeSource().now())
        if case .olderThan(let time) = request { try Output.error.write(line: "what was durable since \(RFC3339.text(time)) is kept") }
        let plan = try await pruning.plan(request)
        if let floor = plan.floor {
            try Output.standard.write(line: "floor \(floor.lsn)")
        } else {
            try Output.error.write(line: "the archive begins at LSN \(plan.first); nothing above that may go")
        }
        guard yes else {
            for key in plan.keys { try Output.standard.write(line: "delete \(key)") }
            try Output.error.write(line: plan.isEmpty ? "nothing to do" : "\(Counted.text(plan.keys.count, "object")) would be deleted; --yes does it")
            return
        }
        var failure: WALError?
        let outcome = try await pruning.run(plan) { key in
            do throws(WALError) {
                try Output.standard.write(line: "deleted \(key)")
            } catch {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        for refusal in outcome.refused { try Output.standard.write(line: "refused \(refusal.key): \(refusal.reason)") }
        guard outcome.refused.isEmpty else {
            throw CommandError(
                .storage, "\(Counted.text(outcome.deleted, "object")) deleted; \(Counted.text(outcome.refused.count, "deletion")) refused by the store, and what it keeps stays below the archive's floor, LSN \(plan.first). Run it again when they may go")
        }
        try Output.error.write(line: "\(Counted.text(outcome.deleted, "object")) deleted; the archive begins at LSN \(plan.first)")
    }
}
