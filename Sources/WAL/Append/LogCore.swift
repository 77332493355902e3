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
    let checksum: FrameChecksum
    let maxRecordSize: Int
    let segmentSize: UInt64
    /// log2 of the segment size where that is a power of two, so that the hot path shifts instead of dividing.
    private let segmentShift: UInt64?

    // The words that every appender touches lie on lines of their own.
    private let padding0 = CacheLinePadding()
    let tail: Atomic<UInt64>
    private let padding1 = CacheLinePadding()
    /// Everything below is backed by published segments.
    let allocatedEnd: Atomic<UInt64>
    private let padding2 = CacheLinePadding()
    private let writtenWatermark: Atomic<UInt64>

    let slots = AppendSlots()
    let active: ActiveSegments
    /// One thread at a time makes segments. Never taken by a flush.
    let allocation = Mutex(())
    let committer: Committer
    private let isReplica: Bool

    init(store: any LogStore, opening: StoreOpening) throws(WALError) {
        self.store = store
        checksum = FrameChecksum(logID: opening.logID, epoch: opening.epochs.current.id)
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
        if let last = opening.lastSegment {
            let index = end / segmentSize
            try active.publish(last, index: index)
            allocatedEnd = Atomic((index + 1) * segmentSize)
        } else {
            precondition(end % segmentSize == 0 || opening.isReplica, "the segment that holds the end is open")
            allocatedEnd = Atomic(end)
        }
        committer.onStop { [weak self] in
            _ = self?.tail.bitwiseOr(TailFlag.closed, ordering: .sequentiallyConsistent)
        }
    }

    /// Why the tail is closed.
    var stopCause: StopCause { committer.stopCause ?? (isReplica ? .replica : .closed) }

    @inline(__always)
    func segmentIndex(_ lsn: UInt64) -> UInt64 {
        if let segmentShift { lsn &>> segmentShift } else { lsn / segmentSize }
    }

    /// Where the next record would go. Records at or above may be on their way, but none below is missing a reservation.
    var endLSN: LSN { LSN(tail.load(ordering: .acquiring) & ~TailFlag.all) }

    /// Whether records may still come.
    var takesAppends: Bool { tail.load(ordering: .acquiring) & TailFlag.closed == 0 }

    // MARK: Appending

    /// Appends one record: hash, reserve, copy. On return the bytes are in the page cache.
    @inline(__always)
    func append(_ payload: UnsafeRawBufferPointer) throws(WALError) -> LSN {
        guard payload.count <= maxRecordSize else {
            throw .recordTooLarge(count: payload.count, max: maxRecordSize)
        }
        let header = FrameHeader(checksum: 0, lengthField: UInt32(truncatingIfNeeded: payload.count))
        let partial = unsafe checksum.begin(lengthField: header.lengthField, payload: payload)
        let size = UInt64(FrameHeader.size + payload.count)

        // Announce before reserving: any earlier value of the tail is a lower bound of what will be reserved.
        let slot = slots.claim(bound: tail.load(ordering: .relaxed) & ~TailFlag.all)
        var start = tail.load(ordering: .relaxed)
        while true {
            let end = start &+ size
            if start & TailFlag.all != 0 || end > allocatedEnd.load(ordering: .acquiring) {
                slots.clear(slot)
                return try unsafe appendAfterAllocating(header, partial, payload)
            }
            let (exchanged, found) = tail.weakCompareExchange(
                expected: start, desired: end, successOrdering: .sequentiallyConsistent, failureOrdering: .relaxed)
            if exchanged { break }
            start = found
        }
        defer { slots.clear(slot) }
        try unsafe place(header, partial, payload, at: start)
        return LSN(start)
    }

    /// Copies a frame to its reserved place. Its slot is claimed, so its segments stay.
    @inline(__always)
    private func place(_ header: FrameHeader, _ partial: CRC32C, _ payload: UnsafeRawBufferPointer, at start: UInt64)
        throws(WALError)
    {
        var header = header
        header.checksum = FrameChecksum.finish(partial, lsn: LSN(start))
        let index = segmentIndex(start)
        let offset = start &- index &* segmentSize
        let end = offset &+ UInt64(FrameHeader.size &+ payload.count)
        if end < segmentSize {
            // SAFETY: [offset, end) lies in the segment and is reserved for this frame alone.
            let target = unsafe active.base(index) + Int(truncatingIfNeeded: offset)
            unsafe header.store(into: UnsafeMutableRawBufferPointer(start: target, count: FrameHeader.size))
            if let bytes = payload.baseAddress {
                unsafe (target + FrameHeader.size).copyMemory(from: bytes, byteCount: payload.count)
            }
        } else {
            unsafe placeAcross(header, payload, at: start)
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

    /// Everything below is in the page cache, nothing missing before it. Never goes back.
    func written() -> LSN {
        // The tail is loaded once and first: see AppendSlots.
        let tail = tail.load(ordering: .sequentiallyConsistent) & ~TailFlag.all
        let lowest = slots.lowest(tail: tail)
        let (_, now) = writtenWatermark.max(lowest, ordering: .acquiringAndReleasing)
        return LSN(now)
    }

    /// Waits until everything below `lsn` is written. Ends soon: what is missing are copies in progress.
    func waitUntilWritten(_ lsn: LSN) {
        precondition(lsn <= endLSN, "nothing was reserved up to LSN \(lsn)")
        var backoff = Backoff()
        while written() < lsn { backoff.pause() }
    }

    /// No append succeeds any more; those under way finish. Returns when their bytes are in place, and nobody makes segments.
    func closeTail() {
        tail.bitwiseOr(TailFlag.closed, ordering: .sequentiallyConsistent)
        // A large record that has begun still moves the tail; later ones see the flag.
        allocation.withLock { _ in }
        waitUntilWritten(endLSN)
    }
}

/// Keeps two words off one another's cache lines (two lines, for the adjacent-line prefetcher).
private struct CacheLinePadding: Sendable {
    private let words: InlineArray<16, UInt64> = InlineArray(repeating: 0)
}
