/// Which segments are prepared ahead of their use, how many, and by whom: decided here, acted on by `SegmentPreparer`.
///
/// Invariant: the prepared segments follow each other without a gap, and the one being made follows them; at most one is being made,
/// by whoever was told to. How many are kept ahead follows from what was missed: one more each time an append had to wait for
/// its segment, one less after many that had not.
struct PreparationQueue<Segment> {
    enum Taking {
        case ready(Segment)
        /// It is being made: wait to be told, then ask again.
        case wait
        /// Nobody is making it: the caller does, and says so with `made`.
        case make
    }

    /// After this many segments in a row that were ready, one less is kept ahead.
    static var calmRunLength: Int { 64 }

    /// Never more than this many ahead.
    let aheadMax: Int
    private(set) var ahead = 1
    private(set) var prepared: [(index: UInt64, segment: Segment)] = []
    private(set) var isMaking = false
    /// The next one to make; nil: nobody has said which are going to be needed.
    private var next: UInt64?
    /// The last attempt in the background failed, or the store prepares nothing: not tried again before an append has met that itself.
    private var isDiscouraged = false
    private var isAwaited = false
    private var isStopped = false
    private var calmRun = 0

    init(aheadMax: Int) {
        precondition(aheadMax >= 1, "at least one segment may be prepared")
        self.aheadMax = aheadMax
    }

    /// Segments from `index` on are going to be needed: `index` is the first that nobody has taken.
    mutating func want(from index: UInt64) {
        precondition(prepared.first.map { $0.index == index } ?? true, "segments are taken in order")
        if prepared.isEmpty && !isMaking { next = index }
    }

    /// What to make in the background now; the caller says how it ended with `prepared`.
    mutating func beginPreparing() -> UInt64? {
        guard !isStopped, !isMaking, !isDiscouraged, prepared.count < ahead, let index = next else { return nil }
        isMaking = true
        return index
    }

    /// The segment is there, or could not be had. Whether somebody waits to be told.
    mutating func prepared(_ index: UInt64, _ segment: Segment?) -> Bool {
        precondition(isMaking && next == index, "segment \(index) was not asked for")
        isMaking = false
        if let segment {
            prepared.append((index, segment))
            next = index + 1
        } else {
            isDiscouraged = true
        }
        defer { isAwaited = false }
        return isAwaited
    }

    /// An append needs segment `index`.
    mutating func take(_ index: UInt64) -> Taking {
        if let first = prepared.first {
            precondition(first.index == index, "segments are taken in order: \(index), and \(first.index) is prepared")
            calmRun += 1
            if calmRun >= Self.calmRunLength {
                ahead = max(1, ahead - 1)
                calmRun = 0
            }
            prepared.removeFirst()
            return .ready(first.segment)
        }
        if isMaking {
            precondition(next == index, "segments are taken in order")
            if !isAwaited { miss() }
            isAwaited = true
            return .wait
        }
        // One that nobody had announced, or that could not be had, was not missed by preparing too few.
        if next == index && !isDiscouraged { miss() }
        isMaking = true
        next = index
        return .make
    }

    private mutating func miss() {
        ahead = min(aheadMax, ahead + 1)
        calmRun = 0
    }

    /// The caller of `take` has made the segment itself, or could not.
    mutating func made(_ index: UInt64, succeeded: Bool) {
        precondition(isMaking && next == index, "segment \(index) was not asked for")
        isMaking = false
        isDiscouraged = !succeeded
        next = succeeded ? index + 1 : nil
    }

    /// Everything prepared, ascending, to be taken away; nothing is prepared before it is wanted again. Nil while one is being made: wait
    /// to be told, then ask again.
    mutating func withdraw() -> [(index: UInt64, segment: Segment)]? {
        next = isMaking ? next : nil
        guard !isMaking else {
            // What is being made is the last for now.
            isDiscouraged = true
            isAwaited = true
            return nil
        }
        isDiscouraged = false
        defer { prepared = [] }
        return prepared
    }

    /// Nothing is begun any more.
    mutating func stop() { isStopped = true }
}
