import WAL

/// Which tails of acknowledged segments are still in the archive, and which of them are known by name: a value that decides which segment's
/// are removed next. One at a time, the oldest first.
///
/// Invariant: the runs are ascending, apart, and of whole segments (the first may begin where the objects of its epoch do). What the slot keeps of it is from where to
/// where: segments between that had no tails cost whoever goes on after a crash a request each.
struct StaleTails: Sendable {
    /// A tail by its name.
    struct Tail: Hashable, Sendable {
        var level: Int
        var start: LSN
    }

    /// The tails of one segment, which are to go.
    struct Removal: Hashable, Sendable {
        let segment: Range<LSN>
        /// All of them; nil: they are to be found.
        let known: KnownTails?
    }

    private let segmentSize: UInt64
    private var runs: [Range<LSN>]
    private(set) var underWay: Removal?
    private var isPostponed = false
    /// Of the segment that is open, nil where it may have others; and of those that are to go, by their start.
    private var open: KnownTails?
    private var closed: [LSN: KnownTails] = [:]

    /// `left`: what a slot kept. `knowsOpenSegment`: the open segment has no tail yet.
    init(left: Range<LSN>?, segmentSize: UInt64, knowsOpenSegment: Bool) {
        runs = left.map { [$0] } ?? []
        self.segmentSize = segmentSize
        open = knowsOpenSegment ? KnownTails() : nil
    }

    /// From the start of the first segment whose tails are left to the end of the last; nil: none are.
    var left: Range<LSN>? { runs.first.map { $0.lowerBound..<runs[runs.count - 1].upperBound } }

    /// There are tails left, and it has not turned out that they cannot be removed now.
    var isWorthWaiting: Bool { !runs.isEmpty && !isPostponed }

    // MARK: What happened

    /// A tail was acknowledged: of the open segment, or of one that was closed while the tail was in flight.
    mutating func shipped(_ tail: Tail, isOfOpenSegment: Bool) {
        if isOfOpenSegment {
            StaleTails.note(tail, in: &open)
        } else if let segment = closed.keys.first(where: { $0 <= tail.start && tail.start < end(of: $0) }) {
            StaleTails.note(tail, in: &closed[segment])
        }
    }

    /// A segment was acknowledged, so that its tails are of no more use.
    mutating func close(_ segment: Range<LSN>, hasTails: Bool) {
        if hasTails {
            if let last = runs.last, last.upperBound == segment.lowerBound || runs.count == ShipperLimits.staleRunsMax {
                runs[runs.count - 1] = last.lowerBound..<segment.upperBound
            } else {
                runs.append(segment)
            }
            if closed.count < ShipperLimits.staleRunsMax { closed[segment.lowerBound] = open }
        }
        open = KnownTails()
        checkInvariants()
    }

    /// The next removal; it counts as under way from here on. `inFlight`: a tail that is being shipped, whose segment has to wait.
    mutating func next(inFlight: Range<LSN>?) -> Removal? {
        guard underWay == nil, !isPostponed, let first = runs.first else { return nil }
        let segment = first.lowerBound..<min(end(of: first.lowerBound), first.upperBound)
        if let inFlight, segment.contains(inFlight.lowerBound) { return nil }
        let removal = Removal(segment: segment, known: closed.removeValue(forKey: segment.lowerBound))
        underWay = removal
        return removal
    }

    /// What was under way is done.
    mutating func removed() {
        guard let segment = underWay?.segment, let first = runs.first else { preconditionFailure("no tails are being removed") }
        underWay = nil
        runs[0] = segment.upperBound..<first.upperBound
        if runs[0].isEmpty { runs.removeFirst() }
        checkInvariants()
    }

    /// What was under way failed, and is for another run.
    mutating func postpone() {
        underWay = nil
        isPostponed = true
    }

    private func end(of start: LSN) -> LSN { LSN((start.rawValue / segmentSize + 1) * segmentSize) }

    private static func note(_ tail: Tail, in known: inout KnownTails?) {
        if known?.append(tail) == false { known = nil }
    }

    private func checkInvariants() {
        precondition(runs.allSatisfy { !$0.isEmpty }, "a run of no segments")
        precondition(zip(runs, runs.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound }, "runs of segments that touch")
        precondition(runs.count <= ShipperLimits.staleRunsMax, "too many runs of segments")
    }
}

/// The names of all tails of one segment, four bytes each.
struct KnownTails: Hashable, Sendable {
    /// Of the segment in which the first one begins: a segment has at most 1 GiB, so an offset and a level fit together.
    private var base: LSN?
    private var packed: [UInt32] = []

    /// False where there are too many to be kept.
    mutating func append(_ tail: StaleTails.Tail) -> Bool {
        let base = base ?? tail.start
        guard packed.count < ShipperLimits.rememberedTailsMax else { return false }
        precondition(tail.start >= base, "a tail before the first one of its segment")
        precondition(tail.start.distance(from: base) < 1 << 30, "a tail outside its segment")
        precondition(0...ShipperLimits.tailLevelMax ~= tail.level, "a tail of level \(tail.level)")
        self.base = base
        packed.append(UInt32(tail.start.distance(from: base)) << 2 | UInt32(tail.level))
        return true
    }

    /// Last first, and of those that begin at one place the highest level first: what a crash leaves can still be walked.
    var inOrderOfRemoval: [StaleTails.Tail] {
        guard let base else { return [] }
        return packed.sorted(by: >).map { StaleTails.Tail(level: Int($0 & 3), start: base.advanced(by: UInt64($0 >> 2))) }
    }
}
