import Synchronization

/// The slow path of appending: taking segments into use, and records too large to be mapped whole.
extension LogCore {
    /// What the one who takes segments into use knows.
    struct Allocation {
        /// Everything below is backed by published segments.
        var publishedEnd: UInt64
    }

    /// An append that found no room, or a flag in the tail. Allocates first and reserves afterwards, so an error leaves
    /// nothing reserved.
    @inline(never)
    func appendAfterAllocating(_ record: HashedRecord) throws(WALError) -> LSN {
        let size = record.frameSize
        let isLarge = size > UInt64(LogLimits.mappedSegmentsPerRecordMax) * segmentSize
        let placed = try allocation.withLock { allocation throws(WALError) -> LSN? in
            let word = tail.load(ordering: .acquiring)
            guard word & TailFlag.closed == 0 else { throw .stopped(cause: stopCause) }
            // The frozen flag is only ever set under this lock.
            precondition(word & TailFlag.frozen == 0, "frozen outside of the allocation lock")
            guard word + size < LogLimits.lsnMax else { throw .noSpace(path: "the log's address space") }
            if isLarge { return try appendLarge(record, &allocation) }
            try allocate(upTo: word + size, &allocation)
            return nil
        }
        if let placed { return placed }
        return try unsafe append(record.payload)
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

    /// Writes a record that needs more segments than may be mapped: alone, segment by segment, each flushed before it is let go.
    /// The tail moves when all bytes are in place; the segment in which the record begins is written last, so an error before
    /// that leaves the log unchanged.
    private func appendLarge(_ record: HashedRecord, _ allocation: inout Allocation) throws(WALError) -> LSN {
        let word = try freeze()
        defer { thaw() }
        var record = record
        record.rehash(with: checksum)
        let payload = unsafe record.payload
        let frame = LargeFrame(header: record.header(at: word).bytes, payloadCount: payload.count, start: word)
        let firstIndex = word / segmentSize
        let lastIndex = (frame.end - 1) / segmentSize
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
                unsafe frame.copy(payload, into: segment.base, of: index, segmentSize: segmentSize)
                if index < lastIndex {
                    try segment.noteFirstFrame(index == firstIndex ? LSN(word) : nil)
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
            if let last { try committer.betweenFlushes { () throws(WALError) in try last.release() } }
            try preparer.withdraw()
            try store.discardSegments(from: firstNew)
            throw error
        }
        guard let last else { preconditionFailure("a large record has a last segment") }
        do throws(WALError) {
            if firstIsActive {
                unsafe frame.copy(payload, into: active.base(firstIndex), of: firstIndex, segmentSize: segmentSize)
            }
            // The ring finds segments by index modulo its size: nothing old may stay beside one so far ahead.
            try committer.betweenFlushes { () throws(WALError) in
                for segment in active.takeAll() {
                    try segment.flush()
                    try segment.release()
                }
            }
            try active.publish(last, index: lastIndex)
            try active.noteCrossing(from: firstIndex, end: frame.end)
        } catch {
            throw .stopped(cause: committer.fail(error))
        }
        allocation.publishedEnd = (lastIndex + 1) * segmentSize
        announce(frame.end, allocation)
        // Closing sets its bit at any time: keep it.
        tail.add(frame.end - word, ordering: .sequentiallyConsistent)
        return LSN(word)
    }

    /// Segments that were taken into use but not reached by the tail. Prepared ones, which come after them, can only stay where none was.
    private func dropUnusedSegments(from index: UInt64, _ allocation: inout Allocation) throws(WALError) {
        guard allocation.publishedEnd > index * segmentSize else { return }
        try committer.betweenFlushes { () throws(WALError) in
            for segment in active.takeAll(from: index) { try segment.release() }
        }
        allocation.publishedEnd = index * segmentSize
        allocatedEnd.store(min(allocatedEnd.load(ordering: .relaxed), index * segmentSize), ordering: .sequentiallyConsistent)
        try preparer.withdraw()
        try store.discardSegments(from: index)
    }
}

/// A frame that is written segment by segment.
private struct LargeFrame {
    let header: [UInt8]
    let payloadCount: Int
    let start: UInt64
    var end: UInt64 { start + UInt64(FrameHeader.size + payloadCount) }

    /// Copies the part of the frame that lies in segment `index` to its place in that segment's memory.
    func copy(_ payload: UnsafeRawBufferPointer, into base: UnsafeMutableRawPointer, of index: UInt64, segmentSize: UInt64) {
        let segment = index * segmentSize..<(index + 1) * segmentSize
        unsafe header.withUnsafeBytes { unsafe copyPart($0, at: start, into: base, of: segment) }
        unsafe copyPart(payload, at: start + UInt64(FrameHeader.size), into: base, of: segment)
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
