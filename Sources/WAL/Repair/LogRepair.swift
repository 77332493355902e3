/// Repairs a log by name: a damaged or missing segment gets verified bytes, from an archive for example.
///
/// Holds the writer's lock from `open` to `close`, so nobody writes meanwhile; readers may stay, and drop what they hold when a segment is
/// replaced. Nothing is changed before it is verified, and nothing but what the report names. Not for two threads at once.
public final class LogRepair {
    public let directory: String
    public let logID: LogID
    /// Bytes of log in a segment.
    public let segmentSize: Int
    /// The first record that is still there.
    public let headLSN: LSN
    /// Everything below is known to have been durable, and so is needed.
    public let floor: LSN
    /// One of the two copies of the facts is damaged, or older than the other; see `mendFacts`.
    public private(set) var areFactsDamaged: Bool

    private let held: HeldLog
    private let files: SegmentDirectory
    private let cell: SegmentFoot.DurableCell

    /// Opens the log in `directory` for repair. `.locked` while somebody writes it; what opening a log throws where its control file
    /// cannot be used; `.stopped(.replica)` for a copied directory, which stays as it is. Nothing is changed.
    public static func open(directory: String) throws(WALError) -> LogRepair {
        try open(directory: directory, fileSystem: LinuxFileSystem(), time: LinuxTimeSource())
    }

    package static func open(directory: String, fileSystem: any FileSystem, time: any TimeSource) throws(WALError) -> LogRepair {
        try HeldLog.hold(directory: directory, fileSystem: fileSystem, time: time) { held throws(WALError) in
            if held.found.isCopied { throw .stopped(cause: .replica) }
            // What a repair that was killed has put in place is only told to be whole when it is there to stay.
            try fileSystem.syncDirectory(held.paths.directory)
            return try LogRepair(held)
        }
    }

    private init(_ held: HeldLog) throws(WALError) {
        let found = held.found
        let identity = held.control.identity
        let files = held.files
        let evidence = try FloorEvidence.gather(
            facts: found.facts, epochs: found.epochs, control: held.control, isCopied: false,
            windows: try files.windows(), medium: files, slots: SlotDirectory(paths: held.paths, fileSystem: held.fileSystem),
            boot: try held.fileSystem.bootID(), skippingDamagedFeet: true)
        guard !evidence.isEpochUnknown else {
            throw .corruption(
                lsn: found.facts.head,
                reason: "segments were written in an epoch that \(held.paths.control) does not know: the control file is older than they are; put the right one back")
        }
        directory = held.paths.directory
        logID = identity.logID
        segmentSize = Int(identity.segmentSize)
        headLSN = found.facts.head
        floor = evidence.floor
        areFactsDamaged = found.factsAreDue
        cell = SegmentFoot.DurableCell(
            epoch: found.epochs.current.id, durable: evidence.boundary, sequence: evidence.nextCellSequence)
        self.held = held
        self.files = files
    }

    // MARK: Looking

    /// What of the log cannot be read, ascending: every file and frame between the head and the floor is looked at. Changes nothing.
    public func damage() throws(WALError) -> [SegmentDamage] {
        guard headLSN < floor else { return [] }
        var found: [SegmentDamage] = []
        let size = files.windowSize
        let (first, last) = (headLSN.rawValue / size, (floor.rawValue - 1) / size)
        // A floor that nobody can have reached would ask for more segments than can be looked for.
        let looked = min(last, max(first, try files.windows().last ?? first) + 1)
        for index in first...looked {
            let range = max(headLSN, LSN(index * size))..<min(floor, LSN(((index == looked ? last : index) + 1) * size))
            do throws(WALError) {
                _ = try files.foot(index)
            } catch where error.isMissingFile {
                found.append(SegmentDamage(index: index, range: range, kind: .missing, reason: "the segment is missing"))
            } catch .corruption(_, let reason) {
                found.append(SegmentDamage(index: index, range: range, kind: .file, reason: reason))
            }
        }
        let missing = Set(found.filter { $0.kind == .missing }.map(\.index))
        for (range, reason) in try damagedFrames() {
            let touched = range.lowerBound.rawValue / size...(range.upperBound.rawValue - 1) / size
            // A frame that crosses a segment that is not there says nothing about the others.
            if touched.contains(where: missing.contains) { continue }
            for index in touched {
                let part = range.clamped(to: LSN(index * size)..<LSN((index + 1) * size))
                found.append(SegmentDamage(index: index, range: part, kind: .frames, reason: reason))
            }
        }
        return found.sorted { ($0.range.lowerBound, $0.index) < ($1.range.lowerBound, $1.index) }
    }

    /// Where frames below the floor do not verify, each up to the next that does.
    private func damagedFrames() throws(WALError) -> [(Range<LSN>, String)] {
        let files = files
        let source = RecordSource(
            makeReader: { () throws(WALError) in RepairReader(directory: files) },
            checksums: FrameChecksums(logID: logID, epochs: held.found.epochs), maxRecordSize: held.found.facts.maxRecordSize,
            segmentSize: files.windowSize, policy: .skipBadRecords)
        let end = LSN(max(floor.rawValue, ((try files.windows().last ?? 0) + 1) * files.windowSize))
        var found: [(Range<LSN>, String)] = []
        var bad: (LSN, String)?
        for element in RecordSequence(source: source, start: .success(headLSN), end: end) {
            switch element {
            case .success(let record):
                if let (start, reason) = bad { found.append((start..<min(record.lsn, floor), reason)) }
                bad = nil
                if record.endLSN >= floor { return found }
            case .failure(.corruption(let lsn, let reason)):
                if lsn >= floor { return found }
                if bad == nil { bad = (lsn, reason) }
            case .failure(let error): throw error
            }
        }
        if let (start, reason) = bad { found.append((start..<floor, reason)) }
        return found
    }

    // MARK: Repairing

    /// The part of a segment that is needed: what has to be given at least. Nil where nothing of it is.
    public func neededRange(ofSegment index: UInt64) -> Range<LSN>? {
        guard index <= FormatLimits.segmentIndexMax(segmentSize: files.windowSize) else { return nil }
        let lower = max(headLSN, LSN(index * files.windowSize))
        let upper = min(floor, LSN((index + 1) * files.windowSize))
        return lower < upper ? lower..<upper : nil
    }

    /// Replaces segment `index` by a fresh file with `bytes`, the log's raw bytes from `start` on (the segment's own start where that is not
    /// given); what they do not cover stays as it is. Durable on return.
    ///
    /// Refused with nothing changed: `.corruption` where a frame with a byte in the segment does not verify (one that crosses into a neighbour needs that
    /// neighbour intact, or given too: `replaceSegments`), or where the old file holds an intact record that differs: another history;
    /// `.positionLost` and `.encoding` for a segment of which nothing is needed, or bytes that do not cover what is.
    @discardableResult
    public func replaceSegment(_ index: UInt64, bytes: [UInt8], at start: LSN? = nil) throws(WALError) -> RepairReport {
        try replaceSegments([(index, bytes, start)])
    }

    /// As `replaceSegment`, for several at once: neighbours are verified together.
    @discardableResult
    public func replaceSegments(_ given: [(index: UInt64, bytes: [UInt8], start: LSN?)]) throws(WALError) -> RepairReport {
        var pieces: [SegmentReplacement.Piece] = []
        for (index, bytes, start) in given.sorted(by: { $0.index < $1.index }) {
            let needed = try requireNeeded(index)
            let start = start ?? LSN(index * files.windowSize)
            let end = (index + 1) * files.windowSize
            guard start.rawValue >= index * files.windowSize, start.rawValue <= end, UInt64(bytes.count) <= end - start.rawValue else {
                throw .encoding(reason: "\(bytes.count) bytes from LSN \(start) on do not lie in segment \(index)")
            }
            let piece = SegmentReplacement.Piece(index: index, start: start, bytes: bytes)
            guard piece.start <= needed.lowerBound, piece.end >= needed.upperBound else {
                throw .encoding(
                    reason: "LSN \(piece.start) to \(piece.end) were given of segment \(index), and \(needed.lowerBound) to \(needed.upperBound) are needed")
            }
            guard pieces.last?.index != index else { throw .encoding(reason: "segment \(index) was given twice") }
            pieces.append(piece)
        }
        return try replace(pieces)
    }

    /// Makes the foot of a segment anew, in a fresh file with the bytes that the old one holds: they must verify as those given to
    /// `replaceSegment` must. Durable on return.
    @discardableResult
    public func repairFoot(_ index: UInt64) throws(WALError) -> RepairReport {
        _ = try requireNeeded(index)
        return try replace([SegmentReplacement.Piece(index: index, start: LSN(index * files.windowSize), bytes: [])])
    }

    /// Writes the commit times of a segment anew: entries of other segments, and those above the floor, are left out. They are advisory, and a log without
    /// them is whole. Durable on return.
    public func replaceTimes(ofSegment index: UInt64, _ times: [VerifiedRange.CommitTime]) throws(WALError) {
        let needed = try requireNeeded(index)
        let path = files.paths.times(index)
        var encoder = TimeIndexEncoder(logID: logID, index: index)
        var bytes = encoder.header
        for time in times.sorted(by: { $0.lsn < $1.lsn }) where time.lsn > needed.lowerBound && time.lsn <= needed.upperBound {
            bytes += encoder.append(TimeEntry(nanoseconds: time.nanoseconds, lsn: time.lsn))
        }
        guard bytes.count <= FormatLimits.timesFileMax else { throw .encoding(reason: "more commit times than a segment's file may hold") }
        try held.control.underMaintenance(held.time) { () throws(WALError) in
            try files.fileSystem.unlink(path + ".tmp")
            let file = try files.fileSystem.open(path + ".tmp", .createNew)
            defer { file.close() }
            try file.write(bytes, at: 0)
            try file.sync()
            try files.fileSystem.rename(path + ".tmp", to: path)
            try files.fileSystem.syncDirectory(files.paths.directory)
        }
    }

    /// Writes both copies of the facts anew from the newest intact one. Durable on return. Opening the log does the same.
    public func mendFacts() throws(WALError) {
        guard areFactsDamaged else { return }
        try held.control.underMaintenance(held.time) { () throws(WALError) in
            _ = try held.control.writeFacts(try held.control.requireFacts(), epochs: held.found.epochs)
        }
        areFactsDamaged = false
    }

    private func requireNeeded(_ index: UInt64) throws(WALError) -> Range<LSN> {
        if let needed = neededRange(ofSegment: index) { return needed }
        if LSN(min(index, FormatLimits.segmentIndexMax(segmentSize: files.windowSize)) * files.windowSize) < headLSN {
            throw .positionLost(head: headLSN)
        }
        throw .encoding(reason: "segment \(index) lies above LSN \(floor), up to where the log is known to be durable: opening it recovers that")
    }

    /// `pieces` ascending.
    private func replace(_ pieces: [SegmentReplacement.Piece]) throws(WALError) -> RepairReport {
        try held.control.underMaintenance(held.time) { () throws(WALError) in
            let replacement = SegmentReplacement(
                directory: files, facts: held.found.facts, epochs: held.found.epochs, floor: floor, cell: cell)
            var runs: [[SegmentReplacement.Piece]] = []
            for piece in pieces {
                if let last = runs.last?.last, last.index + 1 == piece.index {
                    runs[runs.count - 1].append(piece)
                } else {
                    runs.append([piece])
                }
            }
            // All of it verifies before any of it is changed.
            var verified: [SegmentReplacement.Verified] = []
            for run in runs { verified.append(try replacement.verify(run)) }
            for run in verified { try replacement.write(run) { held.control.live.incarnation = .random() } }
            return RepairReport(segments: verified.flatMap(\.report.segments))
        }
    }

    /// Lets go of the log. Nothing else is called afterwards.
    public func close() {
        held.close()
    }
}
