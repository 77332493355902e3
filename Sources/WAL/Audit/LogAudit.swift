/// A full look at a log on disk: every file that it needs and every frame from the head to the durable LSN. Changes nothing, takes no
/// lock but a reader's, and may run beside the writer.
///
/// Files are looked at first, then frames. One thread.
package struct LogAudit {
    /// Something that is not as it should be.
    package struct Finding: Hashable, Sendable {
        package enum Kind: Hashable, Sendable {
            /// Bytes are not what was written, or are missing.
            case damage
            /// What a crash may leave and every reader tolerates; or the log moved on meanwhile.
            case note
        }
        package var kind: Kind
        /// Where in the log; nil where it is not the log's own bytes.
        package var lsn: LSN?
        package var path: String
        package var what: String
    }

    package struct Summary: Hashable, Sendable {
        /// Intact records and their bytes, headers not counted.
        package var records: UInt64 = 0
        package var bytes: UInt64 = 0
        /// Segments that hold bytes between head and durable.
        package var segments: UInt64 = 0
        package var head = LSN.zero
        package var durable = LSN.zero
        package var epochs = 0
        package var damages: UInt64 = 0
        package var isReplica = false
        package var isCopied = false
    }

    private let files: ReaderFiles
    private let report: (Finding) throws(WALError) -> Void
    private var summary = Summary()
    /// Where the first frame of a segment begins, as its foot says: for segments whose foot says so.
    private var firstFrames: [UInt64: LSN?] = [:]
    private var unusable: Set<UInt64> = []
    /// Frames are looked at up to here.
    private var framesEnd = LSN.zero

    /// Attempts at a page that does not verify before that is believed: a writer may be writing it.
    private static let attemptsMax = 3
    private static let attemptPause: UInt64 = 20_000_000

    private init(files: ReaderFiles, report: @escaping (Finding) throws(WALError) -> Void) {
        self.files = files
        self.report = report
    }

    /// Throws what keeps it from looking at all, and what `report` throws.
    static func run(_ files: ReaderFiles, report: @escaping (Finding) throws(WALError) -> Void) throws(WALError) -> Summary {
        var audit = LogAudit(files: files, report: report)
        try audit.run()
        return audit.summary
    }

    private mutating func run() throws(WALError) {
        let facts = try checkFacts()
        let epochs = try files.control.epochTable(facts)
        summary.head = facts.head
        summary.epochs = epochs.epochs.count
        summary.isReplica = facts.isReplica
        try checkSlots()
        summary.durable = max(facts.head, try durable(facts, epochs))
        if let cut = facts.discardFrom, cut < summary.durable {
            try note(nil, files.paths.control, "a truncation of the end to LSN \(cut) was interrupted; the next opening for writing finishes it")
            summary.durable = cut
        }
        try checkSegments(epochs)
        try checkFrames()
    }

    private mutating func damage(_ lsn: LSN?, _ path: String, _ what: String) throws(WALError) {
        summary.damages += 1
        try report(Finding(kind: .damage, lsn: lsn, path: path, what: what))
    }

    private func note(_ lsn: LSN?, _ path: String, _ what: String) throws(WALError) {
        try report(Finding(kind: .note, lsn: lsn, path: path, what: what))
    }

    // MARK: Files

    private mutating func checkFacts() throws(WALError) -> Facts {
        var found = try files.control.readFacts()
        for _ in 1..<LogAudit.attemptsMax where !found.errors.isEmpty {
            files.time.sleep(nanoseconds: LogAudit.attemptPause)
            found = try files.control.readFacts()
        }
        guard let facts = found.facts else {
            throw .corruption(lsn: .zero, reason: found.describeDamage(files.paths.control))
        }
        for error in found.errors {
            try damage(
                nil, files.paths.control,
                "one copy of the facts is damaged (\(error)); the other one holds, and the next opening for writing repairs it")
        }
        summary.isCopied = found.isCopied
        return facts
    }

    private mutating func checkSlots() throws(WALError) {
        for slot in try LogReader(files).slots() {
            let path = files.paths.slot(slot.name)
            if case .everything(let error) = slot.hold {
                try damage(nil, path, "the slot cannot be read (\(error)); it holds all truncation until it is dropped")
            } else if let error = slot.damagedHalf {
                try note(nil, path, "one of its two halves is damaged (\(error)); the other one holds")
            }
        }
    }

    /// As a reader finds it; where a damaged foot keeps it from that, what the others and the facts say.
    private func durable(_ facts: Facts, _ epochs: EpochTable) throws(WALError) -> LSN {
        do throws(WALError) {
            return try files.durableLSN()
        } catch .corruption {
            // The foot is named when the segments are checked.
            var durable = facts.floor
            for index in try files.medium.windows() {
                guard case .success(let cell?) = footCell(index), cell.epoch == epochs.current.id else { continue }
                durable = max(durable, cell.durable)
            }
            try note(nil, files.paths.name, "the durable LSN is not known while a foot is damaged; frames are checked up to LSN \(durable)")
            return durable
        }
    }

    private func footCell(_ index: UInt64) -> Result<SegmentFoot.DurableCell?, WALError> {
        Result { () throws(WALError) in try files.medium.foot(index).chooseCell() }
    }

    private mutating func checkSegments(_ epochs: EpochTable) throws(WALError) {
        guard summary.head < summary.durable else { return }
        let size = files.control.identity.segmentSize
        let first = summary.head.rawValue / size
        let needed = (summary.durable.rawValue - 1) / size
        // A durable LSN that was damaged may ask for more segments than anybody can look for: one past the last that is there tells it all.
        let lastLooked = min(needed, max(try files.medium.windows().last ?? first, first) + 1)
        framesEnd = min(summary.durable, LSN((lastLooked + 1) * size))
        for index in first...lastLooked {
            let path = files.paths.segment(index)
            let start = max(summary.head, LSN(index * size))
            summary.segments += 1
            do throws(WALError) {
                try check(try files.medium.foot(index), at: start, path, epochs)
            } catch .corruption(_, let reason) {
                unusable.insert(index)
                try damage(start, path, reason.hasPrefix(path) ? String(reason.dropFirst(path.utf8.count).drop { $0 == ":" || $0 == " " }) : reason)
            } catch where error.isMissingFile {
                // Truncation may have been faster.
                if try files.headLSN() >= LSN((index + 1) * size) { continue }
                unusable.insert(index)
                let more = index == lastLooked ? needed - lastLooked : 0
                try damage(start, path, more == 0 ? "the segment is missing" : "the segment is missing, and \(more) more after it")
            }
        }
    }

    private mutating func check(_ foot: SegmentFoot, at start: LSN, _ path: String, _ epochs: EpochTable) throws(WALError) {
        switch foot.firstFrame {
        case .success(let cell?): firstFrames[foot.header.index] = .some(cell.lsn)
        case .success(nil): break
        case .failure(let error): try note(start, path, "the foot's first-frame cell is damaged (\(error)); it is only a hint")
        }
        for cell in foot.cells {
            switch cell {
            case .success(let cell?)
            where cell.durable > summary.head && !epochs.epochs.contains { $0.id == cell.epoch }:
                try damage(
                    start, path,
                    "it was written in epoch \(cell.epoch), which \(files.paths.control) does not know: the control file is older than the segment")
            case .success: break
            case .failure(let error): try note(start, path, "a durable cell of the foot is damaged (\(error)); it is as if it were not written")
            }
        }
    }

    // MARK: Frames

    private mutating func checkFrames() throws(WALError) {
        let size = files.control.identity.segmentSize
        var position = summary.head
        while position < framesEnd {
            switch try walk(from: position) {
            case .done: return
            case .overtaken(let head):
                try note(position, files.paths.name, "records below LSN \(head) were truncated while they were read")
                guard head > position else { return }
                position = head
            case .lost(let after):
                // The next place where a foot that can be read says that a frame begins.
                var next: LSN?
                var index = after.rawValue / size + 1
                while next == nil, index * size < framesEnd.rawValue {
                    if !unusable.contains(index), let first = firstFrames[index] ?? nil, first > after { next = first }
                    index += 1
                }
                guard let next, next < framesEnd else { return }
                position = next
            }
        }
    }

    private enum WalkEnd {
        case done
        case overtaken(LSN)
        /// Nothing after this LSN could be read on from.
        case lost(LSN)
    }

    private mutating func walk(from start: LSN) throws(WALError) -> WalkEnd {
        let source = try files.source(try files.control.requireFacts(), policy: .skipBadRecords)
        let size = files.control.identity.segmentSize
        // The segment of the record before; nil after damage, as there the next record need not be the first of its segment.
        var segment: UInt64? = start.rawValue / size
        var isBatchOpen = false
        var last: LSN?
        var bad: LSN?
        let runs = RunIterator(source: source, start: .success(start), end: framesEnd)
        while let step = runs.next() {
            switch step {
            case .success(var run):
                bad = nil
                // The next LSN that is in another segment than the record before.
                var segmentEnd = segment.map { ($0 + 1) * size } ?? 0
                while let (lsn, lengthField) = run.nextHeader() {
                    let header = FrameHeader(checksum: 0, lengthField: lengthField)
                    summary.records += 1
                    summary.bytes += UInt64(header.payloadCount)
                    isBatchOpen = header.continuesBatch
                    last = lsn
                    guard lsn.rawValue >= segmentEnd else { continue }
                    let now = lsn.rawValue / size
                    if segment != nil { try checkFirstFrame(lsn, now) }
                    segment = now
                    segmentEnd = (now + 1) * size
                }
            case .failure(.corruption(let lsn, let reason)):
                bad = lsn
                segment = nil
                if !(unusable.contains(lsn.rawValue / size) && lsn.rawValue % size == 0) {
                    try damage(lsn, files.paths.segment(lsn.rawValue / size), reason)
                }
            case .failure(.positionLost(let head)): return .overtaken(head)
            case .failure(let error): throw error
            }
        }
        if let bad { return .lost(bad) }
        if isBatchOpen, let last {
            try damage(last, files.paths.segment(last.rawValue / size), "the batch that this record belongs to does not end before the log does")
        }
        return .done
    }

    private mutating func checkFirstFrame(_ lsn: LSN, _ segment: UInt64) throws(WALError) {
        guard let claimed = firstFrames[segment], claimed != lsn else { return }
        try damage(
            lsn, files.paths.segment(segment),
            "its foot says that the first frame begins at \(claimed.map { "LSN \($0)" } ?? "no LSN of it"), but one begins here")
    }
}

extension LogReader {
    /// Looks at all of the log and tells what is not as it should be, in the order in which it is found. See `LogAudit`.
    package func audit(_ report: @escaping (LogAudit.Finding) throws(WALError) -> Void) throws(WALError) -> LogAudit.Summary {
        try LogAudit.run(files, report: report)
    }
}
