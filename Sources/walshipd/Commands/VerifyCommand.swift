import ArgumentParser
import WAL

/// `walshipd verify`: every file and every record of a log, read and checked.
struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Reads all of a log and says whether it is what was written.",
        discussion: """
            Checks the control file, the slots, every segment file and every record up to where the log is durable; works beside a \
            writer and changes nothing. Prints "ok" and what is there, or a line for each damage with its LSN and file, and then \
            ends with the exit code 3. Things that need no repair, such as traces of a crash, are named on standard error.
            """)

    @Option(help: ArgumentHelp("The directory of the log.", valueName: "dir"))
    var log: String

    mutating func validate() throws { try LogDirectory.validate(log) }

    mutating func run() throws {
        let reader = try LogDirectory.open(log)
        defer { reader.close() }
        let summary = try reader.audit { finding throws(WALError) in
            let place = finding.lsn.map { "at LSN \($0) in \(finding.path)" } ?? "in \(finding.path)"
            switch finding.kind {
            case .damage: try Output.standard.write(line: "damage \(place): \(finding.what)")
            case .note: try Output.error.write(line: "walshipd verify: note: \(place): \(finding.what)")
            }
        }
        let counts = Self.describe(summary)
        guard summary.damages == 0 else {
            throw CommandError(
                .damaged, "\(summary.damages) damaged \(summary.damages == 1 ? "place" : "places") in \(log), nothing was changed; intact: \(counts). Restore the log from its archive")
        }
        try Output.standard.write(line: "ok: \(counts)")
    }

    static func describe(_ summary: LogAudit.Summary) -> String {
        func count(_ number: UInt64, _ one: String) -> String { "\(number) \(one)\(number == 1 ? "" : "s")" }
        var text = "\(count(summary.records, "record")), \(count(summary.bytes, "byte")), \(count(summary.segments, "segment")), "
        text += "head \(summary.head), durable \(summary.durable), \(count(UInt64(summary.epochs), "epoch"))"
        if summary.isCopied { text += ", a copied directory" }
        if summary.isReplica { text += ", a replica" }
        return text
    }
}
