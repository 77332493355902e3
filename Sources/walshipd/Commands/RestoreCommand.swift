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
            Every byte is checked before it says done. The directory becomes a log only when it is complete; on an error nothing is left of it. \
            The restored log is a replica: it can be read, and written after `walshipd promote`.

            With --at, every record whose LSN is at or below the given one is restored, the record at that LSN included; a batch is restored only \
            if its last record is. Without, all that is archived, up to the last whole record or batch. A gap (a range that was given up) is not crossed: \
            with --from, the restored log begins after it.

            Encrypted objects need the keys that they were encrypted with: --key-file, or encryption.key-file and the like in the environment; --plan says which, and \
            needs none.

            Exit codes: 2 where a key is missing; 3 for a gap, a missing or damaged object or an end that cannot be proven; 5 where there is no archive, or nothing at the \
            LSN; 6 where storage cannot be reached.
            """)

    @Option(help: ArgumentHelp("The archive, <base>/<log name>: http://…, https://…, s3://… or file:///….", valueName: "url"))
    var archive: String

    @OptionGroup var s3: S3Options
    @OptionGroup var keys: KeyOptions

    @Option(help: ArgumentHelp("The directory to restore into: missing or empty.", valueName: "dir"))
    var to: String?

    @Option(help: ArgumentHelp("The LSN of the last record to restore.", valueName: "lsn"), transform: LSNText.parse)
    var at: LSN?

    @Option(
        help: ArgumentHelp("Begin with the first record at or after this LSN: the end of a gap, as the error about it says.", valueName: "lsn"),
        transform: LSNText.parse)
    var from: LSN?

    @Flag(help: "Only say what would be done, and whether anything is missing.")
    var plan = false

    mutating func validate() throws {
        if to == nil && !plan { throw ValidationError("--to is missing; name the directory to restore into, or ask for --plan") }
        if to == "" { throw ValidationError("--to is empty; name the directory to restore into") }
    }

    mutating func run() async throws {
        let opening = try await ArchiveOpening(archive, s3, keys)
        let reader = try await ArchiveReader.open(store: opening.store, log: opening.log, keys: opening.keys, traces: .objects)
        let restore = Restore(reader, target: at.map { .through($0) } ?? .everything, from: from)
        if plan { return try print(try await restore.plan()) }
        guard let to else { preconditionFailure("validated") }
        var bar = ProgressLine()
        let summary: Restore.Summary
        do {
            summary = try await restore.run(into: to) { bar.show(done: $0.done, total: $0.total) }
        } catch {
            bar.clear()
            throw error
        }
        bar.clear()
        let rate = summary.seconds > 0 ? Double(summary.bytes) / summary.seconds / 1e6 : 0
        try Output.error.write(
            line: "restored \(summary.records) records, \(summary.bytes) bytes, LSN \(summary.head) to \(summary.end), from \(summary.objects) objects "
                + "in \(Self.decimal(summary.seconds)) s (\(Self.decimal(rate)) MB/s); it is a replica until `walshipd promote`")
    }

    private func print(_ plan: RestorePlan) throws(WALError) {
        var lines = [
            "log_id \(plan.logID)", "archive_id \(plan.archiveID)", "segment_size \(plan.segmentSize)", "head_lsn \(plan.head)",
            "start_lsn \(plan.start)", "end_lsn \(plan.end)", "segments \(plan.segments)", "tails \(plan.tails)", "bytes \(plan.rawBytes)",
            "object_bytes \(plan.objectBytes)",
        ]
        if plan.encrypted > 0 { lines.append("encrypted \(plan.encrypted)") }
        for key in plan.keys.map(\.description).sorted() { lines.append("key \(key)") }
        for epoch in plan.epochs { lines.append("epoch \(epoch.number) \(epoch.id) from \(epoch.start)") }
        for line in lines { try Output.standard.write(line: line) }
    }

    /// With one decimal, without a locale.
    private static func decimal(_ value: Double) -> String {
        let tenths = Int64((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}

/// One line on standard error that is written over; nothing where that is no terminal.
struct ProgressLine {
    private let isTerminal = Output.error.isTerminal
    private var shown = -1

    mutating func show(done: UInt64, total: UInt64) {
        guard isTerminal, total > 0 else { return }
        let percent = Int(done * 100 / total)
        guard percent != shown else { return }
        shown = percent
        write("\r\(percent) % of \(total) bytes")
    }

    mutating func clear() {
        if shown >= 0 { write("\r\u{1B}[K") }
        shown = -1
    }

    private func write(_ text: String) {
        do {
            try Output.error.write(Array(text.utf8))
        } catch {
            // A terminal that has gone away needs no progress; the command's own words will fail and say so.
        }
    }
}
