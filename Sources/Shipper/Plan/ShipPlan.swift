import WAL

/// What is to be done next for one log and one destination: a value that is told what is durable, what was acknowledged and what time
/// it is, and decides. `ShipRun` does what it says.
///
/// Invariants, tested over seeded sequences of events: nothing past the durable LSN is shipped; no object crosses a segment boundary; the
/// checkpoint moves over the contiguous acknowledged prefix only; a range once recorded for a tail is the range of every retry; one
/// tail at a time, and none before all earlier segments are acknowledged; only tails of acknowledged segments are removed; nothing new, no action. Times are monotonic nanoseconds.
struct ShipPlan: Sendable {
    struct Settings: Sendable {
        var segmentSize: UInt64
        var uploadsInFlight = 2
        /// Nil: no periodic tails.
        var tailInterval: UInt64?
        var settle: UInt64 = 0
        var retain: UInt64 = 0
        /// No heads are written and no tails removed.
        var isImmutable = false
    }

    enum Action: Hashable, Sendable {
        typealias Removal = StaleTails.Removal
        /// Read, verify and compress a closed segment, then upload it. One at a time is being read, `preparationsMax` are compressed.
        case shipSegment(Range<LSN>)
        /// Ship a tail. The range is to be on disk in the slot, as this plan has it, before the first attempt.
        case shipTail(Range<LSN>, level: Int)
        /// Remove the tails of an acknowledged segment, last first.
        case removeTails(Removal)
        case writeHead(archived: LSN, checkpoint: LSN, durable: LSN)
        /// Look at the claim and at each archived object of these local bytes once more, then remove them.
        case truncate(Range<LSN>)
        /// Compare with the archive again before tails are shipped.
        case compareAgain
    }

    struct Upload: Hashable, Sendable {
        enum Phase: Hashable, Sendable { case reading, compressing, uploading, acknowledged(Bytes16) }
        let range: Range<LSN>
        var phase = Phase.reading
    }

    let settings: Settings
    /// Where the objects begin that follow one another up to the checkpoint.
    let objectsStart: LSN
    private(set) var checkpoint: LSN
    private(set) var archived: LSN
    private(set) var levels: [LevelState]
    private(set) var lastSegment: SlotState.ShippedObject?
    private(set) var durable: LSN
    private(set) var uploads: [Upload] = []
    /// What the tail lane does: at most one thing.
    private(set) var tailLane: Action?
    /// Tails that are to be removed, and a lane for it: however long it takes, tails of the next segments go on.
    private(set) var stale: StaleTails
    /// The head document or a truncation.
    private(set) var keepingLane: Action?
    private var target: LSN?
    private var truncatesAtEnd = false
    private var comparesBeforeTails: Bool
    private var lastTailAt: UInt64?
    private var lastChangeAt: UInt64
    private var lastHeadAt: UInt64
    private var headWritten: LSN?
    private var acknowledged: [(end: LSN, at: UInt64)] = []
    private var truncatedTo: LSN

    /// `slot` is what is on disk after the comparison. `head` is the local one; `headWritten` what the archive's head document says, nil
    /// where there is none. `acknowledgedAt`: when the slot's checkpoint was acknowledged.
    init(
        settings: Settings, slot: SlotState, durable: LSN, head: LSN, headWritten: LSN?, comparesBeforeTails: Bool,
        acknowledgedAt: UInt64, now: UInt64
    ) {
        precondition(slot.levels.count == ShipperLimits.tailLevelMax + 1, "a level more or less than the format has")
        precondition(slot.position <= slot.archived, "the checkpoint is past what is archived")
        precondition(slot.archived <= durable, "archived past the durable LSN")
        self.settings = settings
        objectsStart = slot.objectsStart
        checkpoint = slot.position
        archived = slot.archived
        levels = slot.levels
        lastSegment = slot.lastSegment
        self.durable = durable
        stale = StaleTails(
            left: settings.isImmutable ? nil : slot.tailsLeft, segmentSize: settings.segmentSize,
            // Every tail of the open segment will be one that this plan has asked for.
            knowsOpenSegment: slot.archived == slot.position && slot.levels.allSatisfy { $0.inFlight == nil })
        self.headWritten = headWritten
        self.comparesBeforeTails = comparesBeforeTails
        // What was released has been looked at, wherever the head is. A segment of which a part has gone already goes without: it could not be shipped
        // again, and where its object begins is not known after a slot was lost.
        let size = settings.segmentSize
        truncatedTo = max(LSN((head.rawValue + size - 1) / size * size), min(slot.released, slot.position))
        lastChangeAt = now
        lastHeadAt = now
        if slot.lastSegment != nil { acknowledged = [(slot.position, acknowledgedAt)] }
    }

    // MARK: What happened

    mutating func observe(durable: LSN, now: UInt64) {
        guard durable > self.durable else { return }
        self.durable = durable
        lastChangeAt = now
    }

    /// Ship up to `target`, which is durable, and be done. `truncates`: also remove what is settled by then.
    mutating func finish(upTo target: LSN, truncates: Bool) {
        self.target = max(target, archived)
        truncatesAtEnd = truncates
    }

    /// Its digest is known, so that the next one can be begun.
    mutating func segmentRead(_ range: Range<LSN>) { setPhase(.compressing, of: range) }

    mutating func segmentPrepared(_ range: Range<LSN>) { setPhase(.uploading, of: range) }

    mutating func segmentAcknowledged(_ range: Range<LSN>, digest: Bytes16, now: UInt64) {
        setPhase(.acknowledged(digest), of: range)
        lastChangeAt = now
        while let first = uploads.first, case .acknowledged(let digest) = first.phase {
            precondition(first.range.lowerBound == checkpoint, "the checkpoint moves over a contiguous prefix")
            stale.close(first.range, hasTails: hasTails && !settings.isImmutable)
            uploads.removeFirst()
            checkpoint = first.range.upperBound
            archived = max(archived, checkpoint)
            lastSegment = SlotState.ShippedObject(digest: digest, range: first.range)
            for level in levels.indices {
                levels[level].inFlight = nil
                levels[level].groupStart = checkpoint
                levels[level].groupCount = 0
            }
            acknowledged.append((checkpoint, now))
        }
    }

    mutating func tailAcknowledged(_ range: Range<LSN>, level: Int, digest: Bytes16, now: UInt64) {
        precondition(tailLane == .shipTail(range, level: level), "a tail that was not in flight")
        tailLane = nil
        lastChangeAt = now
        levels[level].inFlight = nil
        levels[level].lastDigest = digest
        stale.shipped(StaleTails.Tail(level: level, start: range.lowerBound), isOfOpenSegment: range.lowerBound >= checkpoint)
        // Its segment was acknowledged meanwhile: it is one of those to be removed.
        guard range.lowerBound >= checkpoint else { return }
        levels[level].groupCount += 1
        if level == 0 {
            precondition(range.lowerBound == archived, "tails are contiguous")
            archived = range.upperBound
        } else {
            levels[level - 1].groupStart = range.upperBound
            levels[level - 1].groupCount = 0
        }
    }

    /// Also where some could not be removed and never will be: they are named elsewhere, and cost nothing but space.
    mutating func tailsRemoved() { stale.removed() }

    /// They stay for now: this plan does not try again, and the slot still knows of them.
    mutating func tailsPostponed() { stale.postpone() }

    mutating func headWasWritten(archived: LSN, now: UInt64) {
        keepingLane = nil
        headWritten = archived
        lastHeadAt = now
    }

    mutating func truncated() { keepingLane = nil }

    /// Writes what has to survive a crash into the slot's state.
    func record(in slot: inout SlotState) {
        slot.position = checkpoint
        slot.archived = archived
        slot.levels = levels
        slot.tailsLeft = stale.left
        slot.lastSegment = lastSegment
        // Never lowered: what was started before a step back may still arrive.
        if let started = uploads.last?.range.upperBound { slot.segmentsStarted = max(started, slot.segmentsStarted ?? .zero) }
    }

    private mutating func setPhase(_ phase: Upload.Phase, of range: Range<LSN>) {
        guard let index = uploads.firstIndex(where: { $0.range == range }) else {
            preconditionFailure("segment \(range.lowerBound) is not under way")
        }
        uploads[index].phase = phase
    }

    // MARK: What to do

    /// What is to be begun now; it counts as under way from here on.
    mutating func next(now: UInt64) -> [Action] {
        var actions: [Action] = []
        if let segment = nextSegment() {
            uploads.append(Upload(range: segment))
            actions.append(.shipSegment(segment))
        }
        if tailLane == nil, let action = nextTail(now: now) {
            if case .compareAgain = action { return [action] }
            tailLane = action
            if case .shipTail(let range, let level) = action {
                levels[level].inFlight = range
                if level == 0 { lastTailAt = now }
            }
            actions.append(action)
        }
        if let removal = nextRemoval() { actions.append(.removeTails(removal)) }
        if keepingLane == nil, let action = nextKeeping(now: now) {
            keepingLane = action
            if case .truncate(let range) = action { truncatedTo = range.upperBound }
            actions.append(action)
        }
        checkInvariants()
        return actions
    }

    /// Whether everything that `finish` asked for is done.
    var isFinished: Bool {
        guard let target else { return false }
        return archived >= target && uploads.isEmpty && tailLane == nil && keepingLane == nil && !lacksHead && !(truncatesAtEnd && stale.isWorthWaiting)
    }

    /// Something is under way.
    var isBusy: Bool { !uploads.isEmpty || tailLane != nil || keepingLane != nil || stale.underWay != nil }

    /// It ships up to a target and is done.
    var isFinishing: Bool { target != nil }

    /// Bytes that are to be shipped now: the target where there is one.
    private var limit: LSN { target.map { min($0, durable) } ?? durable }

    private func segmentEnd(after lsn: LSN) -> LSN {
        LSN((lsn.rawValue / settings.segmentSize + 1) * settings.segmentSize)
    }

    private func nextSegment() -> Range<LSN>? {
        guard uploads.count < settings.uploadsInFlight, !uploads.contains(where: { $0.phase == .reading }) else { return nil }
        // Each holds a segment as it is, and what it is compressed to.
        guard uploads.count(where: { $0.phase == .compressing }) < ShipperLimits.preparationsMax else { return nil }
        let start = uploads.last?.range.upperBound ?? checkpoint
        let end = segmentEnd(after: start)
        return end <= limit ? start..<end : nil
    }

    private func nextTail(now: UInt64) -> Action? {
        guard uploads.isEmpty, segmentEnd(after: checkpoint) > limit else { return nil }
        // A range that may be there already is shipped before anything else, whatever the interval says now.
        for level in levels.indices.reversed() {
            if let range = levels[level].inFlight { return .shipTail(range, level: level) }
        }
        let isDue = target != nil || isTailDue(now: now)
        if target == nil, let merge = nextMerge() { return merge }
        guard isDue, archived < limit else { return nil }
        if comparesBeforeTails { return .compareAgain }
        return .shipTail(archived..<limit, level: 0)
    }

    private func nextMerge() -> Action? {
        for level in 0..<ShipperLimits.tailLevelMax where levels[level].groupCount >= ShipperLimits.tailsPerGroup {
            // A level's last object ends where the group of the level below begins.
            let end = level == 0 ? archived : levels[level - 1].groupStart
            return .shipTail(levels[level].groupStart..<end, level: level + 1)
        }
        return nil
    }

    /// Whoever ends soon begins none, except to tidy up: `--once` may be all that ever runs.
    private mutating func nextRemoval() -> StaleTails.Removal? {
        guard target == nil || truncatesAtEnd else { return nil }
        var inFlight: Range<LSN>?
        if case .shipTail(let range, _) = tailLane { inFlight = range }
        return stale.next(inFlight: inFlight)
    }

    private func isTailDue(now: UInt64) -> Bool {
        guard let interval = settings.tailInterval else { return false }
        guard let lastTailAt else { return true }
        return now >= lastTailAt + interval
    }

    private mutating func nextKeeping(now: UInt64) -> Action? {
        if target != nil {
            guard let target, archived >= target, uploads.isEmpty, tailLane == nil else { return nil }
            if lacksHead { return .writeHead(archived: archived, checkpoint: checkpoint, durable: durable) }
            return truncatesAtEnd ? nextTruncation(now: now) : nil
        }
        if lacksHead, isHeadDue(now: now) {
            return .writeHead(archived: archived, checkpoint: checkpoint, durable: durable)
        }
        return nextTruncation(now: now)
    }

    /// The archive's head document says something else than is archived.
    private var lacksHead: Bool { !settings.isImmutable && headWritten != archived }

    /// Nothing was written for a while, and nothing of it is left to be shipped or said.
    func isAtRest(now: UInt64) -> Bool { target == nil && isIdle(now: now) && keepingLane == nil && !lacksHead }

    private func isIdle(now: UInt64) -> Bool {
        uploads.isEmpty && tailLane == nil && (archived == durable || settings.tailInterval == nil) && now >= lastChangeAt + ShipperLimits.idleDelay
    }

    private func isHeadDue(now: UInt64) -> Bool {
        if isIdle(now: now) { return true }
        return headWritten == nil || now >= lastHeadAt + ShipperLimits.headInterval
    }

    private mutating func nextTruncation(now: UInt64) -> Action? {
        // Acknowledgements come in order: the last one that has settled stays, in front.
        let unsettled = acknowledged.firstIndex { $0.at + settings.settle > now } ?? acknowledged.count
        guard unsettled > 0 else { return nil }
        acknowledged.removeFirst(unsettled - 1)
        let settled = acknowledged[0].end
        let size = settings.segmentSize
        let closedEnd = durable.rawValue / size * size
        // The newest closed segment is always kept.
        guard closedEnd >= size else { return nil }
        let bound = min(settled.rawValue, closedEnd - size)
        guard bound > settings.retain else { return nil }
        let piece = truncatedTo.rawValue / size * size + ShipperLimits.truncatedSegmentsMax * size
        let lsn = LSN(min(bound - settings.retain, piece))
        // Less than a segment frees nothing.
        guard lsn.rawValue / size > truncatedTo.rawValue / size else { return nil }
        precondition(lsn <= checkpoint, "truncation past the checkpoint")
        return .truncate(truncatedTo..<lsn)
    }

    /// The open segment has tails, or may have one.
    private var hasTails: Bool {
        archived > checkpoint || levels.contains { $0.inFlight != nil || $0.groupCount > 0 }
    }

    private func checkInvariants() {
        precondition(checkpoint <= archived, "the checkpoint is past what is archived")
        precondition(archived <= durable, "archived past the durable LSN")
        precondition(stale.left.map { $0.upperBound <= checkpoint } ?? true, "tails of a segment that is not acknowledged are to be removed")
        precondition(uploads.last.map { $0.range.upperBound <= durable } ?? true, "a segment past the durable LSN")
        if case .shipTail(let range, _) = tailLane {
            precondition(range.upperBound <= durable, "a tail past the durable LSN")
            precondition(range.upperBound <= segmentEnd(after: range.lowerBound), "a tail across a segment boundary")
        }
    }
}
