import Synchronization

/// The append path of one open log: reserve, copy, and the written watermark. Not generic, so that the hot path is one piece of
/// machine code whatever the store; the store is asked on the slow path only (`LogCore+Allocation.swift`).
///
/// Invariant: bytes below the tail belong to reserved frames, in reservation order without a gap; every reserved byte lies in a
/// published segment. Any thread may append; allocation is serialised by `allocation`.
final class LogCore: Sendable {
    /// Flags in the tail word, above the largest LSN.
    enum TailFlag {
        /// No reservation succeeds any more.
        static let closed: UInt64 = 1 << 63
        /// A large record is being written; appenders wait in the slow path.
        static let frozen: UInt64 = 1 << 62
        static let all = closed | frozen
    }

    let store: any LogStore
    let logID: LogID
    let maxRecordSize: Int
    let segmentSize: UInt64
    /// log2 of the segment size where that is a power of two, so that the hot path shifts instead of dividing.
    private let segmentShift: UInt64?

    // The words that every appender touches lie on lines of their own.
    private let padding0 = CacheLinePadding()
    /// Changed by read-modify-write operations only: that is what the watermark's proof rests on.
    let tail: Atomic<UInt64>
    private let padding1 = CacheLinePadding()
    /// Everything below is backed by published segments. May lie below their end: whoever comes this far has the next one prepared. Lowered only
    /// while the tail is frozen.
    let allocatedEnd: Atomic<UInt64>
    /// `FrameChecksum.state` of the current epoch. Changed only while the tail is frozen.
    fileprivate let checksumState: Atomic<UInt32>
    private let padding2 = CacheLinePadding()
    fileprivate let writtenWatermark: Atomic<UInt64>
    private let padding3 = CacheLinePadding()

    let slots: AppendSlots
    let active: ActiveSegments
    /// One thread at a time takes segments into use. Never taken by a flush.
    let allocation: Mutex<Allocation>
    let preparer: SegmentPreparer
    let retirer: HelperThread
    let committer: Committer
    private let isReplica: Bool

    /// `helpers` says who prepares and lets go of segments; not nobody: `stopHelpers` is called last. `barrier` is another one than the process's in
    /// tests.
    init(
        store: any LogStore, opening: StoreOpening, helpers: HelperMode = .off, barrier: ProcessBarrier? = .ofThisProcess
    ) throws(WALError) {
        self.store = store
        slots = AppendSlots(barrier: barrier)
        logID = opening.logID
        checksumState = Atomic(FrameChecksum(logID: opening.logID, epoch: opening.epochs.current.id).state)
        maxRecordSize = opening.maxRecordSize
        isReplica = opening.isReplica
        segmentSize = UInt64(opening.segmentSize)
        segmentShift = segmentSize.nonzeroBitCount == 1 ? UInt64(segmentSize.trailingZeroBitCount) : nil
        let end = opening.end.rawValue
        tail = Atomic(end | (opening.isReplica ? TailFlag.closed : 0))
        writtenWatermark = Atomic(end)
        active = ActiveSegments(segmentSize: opening.segmentSize)
        active.noteOpened(end: end)
        committer = Committer(store: store, durable: opening.end, segmentSize: segmentSize, active: active)
        preparer = SegmentPreparer(store: store, segmentSize: segmentSize, mode: helpers)
        retirer = HelperThread(name: "wal-retirer", mode: helpers)
        var publishedEnd = end
        if let last = opening.lastSegment {
            let index = end / segmentSize
            try active.publish(last, index: index)
            publishedEnd = (index + 1) * segmentSize
        } else {
            precondition(end % segmentSize == 0 || opening.isReplica, "the segment that holds the end is open")
        }
        // The first append comes by the slow path, which looks how far the segment is used up.
        allocatedEnd = Atomic(end)
        allocation = Mutex(Allocation(publishedEnd: publishedEnd))
        committer.onStop { [weak self] in
            _ = self?.tail.bitwiseOr(TailFlag.closed, ordering: .sequentiallyConsistent)
        }
    }

    /// Why the tail is closed.
    var stopCause: StopCause { committer.stopCause ?? (isReplica ? .replica : .closed) }

    /// What frames are hashed with now. One that was hashed before it was reserved is hashed again if this has changed: see `Reservation`.
    @inline(__always)
    var checksum: FrameChecksum { FrameChecksum(state: checksumState.load(ordering: .relaxed)) }

    @inline(__always)
    func segmentIndex(_ lsn: UInt64) -> UInt64 {
        if let segmentShift { lsn &>> segmentShift } else { lsn / segmentSize }
    }

    /// Where the next record would go. Records at or above may be on their way, but none below is missing a reservation.
    var endLSN: LSN { LSN(tail.load(ordering: .acquiring) & ~TailFlag.all) }

    /// Whether records may still come.
    var takesAppends: Bool { tail.load(ordering: .acquiring) & TailFlag.closed == 0 }

    /// Whether the tail is held, for a moment or for a large record: the end of the log may be being cut off.
    var isFrozen: Bool { tail.load(ordering: .acquiring) & TailFlag.frozen != 0 }

    // MARK: Appending

    /// Appends one record: hash, reserve, copy. On return the bytes are in the page cache.
    @inline(__always)
    func append(_ payload: UnsafeRawBufferPointer) throws(WALError) -> LSN {
        guard payload.count <= maxRecordSize else {
            throw .recordTooLarge(count: payload.count, max: maxRecordSize)
        }
        var record = unsafe HashedRecord(payload, checksum)
        guard let reservation = reserve(record.frameSize) else { return try appendAfterAllocating(record) }
        defer { complete(reservation) }
        record.rehash(with: checksum)
        try place(record, at: reservation.start)
        return LSN(reservation.start)
    }

    /// Nil where room has to be made first.
    func appendIntoRoom(_ record: HashedRecord) throws(WALError) -> LSN? {
        guard let reservation = reserve(record.frameSize) else { return nil }
        defer { complete(reservation) }
        var record = record
        record.rehash(with: checksum)
        try place(record, at: reservation.start)
        return LSN(reservation.start)
    }

    /// Bytes of the log that belong to one appender, whose slot is held until `complete`. No user code runs meanwhile, and no lock that the one
    /// who freezes the tail may hold is waited for.
    ///
    /// What depends on the epoch is looked at again after reserving: `checksum` cannot change while a reservation is held.
    struct Reservation {
        let start: UInt64
        let end: UInt64
        fileprivate let claim: AppendSlots.Claim
    }

    /// Reserves `size` bytes in one piece. Nil where the tail is closed or frozen, or segments have to be made first: then nothing is held.
    @inline(__always)
    func reserve(_ size: UInt64) -> Reservation? {
        // Announce before reserving. The bound is also the first guess at the tail: right where nobody else appends, and else the attempt brings
        // the tail's cache line here to be written, which loading it first would not.
        var claim = slots.claim(tail)
        var start = claim.bound
        while true {
            let end = start &+ size
            // A flag in the tail makes `end` greater than everything that is allocated.
            if end > allocatedEnd.load(ordering: .acquiring) {
                // A guess may be too high as well, once the tail has moved back.
                let now = tail.load(ordering: .relaxed)
                if now == start || now &+ size > allocatedEnd.load(ordering: .acquiring) {
                    slots.clear(claim, end: claim.bound)
                    return nil
                }
                start = now
            } else {
                let (exchanged, found) = tail.weakCompareExchange(
                    expected: start, desired: end, successOrdering: .acquiringAndReleasing, failureOrdering: .relaxed)
                if exchanged {
                    if start != claim.bound { slots.raise(claim, to: start) }
                    return Reservation(start: start, end: end, claim: claim)
                }
                start = found
            }
            if start < claim.bound { claim = slots.lower(claim, to: start) }
        }
    }

    /// The reserved bytes are in place.
    @inline(__always)
    func complete(_ reservation: Reservation) { slots.clear(reservation.claim, end: reservation.end) }

    /// Copies a frame to its reserved place. Its slot is claimed, so its segments stay.
    @inline(__always)
    private func place(_ record: HashedRecord, at start: UInt64) throws(WALError) {
        let header = record.header(at: start)
        let index = segmentIndex(start)
        let offset = start &- index &* segmentSize
        let end = offset &+ record.frameSize
        if end < segmentSize {
            // SAFETY: [offset, end) lies in the segment and is reserved for this frame alone.
            let target = unsafe active.base(index) + Int(truncatingIfNeeded: offset)
            unsafe header.store(into: UnsafeMutableRawBufferPointer(start: target, count: FrameHeader.size))
            if let bytes = unsafe record.payload.baseAddress {
                unsafe (target + FrameHeader.size).copyMemory(from: bytes, byteCount: record.payload.count)
            }
        } else {
            unsafe placeAcross(header, record.payload, at: start)
            do throws(WALError) {
                try active.noteCrossing(from: index, end: index * segmentSize + end)
            } catch {
                // The record is in place, but the foot that says where the next one begins is not: the disk does not take writes.
                throw .stopped(cause: committer.fail(error))
            }
        }
    }

    /// Copies a frame whose end lies at or past the end of the segment it begins in.
    @inline(never)
    private func placeAcross(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer, at start: UInt64) {
        let headerBytes = header.bytes
        unsafe headerBytes.withUnsafeBytes { unsafe copy($0, at: start) }
        unsafe copy(payload, at: start + UInt64(FrameHeader.size))
    }

    /// Copies bytes over as many published segments as they need.
    func copy(_ bytes: UnsafeRawBufferPointer, at start: UInt64) {
        var position = start
        var rest = unsafe bytes
        while let source = rest.baseAddress, unsafe !rest.isEmpty {
            let index = segmentIndex(position)
            let offset = position - index * segmentSize
            let count = min(rest.count, Int(segmentSize - offset))
            // SAFETY: the range is reserved for this frame alone and lies in a published segment.
            unsafe (active.base(index) + Int(offset)).copyMemory(from: source, byteCount: count)
            position += UInt64(count)
            unsafe rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    // MARK: Watermarks

    /// Everything below is in the page cache, nothing missing before it. Goes back only where `truncateAfter` moves the tail back.
    func written() -> LSN {
        // Whoever moves the tail back waits for those who have seen the old one.
        let entry = slots.enter(tail)
        defer { slots.leave(entry) }
        // The tail is loaded once and first: see AppendSlots.
        let tail = tail.load(ordering: .sequentiallyConsistent)
        let known = writtenWatermark.load(ordering: .acquiring)
        if tail & TailFlag.frozen != 0 { return LSN(known) }
        let lowest = slots.lowest(tail: tail & ~TailFlag.all)
        if lowest <= known { return LSN(known) }
        return LSN(writtenWatermark.raise(to: lowest))
    }

    /// Waits until everything below `lsn` is written. Ends soon: what is missing are copies in progress. Ends as well when the tail moves back
    /// below `lsn`: what was there is no more.
    func waitUntilWritten(_ lsn: LSN) {
        var backoff = Backoff()
        while written() < lsn && lsn <= endLSN { backoff.pause() }
    }

    /// No append succeeds any more; those under way finish. Returns when their bytes are in place, and nobody makes segments.
    func closeTail() {
        tail.bitwiseOr(TailFlag.closed, ordering: .sequentiallyConsistent)
        // A large record that has begun still moves the tail; later ones see the flag.
        allocation.withLock { _ in }
        waitUntilWritten(endLSN)
    }
}

// MARK: Freezing

extension LogCore {
    /// What may be changed while the tail is frozen.
    struct FrozenTail {
        /// Where the log ends; everything below is written.
        private(set) var end: LSN
        /// Whoever drops segments lowers what is published, and has the preparer let go of what follows.
        var allocation: Allocation
        private let core: LogCore

        fileprivate init(_ core: LogCore, end: LSN, _ allocation: Allocation) {
            self.core = core
            self.end = end
            self.allocation = allocation
        }

        /// Has the log go on at `end`, at or below the end so far, with frames of another epoch. At once: whoever asks for the watermark hears of
        /// the new end, so a flush that begins as soon as it may makes nothing durable that was cut off.
        mutating func goOn(at end: LSN, with checksum: FrameChecksum) {
            precondition(end <= self.end, "the log cannot go on at LSN \(end), past its end \(self.end)")
            precondition(end.rawValue <= core.allocatedEnd.load(ordering: .relaxed), "the end is backed by a segment")
            core.checksumState.store(checksum.state, ordering: .relaxed)
            core.writtenWatermark.store(end.rawValue, ordering: .releasing)
            // Closing sets its bit at any time: keep it.
            core.tail.subtract(self.end.distance(from: end), ordering: .sequentiallyConsistent)
            self.end = end
        }
    }

    /// Runs `body` while no frame is being appended: none is reserved, none is half in place, the written watermark is the end, and no segment is
    /// made or dropped by others. Appenders wait. Readers of the watermark do not: they are told the end, the new one as soon as `body` has chosen
    /// it. `body` may drop segments and lower `allocatedEnd` and what is published, never below the end that it chooses. The preparer
    /// may be making a segment until `body` has it withdraw, and makes none after that.
    ///
    /// Throws `.stopped` where the log is closed, what `body` throws, and `.io` where the tail cannot be frozen, nothing being changed then.
    func withFrozenTail<Result>(_ body: (inout FrozenTail) throws(WALError) -> Result) throws(WALError) -> Result {
        try allocation.withLock { allocation throws(WALError) in
            var frozen = FrozenTail(self, end: LSN(try freeze()), allocation)
            defer { thaw() }
            let result = try body(&frozen)
            precondition(frozen.allocation.publishedEnd >= allocatedEnd.load(ordering: .relaxed), "what is given out is published")
            allocation = frozen.allocation
            return result
        }
    }

    /// Stops reservations, and returns the end when everything below it is in place. The caller holds `allocation`, and calls `thaw`.
    /// Throws, nothing being frozen, `.stopped` where the tail is closed, and `.io` where it cannot be known who appends.
    func freeze() throws(WALError) -> UInt64 {
        let word = tail.bitwiseOr(TailFlag.frozen, ordering: .sequentiallyConsistent).oldValue
        do throws(WALError) {
            guard word & TailFlag.closed == 0 else { throw .stopped(cause: stopCause) }
            try slots.drain()
        } catch {
            tail.bitwiseAnd(~TailFlag.frozen, ordering: .sequentiallyConsistent)
            throw error
        }
        writtenWatermark.raise(to: word)
        return word
    }

    /// Lets reservations go on.
    func thaw() {
        // Whoever still believes in an `allocatedEnd` that has been lowered finds the tail frozen; later ones see the new one. Where it cannot be known
        // that nobody does, none may be made any more: the tail is closed.
        do throws(WALError) { try slots.drain() } catch { committer.fail(error) }
        tail.bitwiseAnd(~TailFlag.frozen, ordering: .sequentiallyConsistent)
    }
}

/// Keeps two words off one another's cache lines (two lines, for the adjacent-line prefetcher).
private struct CacheLinePadding: Sendable {
    private let words: InlineArray<16, UInt64> = InlineArray(repeating: 0)
}
