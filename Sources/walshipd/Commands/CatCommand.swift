import Archive
import ArgumentParser
import Follower
import WAL

/// `walshipd cat`: the records of a log, or of its archive, on standard output.
struct CatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat",
        abstract: "Prints the records of a log, or of its archive, in the order of their LSNs.",
        discussion: """
            Prints durable records only, up to where the log is durable at the start; works beside a writer and changes nothing. \
            A damaged record ends it with the exit code 3, after everything before it was printed; so does a gap or a missing object of an archive.

            Formats: lines prints each record and a newline; framed its length in 4 bytes, little-endian, and the record; hex two \
            digits a byte, one record a line; json one object a line, {"lsn":"11","data":"text"}, with "base64" in place of \
            "data" where the record is not UTF-8. LSNs in JSON are decimal strings.
            """)

    @OptionGroup var source: SourceOptions

    @Option(
        help: ArgumentHelp("The LSN of the first record to print (default: the head of the log). Past the end nothing is printed.", valueName: "lsn"),
        transform: LSNText.parse)
    var from: LSN?

    @Option(
        help: ArgumentHelp("How to print records (default: lines).", valueName: "lines|framed|hex|json"),
        transform: { try RecordFormat.parse(RecordFormat.printed)($0) })
    var format = RecordFormat.lines

    mutating func validate() throws { try source.requireAbove(from) }

    mutating func run() async throws {
        var printer = RecordPrinter(output: .standard, format: format)
        do {
            if let archive = try await source.opening { try await print(archive, &printer) }
            if let log = source.log { try print(log, &printer) }
        } catch let error as WALError where error.isBrokenPipe {
            throw error
        } catch {
            // What is intact before the damage was asked for, too.
            try printer.flush()
            throw error
        }
        try printer.flush()
    }

    private func print(_ archive: ArchiveOpening, _ printer: inout RecordPrinter) async throws {
        for try await (lsn, data) in archiveRecords(store: archive.store, log: archive.log, keys: archive.keys, from: from, to: source.to) {
            try printer.print(lsn, data.span)
        }
    }

    private func print(_ log: String, _ printer: inout RecordPrinter) throws {
        let reader = try LogDirectory.open(log)
        defer { reader.close() }
        var records = (from.map { reader.iterFrom($0, ifTruncated: .fail) } ?? reader.iter()).makeIterator()
        let end = source.to ?? LSN(LogLimits.lsnMax)
        var position = from ?? .zero
        // Asked before reading on: what lies at or past the end that was asked for is not looked at, damaged or not.
        while position < end {
            guard let element = records.next() else { return }
            switch element {
            case .success(let record):
                if record.lsn >= end { return }
                try record.withSpan { bytes throws(WALError) in try printer.print(record.lsn, bytes) }
                position = record.endLSN
            case .failure(let error): throw LogDirectory.explain(error, reading: log, from: from)
            }
        }
    }
}
