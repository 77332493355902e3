/// Brings the tail of a log that nobody else writes into order: gathers evidence, asks the table, acts.
///
/// Under the writer's lock. On a refusal nothing was changed.
struct Recovery {
    let paths: LogPaths
    let fileSystem: any FileSystem
    let control: ControlFile
    let medium: any LogMedium
    let slots: SlotDirectory
    let configuration: LogConfiguration
    let boot: BootID
    /// Published before the first rename or unlink.
    let incarnation: Incarnation

    /// The facts were changed by admission, or a copy of them is damaged: they are to be written once the log is accepted.
    let factsAreDue: Bool
    /// The log goes on at its end: it is written, or a replica that grows. Otherwise a replica is only read.
    var isGrowing = false

    struct Result {
        var facts: Facts
        var end: LSN
        var report: RecoveryReport
        var nextCellSequence: UInt64
    }

    func run(facts: Facts, epochs: EpochTable, isCopied: Bool) throws(WALError) -> Result {
        let windows = try medium.windows()
        let floor = try FloorEvidence.gather(
            facts: facts, epochs: epochs, control: control, isCopied: isCopied, windows: windows, medium: medium,
            slots: slots, boot: boot)
        let missing = Recovery.firstMissing(windows, head: facts.head, floor: floor.floor, windowSize: medium.windowSize)
        let source = recordSource(facts, epochs)
        let scan = scan(from: floor.boundary, upTo: facts.discardFrom, windows: windows, source: source)
        let evidence = TailEvidence(
            stop: scan.stop,
            reach: scan.end < floor.floor ? .belowFloor : scan.end == floor.floor ? .atFloor : .aboveFloor,
            hasStrayBytes: scan.strayBytes > 0, isSegmentMissing: missing != nil, isEpochUnknown: floor.isEpochUnknown,
            isTruncationUnfinished: facts.discardFrom != nil, isCopied: isCopied, isReplica: facts.isReplica && !isGrowing)
        let decision = TailDecision.decide(evidence)
        if case .refuse(let refusal) = decision {
            throw refusalError(refusal, scan: scan, floor: floor.floor, missing: missing)
        }
        if configuration.verify == .full { try verify(from: facts.head, to: floor.boundary, source: source) }
        return try act(decision, facts: facts, epochs: epochs, floor: floor, scan: scan, windows: windows)
    }

    private func act(
        _ decision: TailDecision, facts: Facts, epochs: EpochTable, floor: FloorEvidence, scan: TailScan, windows: [UInt64]
    ) throws(WALError) -> Result {
        var facts = facts
        let end = scan.end
        var reason: DiscardReason?
        if decision != .readOnly { try settle() }
        switch decision {
        case .refuse: preconditionFailure("refusals were thrown")
        case .readOnly:
            if factsAreDue { facts = try control.writeFacts(facts, epochs: epochs) }
        case .ready:
            try medium.removeLeftovers()
            facts = try raiseFloor(to: end, facts, epochs, isDue: factsAreDue)
            try medium.removeWindows(below: facts.head)
            // Prepared and never used.
            let last = end.rawValue / medium.windowSize
            if windows.contains(where: { $0 > last }) { try medium.removeWindows(from: last + 1) }
        case .cut(let why):
            reason = why
            facts = try cut(floor, scan, facts, epochs)
        case .finishTruncation:
            reason = .interruptedTruncation
            // The scan went no further than the truncation wanted, so this is where it wanted the end, or where the log ends before that.
            facts = try cut(floor, scan, facts, epochs)
        }
        let recovered = end > floor.boundary ? end.distance(from: floor.boundary) : 0
        let report = RecoveryReport(
            floor: floor.floor, end: end, recordsRecovered: recovered > 0 ? scan.records : 0, bytesRecovered: recovered,
            bytesDiscarded: reason == nil ? 0 : scan.strayBytes, discardReason: reason)
        return Result(facts: facts, end: end, report: report, nextCellSequence: floor.nextCellSequence)
    }

    /// A process that was killed may have left names and facts that it had not yet synced. We have read them, and go by them from here on: segments
    /// below the head are removed, records go into files whose names they are. So they have to be there after a loss of power, too.
    private func settle() throws(WALError) {
        try control.file.sync()
        try fileSystem.syncDirectory(paths.directory)
        try slots.settleNames()
    }

    /// The log ends where the scan ended: every window from that of the boundary on is replaced by a fresh, synced copy, so that clean-looking
    /// pages of a failed flush are either on the disk afterwards or gone.
    ///
    /// Nothing below the boundary needs that. Each source of it was written after a flush of those bytes had succeeded: facts, and cells of this epoch
    /// after the flush that they speak of; the live page likewise, and it is believed under the boot that wrote it only. What a truncation
    /// cut off cannot raise it either: it began an epoch whose cells and slots do not exist yet, and set the live page back before
    /// `discardFrom` was cleared.
    private func cut(_ floor: FloorEvidence, _ scan: TailScan, _ facts: Facts, _ epochs: EpochTable) throws(WALError) -> Facts {
        try medium.removeLeftovers()
        let prepared = try medium.prepareCut(from: floor.boundary, to: scan.end, firstFrames: scan.firstFrames)
        // The feet that say how far the log was durable are about to go; and a truncation must not be half done by facts that may be lost.
        var facts = try raiseFloor(to: floor.boundary, facts, epochs, isDue: factsAreDue)
        control.live.incarnation = incarnation
        try medium.finish(prepared)
        // Before the facts forget the truncation: after that, a page of this boot would be believed.
        control.live.setEnd(prepared.end)
        facts.floor = prepared.end
        facts.discardFrom = nil
        facts = try control.writeFacts(facts, epochs: epochs)
        try medium.removeWindows(below: facts.head)
        return facts
    }

    private func raiseFloor(to lsn: LSN, _ facts: Facts, _ epochs: EpochTable, isDue: Bool) throws(WALError) -> Facts {
        guard isDue || facts.floor < lsn else { return facts }
        var facts = facts
        facts.floor = max(facts.floor, lsn)
        return try control.writeFacts(facts, epochs: epochs)
    }

    func recordSource(_ facts: Facts, _ epochs: EpochTable) -> RecordSource {
        let medium = medium
        let head = facts.head
        return RecordSource(
            makeReader: { () throws(WALError) in medium.makeReader(head: { head }) },
            checksums: FrameChecksums(logID: facts.logID, epochs: epochs), maxRecordSize: facts.maxRecordSize,
            segmentSize: medium.windowSize, policy: .stopAtFirstError)
    }

    /// `cut`: what lies from there on is being removed.
    private func scan(from boundary: LSN, upTo cut: LSN?, windows: [UInt64], source: RecordSource) -> TailScan {
        let size = medium.windowSize
        var contiguous = boundary.rawValue / size
        let present = Set(windows)
        while present.contains(contiguous) { contiguous += 1 }
        let storageEnd = max(boundary.rawValue, windows.last.map { ($0 + 1) * size } ?? 0)
        let limit = min(LSN(contiguous * size), cut ?? LSN(LogLimits.lsnMax))
        return TailScan.run(from: boundary, limit: limit, source: source, storageEnd: LSN(storageEnd))
    }

    private func verify(from head: LSN, to boundary: LSN, source: RecordSource) throws(WALError) {
        let runs = RunIterator(source: source, start: .success(head), end: boundary)
        while let run = runs.next() { _ = try run.get() }
    }

    /// The first window between the head and the floor that is not there.
    static func firstMissing(_ windows: [UInt64], head: LSN, floor: LSN, windowSize: UInt64) -> UInt64? {
        let first = head.rawValue / windowSize
        // A window is needed where bytes below the floor lie in it; the head's own, where the head is not on its start.
        let needed = max((floor.rawValue + windowSize - 1) / windowSize, (head.rawValue + windowSize - 1) / windowSize)
        guard first < needed else { return nil }
        let present = Set(windows)
        return (first..<needed).first { !present.contains($0) }
    }

    private func refusalError(_ refusal: TailDecision.Refusal, scan: TailScan, floor: LSN, missing: UInt64?) -> WALError {
        switch refusal {
        case .readError: return scan.readError ?? .io(operation: "pread", path: paths.name, errno: 5)
        case .copiedWhileLive:
            return .copiedWhileLive(path: paths.name, lsn: missing.map { LSN($0 * medium.windowSize) } ?? scan.end)
        case .missingSegment:
            let index = missing ?? 0
            return .corruption(
                lsn: LSN(index * medium.windowSize),
                reason: "segment \(SegmentName(index: index).fileName) is missing, and the log is durable up to LSN \(floor); put the file back or restore from the archive")
        case .staleFacts:
            return .corruption(
                lsn: scan.end,
                reason: "segments were written in an epoch that \(paths.control) does not know: the control file is older than they are; put the right one back or restore from the archive")
        case .corruption:
            return .corruption(
                lsn: scan.end,
                reason: "\((scan.fault ?? .zeros).reason), and the log is durable up to LSN \(floor); repair it from the archive")
        }
    }
}
