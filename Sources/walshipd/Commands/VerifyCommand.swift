import Archive
import ArgumentParser
import Follower
import WAL

/// `walshipd verify`: every file and every record of a log, or every document, object and record of an archive, read and checked.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Reads all of a log, or of an archive, and says whether it is what was written.",
        discussion: """
            --log checks the control file, the slots, every segment file and every record up to where the log is durable; it works beside a \
            writer and changes nothing.

            --archive checks every document, every object (of all epochs where the store lists) and every record of them, and that nothing is missing; it works \
            beside a shipper and writes nothing to the archive. With --cursor, only what is new since the last time is read. Objects whose key is not given (--key-file) are \
            checked as they lie there, and not opened.

            Prints "ok" and what is there, or a line for each damage with its LSN and its file or object, and then ends with the exit code 3. A range that was given \
            up (a gap) is no damage, but a restore does not get across it: also 3. Things that need no repair are named on standard error.
            """)

    @Option(help: ArgumentHelp("The directory of the log.", valueName: "dir"))
    var log: String?

    @Option(help: ArgumentHelp("The archive, <base>/<log name>: http://…, https://…, s3://… or file:///….", valueName: "url"))
    var archive: String?

    @OptionGroup var s3: S3Options
    @OptionGroup var keys: KeyOptions

    @Option(help: ArgumentHelp("For --archive: a file that remembers what was read and intact; made where there is none.", valueName: "file"))
    var cursor: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    mutating func validate() throws {
        guard (log == nil) != (archive == nil) else { throw ValidationError("name a log with --log, or an archive with --archive") }
        if let log { try LogDirectory.validate(log) }
        if log != nil, cursor != nil { throw ValidationError("--cursor is for --archive") }
        if cursor == "" { throw ValidationError("--cursor is empty; name a file") }
    }

    mutating func run() async throws {
        if let log { try verify(log: log) }
        if let archive { try await verify(archive: archive) }
    }

    // MARK: A log

    private func verify(log: String) throws {
        var report = LogReport(path: log)
        do {
            try verify(log: log, &report)
        } catch where report.isOpen && json {
            report.error = "\(error)"
            try Output.standard.write(line: report.json.text)
            throw error
        }
    }

    private func verify(log: String, _ report: inout LogReport) throws {
        let reader = try LogDirectory.open(log)
        defer { reader.close() }
        var findings: [LogAudit.Finding] = []
        defer { report.findings = findings }
        let summary = try reader.audit { finding throws(WALError) in
            if json { return findings.append(finding) }
            let place = finding.lsn.map { "at LSN \($0) in \(finding.path)" } ?? "in \(finding.path)"
            switch finding.kind {
            case .damage: try Output.standard.write(line: "damage \(place): \(finding.what)")
            case .note: try Output.error.write(line: "walshipd verify: note: \(place): \(finding.what)")
            }
        }
        (report.summary, report.findings, report.isOpen) = (summary, findings, false)
        if json { try Output.standard.write(line: report.json.text) }
        let counts = Self.describe(summary)
        guard summary.damages == 0 else {
            throw CommandError(
                .damaged, "\(Counted.text(summary.damages, "damaged place")) in \(log), nothing was changed; intact: \(counts). "
                    + (summary.isCopied ? "Restore the archive into another directory" : "`walshipd repair --log` mends it from its archive"))
        }
        if !json { try Output.standard.write(line: "ok: \(counts)") }
    }

    static func describe(_ summary: LogAudit.Summary) -> String {
        var text = "\(Counted.text(summary.records, "record")), \(Counted.text(summary.bytes, "byte")), \(Counted.text(summary.segments, "segment")), "
        text += "head \(summary.head), durable \(summary.durable), \(Counted.text(summary.epochs, "epoch"))"
        if summary.isCopied { text += ", a copied directory" }
        if summary.isReplica { text += ", a replica" }
        return text
    }

    // MARK: An archive

    private func verify(archive: String) async throws {
        var report = ArchiveReport()
        do {
            try await verify(archive: archive, &report)
        } catch where report.isOpen && json {
            // Whoever reads JSON is told in JSON, also why there is no more of it.
            report.error = "\(error)"
            try Output.standard.write(line: report.json.text)
            throw error
        }
    }

    private func verify(archive: String, _ report: inout ArchiveReport) async throws {
        let opening = try await ArchiveOpening(archive, s3, keys)
        report.url = opening.url
        let file = cursor.map(CursorFile.init)
        let known = try file?.read()
        try file?.requirePlace()
        let audit = ArchiveAudit(store: opening.store, log: opening.log, keys: opening.keys)
        var bar = ProgressBar("verifying", counting: "objects")
        defer { bar.clear() }
        let summary = try await audit.run(cursor: known, progress: { bar.show(done: UInt64($0.done), total: UInt64($0.total)) }) { finding in
            bar.clear()
            if json {
                report.findings.append(finding)
            } else if finding.isFault {
                try Output.standard.write(line: Self.line(finding))
            } else {
                try Output.error.write(line: "walshipd verify: \(Self.line(finding))")
            }
        }
        bar.clear()
        report.summary = summary
        if let file, let cursor = summary.cursor { try file.write(cursor) }
        report.isOpen = false
        if json { try Output.standard.write(line: report.json.text) }
        let counts = Self.describe(summary)
        guard summary.damages == 0, summary.missing == 0, summary.gaps == 0 else {
            let wrong = [(summary.damages, "damaged"), (summary.missing, "missing"), (summary.gaps, "given up")].filter { $0.0 > 0 }
            throw CommandError(
                .damaged, "\(wrong.map { "\($0.0) \($0.1)" }.joined(separator: ", ")) in \(opening.url), nothing was changed; intact: \(counts). "
                    + "`walshipd repair --archive` brings back what another archive or the log still has")
        }
        if !json { try Output.standard.write(line: "ok: \(counts)") }
    }

    static func kind(_ finding: AuditFinding) -> String {
        switch finding.kind {
        case .damage: "damage"
        case .missing: "missing"
        case .gap: "gap"
        case .note: "note"
        }
    }

    static func line(_ finding: AuditFinding) -> String {
        let place = finding.lsn.map { " at LSN \($0)" } ?? ""
        let range = finding.end.map { " to \($0)" } ?? ""
        return "\(kind(finding))\(place)\(range)\(finding.key.map { " in \($0)" } ?? ""): \(finding.what)"
    }

    static func describe(_ summary: AuditSummary) -> String {
        var text = "\(Counted.text(summary.documents, "document")), \(Counted.text(summary.segments, "segment")), \(Counted.text(summary.tails, "tail")), "
        text += "\(Counted.text(summary.records, "record")), \(Counted.text(summary.rawBytes, "byte")) of log in \(summary.objectBytes), "
        text += "LSN \(summary.first) to \(summary.end), \(Counted.text(summary.epochs, "epoch"))"
        if summary.skipped > 0 { text += ", \(summary.skipped) more that were read before" }
        if summary.sealed > 0 { text += "; \(summary.sealed) of the objects are encrypted with keys that were not given: their checksums are right, they were not opened" }
        if !summary.isListed { text += "; the store does not list, so only what names lead to was seen" }
        return text
    }
}
