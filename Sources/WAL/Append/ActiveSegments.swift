import Synchronization

/// The segments that are being appended to, found by index without a lock.
///
/// A segment is published before `allocatedEnd` covers it, and taken out only when it is durable and no appender's slot lies below its
/// end; so an appender that holds a reservation always finds its segments. At most `LogLimits.activeSegmentsMax`.
@safe final class ActiveSegments: Sendable {
    private static let ringSize = 64

    struct Entry: Sendable {
        let index: UInt64
        let segment: any LogSegment
        /// Whether somebody has said where the first frame begins.
        var firstFrameIsNoted: Bool
        /// Whether it was flushed after its last byte had been written.
        var isWrittenOut = false
    }

    private struct Listed {
        /// Ascending by index.
        var entries: [Entry] = []
        /// A first frame noted before its segment existed: the frame before it ended exactly on the boundary.
        var pendingFirstFrame: LSN?
    }

    let segmentSize: UInt64
    // SAFETY: allocated here, freed in deinit; each word is only touched as an atomic.
    private nonisolated(unsafe) let ring: UnsafeMutablePointer<Atomic<UInt>>
    private let listed = Mutex(Listed())

    init(segmentSize: Int) {
        precondition(LogLimits.activeSegmentsMax < Self.ringSize, "the ring must hold every active segment")
        self.segmentSize = UInt64(segmentSize)
        unsafe ring = .allocate(capacity: Self.ringSize)
        for index in 0..<Self.ringSize { unsafe (ring + index).initialize(to: Atomic(0)) }
    }

    deinit { unsafe ring.deallocate() }

    /// The memory of a segment that is published. Lock-free; the caller holds a reservation in it.
    @inline(__always)
    func base(_ index: UInt64) -> UnsafeMutableRawPointer {
        let address = unsafe ring[Int(truncatingIfNeeded: index) & (Self.ringSize - 1)].load(ordering: .relaxed)
        // SAFETY: non-zero, because the segment was published before it could be reserved and is not taken out before the
        // caller's slot is cleared.
        return unsafe UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped
    }

    var count: Int { listed.withLock { $0.entries.count } }

    var oldestIndex: UInt64? { listed.withLock { $0.entries.first?.index } }

    func entry(_ index: UInt64) -> Entry? { listed.withLock { $0.entries.first { $0.index == index } } }

    /// A full segment was flushed.
    func noteWrittenOut(_ index: UInt64) {
        listed.withLock { listed in
            if let place = listed.entries.firstIndex(where: { $0.index == index }) { listed.entries[place].isWrittenOut = true }
        }
    }

    var entries: [Entry] { listed.withLock { $0.entries } }

    /// Makes a segment reachable. Called by the one allocator, before `allocatedEnd` moves over it.
    func publish(_ segment: any LogSegment, index: UInt64) throws(WALError) {
        try listed.withLock { listed throws(WALError) in
            var noted = false
            if let first = listed.pendingFirstFrame, first.rawValue / segmentSize == index {
                try segment.noteFirstFrame(first)
                listed.pendingFirstFrame = nil
                noted = true
            }
            precondition(listed.entries.last.map { $0.index < index } ?? true, "segments are published in order")
            listed.entries.append(Entry(index: index, segment: segment, firstFrameIsNoted: noted))
        }
        unsafe ring[Int(index) & (Self.ringSize - 1)].store(UInt(bitPattern: segment.base), ordering: .releasing)
    }

    /// Frames that end at `end` crossed from segment `from`: says in each later segment's foot where its first frame begins.
    func noteCrossing(from: UInt64, end: UInt64) throws(WALError) {
        let last = end / segmentSize
        try listed.withLock { listed throws(WALError) in
            var found = false
            for position in listed.entries.indices
            where listed.entries[position].index > from && !listed.entries[position].firstFrameIsNoted {
                let index = listed.entries[position].index
                if index < last {
                    try listed.entries[position].segment.noteFirstFrame(nil)
                    listed.entries[position].firstFrameIsNoted = true
                } else if index == last {
                    try listed.entries[position].segment.noteFirstFrame(LSN(end))
                    listed.entries[position].firstFrameIsNoted = true
                    found = true
                }
            }
            if !found && end % segmentSize == 0 { listed.pendingFirstFrame = LSN(end) }
        }
    }

    /// The log was opened, or cut off, with its end here: exactly on a boundary (LSN 0 included), the next frame is the first of its segment.
    func noteOpened(end: UInt64) {
        listed.withLock { $0.pendingFirstFrame = end % segmentSize == 0 ? LSN(end) : nil }
    }

    /// Takes out the oldest segment if it ends at or below `end`; the caller has seen that no slot lies below its end.
    func takeOldest(endingAtOrBelow end: UInt64) -> (any LogSegment)? {
        listed.withLock { listed in
            guard let first = listed.entries.first, (first.index + 1) * segmentSize <= end else { return nil }
            listed.entries.removeFirst()
            unsafe ring[Int(first.index) & (Self.ringSize - 1)].store(0, ordering: .releasing)
            return first.segment
        }
    }

    /// Takes out every segment from `index` on, ascending. Nobody appends to them.
    func takeAll(from index: UInt64 = 0) -> [any LogSegment] {
        listed.withLock { listed in
            let taken = listed.entries.filter { $0.index >= index }
            listed.entries.removeAll { $0.index >= index }
            return taken.map(\.segment)
        }
    }
}
