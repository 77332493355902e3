import Synchronization

/// The slow path of appending: taking segments into use, and records too large to be mapped whole.
extension LogCore {
    /// What the one who takes segments into use knows.
    struct Allocation {
        /// Everything below is backed by published segments.
        var publishedEnd: UInt64
        /// Appends that wait for a consumer of the log.
        var waiting = 0
    }

    private enum Room {
        /// There is room, or a large record is in its place.
        case made(LSN?)
        /// A consumer has appends wait.
        case blocked
    }

    /// An append that found no room, or a flag in the tail. Allocates first and reserves afterwards, so an error leaves
    /// nothing reserved.
    @inline(never)
    func appendAfterAllocating(_ record: HashedRecord) throws(WALError) -> LSN {
        if let placed = try makeRoom(for: record.frameSize, large: { largeWrite(record, at: $0) }) { return placed }
        return try unsafe append(record.payload)
    }

    private func largeWrite(_ record: HashedRecord, at start: UInt64) -> LargeWrite {
        var record = record
        record.rehash(with: checksum)
        return unsafe LargeWrite(header: record.header(at: start).bytes, payload: record.payload, start: start)
    }

    /// Makes room for `size` bytes to be reserved in one piece: nil once there is, for the caller to try again. What is too large to be
    /// mapped whole is asked for with `large`, while the tail is frozen, written where the log ends, and its LSN returned.
    ///
    /// Where a consumer has appends wait (`LogStore.isBlocked`), it waits here, nothing held, until it may go on, or the log is closed or has stopped.
    func makeRoom(for size: UInt64, large: (_ start: UInt64) -> LargeWrite) throws(WALError) -> LSN? {
        var isCounted = false
        while true {
            if case .made(let lsn) = try makeRoomUnlessBlocked(for: size, &isCounted, large: large) { return lsn }
            // Nobody unparks it: a look under the lock finds what has changed.
            _ = Parker().park(nanoseconds: LogLimits.blockedLookInterval)
        }
    }

    /// `isCounted`: among those who wait.
    private func makeRoomUnlessBlocked(
        for size: UInt64, _ isCounted: inout Bool, large: (_ start: UInt64) -> LargeWrite
    ) throws(WALError) -> Room {
        let isLarge = size > UInt64(LogLimits.mappedSegmentsPerRecordMax) * segmentSize
        return try allocation.withLock { allocation throws(WALError) -> Room in
            var mustWait = false
            defer { if !mustWait { stopCounting(&isCounted, &allocation) } }
            let word = tail.load(ordering: .acquiring)
            guard word & TailFlag.closed == 0 else { throw .stopped(cause: stopCause) }
            // The frozen flag is only ever set under this lock.
            precondition(word & TailFlag.frozen == 0, "frozen outside of the allocation lock")
            guard word + size < LogLimits.lsnMax else { throw .noSpace(path: "the log's address space") }
            mustWait = try mustWaitNow(upTo: word + size, &isCounted, &allocation)
            if mustWait { return .blocked }
            stopCounting(&isCounted, &allocation)
            if isLarge { return .made(try appendLarge(large, &allocation)) }
            try allocate(upTo: word + size, &allocation)
            return .made(nil)
        }
    }

    /// Whether an append that ends at `end` has to wait now; then it is counted. What fits into the segments that there are never does.
    private func mustWaitNow(upTo end: UInt64, _ isCounted: inout Bool, _ allocation: inout Allocation) throws(WALError) -> Bool {
        guard allocation.publishedEnd < end else { return false }
        guard try store.isBlocked(waiting: allocation.waiting + (isCounted ? 0 : 1)) else { return false }
        if !isCounted { allocation.waiting += 1 }
        isCounted = true
        return true
    }

    /// Who goes on, or gives up, waits no more.
    private func stopCounting(_ isCounted: inout Bool, _ allocation: inout Allocation) {
        guard isCounted else { return }
        isCounted = false
        allocation.waiting -= 1
        // The store is closed after its log, and nobody waits for a closed one.
        guard takesAppends else { return }
        // Told for people only: nobody's append fails for it.
        _ = try? store.isBlocked(waiting: allocation.waiting)
    }

    // MARK: Without a thread

    /// As `append(_:)`, but holds no thread while a consumer has appends wait. Throws `.cancelled`, nothing being appended, when the task is cancelled
    /// while it waits.
    func append(_ record: [UInt8]) async throws(WALError) -> LSN {
        guard record.count <= maxRecordSize else { throw .recordTooLarge(count: record.count, max: maxRecordSize) }
        let size = UInt64(FrameHeader.size + record.count)
        var isCounted = false
        defer { if isCounted { allocation.withLock { stopCounting(&isCounted, &$0) } } }
        while true {
            if let lsn = unsafe try record.withBytes({ bytes throws(WALError) in try unsafe appendUnlessBlocked(bytes, &isCounted) }) { return lsn }
            repeat {
                do { try await Task.sleep(for: .nanoseconds(LogLimits.blockedLookInterval)) } catch { throw .cancelled }
            } while try isStillBlocked(for: size, &isCounted)
        }
    }

    /// Nil where it has to wait; then it is counted.
    private func appendUnlessBlocked(_ payload: UnsafeRawBufferPointer, _ isCounted: inout Bool) throws(WALError) -> LSN? {
        let record = unsafe HashedRecord(payload, checksum)
        while true {
            if let lsn = try appendIntoRoom(record) { return lsn }
            switch try makeRoomUnlessBlocked(for: record.frameSize, &isCounted, large: { largeWrite(record, at: $0) }) {
            case .made(let lsn?): return lsn
            case .made(nil): continue
            case .blocked: return nil
            }
        }
    }

    /// A look, before the record is hashed again.
    private func isStillBlocked(for size: UInt64, _ isCounted: inout Bool) throws(WALError) -> Bool {
        try allocation.withLock { allocation throws(WALError) in
            let word = tail.load(ordering: .acquiring)
            // A closed tail is for the append to tell.
            guard word & TailFlag.closed == 0 else { return false }
            return try mustWaitNow(upTo: word + size, &isCounted, &allocation)
        }
    }

    /// Takes segments into use until `end` is backed. Those taken before an error stay: empty, and used by the next append.
    private func allocate(upTo end: UInt64, _ allocation: inout Allocation) throws(WALError) {
        while allocation.publishedEnd < end {
            while active.count >= LogLimits.activeSegmentsMax { try flushAndReleaseOldest() }
            let index = allocation.publishedEnd / segmentSize
            let segment = try preparer.take(index)
            do throws(WALError) {
                try active.publish(segment, index: index)
            } catch {
                throw .stopped(cause: committer.fail(error))
            }
            allocation.publishedEnd += segmentSize
            askForRetirement()
        }
        announce(end, allocation)
    }

    /// Lets appenders have what is backed: up to the point of the last segment where the next one is to be prepared, or, where the record that
    /// ends at `end` gets past that, all of it.
    private func announce(_ end: UInt64, _ allocation: Allocation) {
        let point = allocation.publishedEnd - segmentSize + segmentSize / LogLimits.preparationPoint
        if end > point { preparer.want(from: allocation.publishedEnd / segmentSize) }
        // Another append may have been given all of it, and not have reserved yet.
        let backed = max(end > point ? allocation.publishedEnd : point, allocatedEnd.load(ordering: .relaxed))
        allocatedEnd.store(backed, ordering: .sequentiallyConsistent)
    }

    /// Too many segments wait for a flush: flush the oldest now, however long that takes.
    private func flushAndReleaseOldest() throws(WALError) {
        guard let oldest = active.entries.first else { return }
        let end = (oldest.index + 1) * segmentSize
        waitUntilWritten(LSN(end))
        try committer.waitUntilDurable(LSN(end), written: written)
        // A slot may hold an old, lower bound for a moment more.
        var backoff = Backoff()
        while slots.lowest(tail: endLSN.rawValue) < end { backoff.pause() }
        try releaseDurable()
    }

    /// Writes a record or batch that needs more segments than may be mapped: alone, segment by segment, each flushed before it is let
    /// go. The tail moves when all bytes are in place; the segment in which it begins is written last, so an error before that leaves
    /// the log unchanged.
    private func appendLarge(_ make: (_ start: UInt64) -> LargeWrite, _ allocation: inout Allocation) throws(WALError) -> LSN {
        let word = try freeze()
        defer { thaw() }
        let write = make(word)
        let firstIndex = word / segmentSize
        let lastIndex = (write.end - 1) / segmentSize
        let firstIsActive = allocation.publishedEnd > word
        let firstNew = firstIsActive ? firstIndex + 1 : firstIndex

        try dropUnusedSegments(from: firstNew, &allocation)
        var last: (any LogSegment)?
        do throws(WALError) {
            for index in firstNew...lastIndex {
                let segment = try preparer.take(index)
                last = segment
                // The next one is made while this one is written.
                preparer.want(from: index + 1)
                unsafe write.copy(into: segment.base, of: index, segmentSize: segmentSize)
                if index < lastIndex {
                    try segment.noteFirstFrame(write.firstFrame(inSegment: index, segmentSize: segmentSize))
                    // A store may share its descriptor between segments: nobody else may hear of this flush instead of us.
                    // Nor may the keeper be flushing this segment's foot while it is let go.
                    try committer.betweenFlushes { () throws(WALError) in
                        try segment.flush()
                        last = nil
                        try segment.release()
                    }
                }
            }
        } catch {
            try committer.betweenFlushes { () throws(WALError) in
                try last?.release()
                try preparer.withdraw()
            }
            // Best effort, and never instead of what has happened: what stays is replaced when the log comes there, and goes with the next opening.
            try? store.discardSegments(from: firstNew)
            throw error
        }
        guard let last else { preconditionFailure("what is large has a last segment") }
        do throws(WALError) {
            if firstIsActive {
                unsafe write.copy(into: active.base(firstIndex), of: firstIndex, segmentSize: segmentSize)
            }
            // The ring finds segments by index modulo its size: nothing old may stay beside one so far ahead.
            try committer.betweenFlushes { () throws(WALError) in
                for segment in active.takeAll() {
                    try segment.flush()
                    try segment.release()
                }
            }
            try active.publish(last, index: lastIndex)
            if let first = write.firstFrame(inSegment: lastIndex, segmentSize: segmentSize) {
                try active.noteCrossing(from: firstIndex, end: first.rawValue)
            }
            try active.noteCrossing(from: firstIndex, end: write.end)
        } catch {
            throw .stopped(cause: committer.fail(error))
        }
        allocation.publishedEnd = (lastIndex + 1) * segmentSize
        announce(write.end, allocation)
        // Closing sets its bit at any time: keep it.
        tail.add(write.end - word, ordering: .sequentiallyConsistent)
        return LSN(word)
    }

    /// Segments that were taken into use but not reached by the tail. Prepared ones, which come after them, can only stay where none was.
    private func dropUnusedSegments(from index: UInt64, _ allocation: inout Allocation) throws(WALError) {
        guard allocation.publishedEnd > index * segmentSize else { return }
        try committer.betweenFlushes { () throws(WALError) in
            for segment in active.takeAll(from: index) { try segment.release() }
            try preparer.withdraw()
        }
        allocation.publishedEnd = index * segmentSize
        allocatedEnd.store(min(allocatedEnd.load(ordering: .relaxed), index * segmentSize), ordering: .sequentiallyConsistent)
        try store.discardSegments(from: index)
    }
}

/// Frames that are written segment by segment: one record with its payload where the caller has it, or a batch.
@safe struct LargeWrite {
    /// The first bytes: a header, or everything.
    private let head: [UInt8]
    /// What follows them.
    private let rest: UnsafeRawBufferPointer
    /// Where the frames begin, ascending.
    private let frameStarts: [UInt64]
    var end: UInt64 { frameStarts[0] + UInt64(unsafe head.count + rest.count) }

    /// `payload` is used while it is lent.
    init(header: [UInt8], payload: UnsafeRawBufferPointer, start: UInt64) {
        head = header
        unsafe rest = payload
        frameStarts = [start]
    }

    init(bytes: [UInt8], frameStarts: [UInt64]) {
        head = bytes
        unsafe rest = UnsafeRawBufferPointer(start: nil, count: 0)
        self.frameStarts = frameStarts
    }

    /// The first frame that begins in segment `index`.
    func firstFrame(inSegment index: UInt64, segmentSize: UInt64) -> LSN? {
        // A batch may have millions of frames in thousands of segments.
        var (low, high) = (0, frameStarts.count)
        while low < high {
            let middle = (low + high) / 2
            if frameStarts[middle] < index * segmentSize { low = middle + 1 } else { high = middle }
        }
        return low < frameStarts.count && frameStarts[low] / segmentSize == index ? LSN(frameStarts[low]) : nil
    }

    /// Copies the part that lies in segment `index` to its place in that segment's memory.
    func copy(into base: UnsafeMutableRawPointer, of index: UInt64, segmentSize: UInt64) {
        let segment = index * segmentSize..<(index + 1) * segmentSize
        unsafe head.withUnsafeBytes { unsafe copyPart($0, at: frameStarts[0], into: base, of: segment) }
        unsafe copyPart(rest, at: frameStarts[0] + UInt64(head.count), into: base, of: segment)
    }

    private func copyPart(
        _ bytes: UnsafeRawBufferPointer, at position: UInt64, into base: UnsafeMutableRawPointer, of segment: Range<UInt64>
    ) {
        let part = (position..<position + UInt64(bytes.count)).clamped(to: segment)
        guard !part.isEmpty, let source = bytes.baseAddress else { return }
        // SAFETY: `part` lies in both the source and the segment.
        unsafe (base + Int(part.lowerBound - segment.lowerBound)).copyMemory(
            from: source + Int(part.lowerBound - position), byteCount: part.count)
    }
}
