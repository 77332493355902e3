import Synchronization

/// Appending a batch: hash every record, reserve once, copy once, then put each frame's header in its place.
///
/// One reservation holds the whole batch, so a watermark never lies inside it; the flag on all frames but the last lets recovery cut one
/// that a crash left incomplete.
extension LogCore {
    /// Appends the records of `batch` and returns their LSNs. On an error none was reserved.
    func append(_ batch: RecordBatch) throws(WALError) -> [LSN] {
        guard !batch.isEmpty else { return [] }
        guard batch.longestRecord <= maxRecordSize else {
            throw .recordTooLarge(count: batch.longestRecord, max: maxRecordSize)
        }
        let sizeMax = max(LogLimits.batchSizeMax, FrameHeader.size + maxRecordSize)
        guard batch.byteCount <= sizeMax else { throw .recordTooLarge(count: batch.byteCount, max: sizeMax) }
        return try unsafe batch.frames.withBytes { frames throws(WALError) in
            unsafe try append(HashedBatch(frames, count: batch.count, checksum))
        }
    }

    private func append(_ batch: HashedBatch) throws(WALError) -> [LSN] {
        var batch = batch
        let size = UInt64(unsafe batch.frames.count)
        while true {
            if let reservation = reserve(size) {
                defer { complete(reservation) }
                batch.rehash(with: checksum)
                unsafe copy(batch.frames, at: reservation.start)
                return try placeHeaders(of: batch, at: reservation.start)
            }
            let lsn = try makeRoom(for: size) { start in
                batch.rehash(with: checksum)
                var bytes = unsafe [UInt8](batch.frames)
                let lsns = unsafe bytes.withMutableBytes { bytes in batch.finish(at: start) { unsafe $1.store(into: bytes, at: $0) } }
                return LargeWrite(bytes: bytes, frameStarts: lsns.map(\.rawValue))
            }
            if let lsn { return batch.finish(at: lsn.rawValue) { _, _ in } }
        }
    }

    /// Completes the frames of a batch whose payloads are in place.
    private func placeHeaders(of batch: HashedBatch, at start: UInt64) throws(WALError) -> [LSN] {
        let lsns = batch.finish(at: start) { offset, header in
            let position = start &+ UInt64(offset)
            let index = segmentIndex(position)
            let place = position &- index &* segmentSize
            if place &+ UInt64(FrameHeader.size) <= segmentSize {
                // SAFETY: these eight bytes lie in the segment and are reserved for this frame.
                let target = unsafe active.base(index) + Int(truncatingIfNeeded: place)
                unsafe header.store(into: UnsafeMutableRawBufferPointer(start: target, count: FrameHeader.size))
            } else {
                let bytes = header.bytes
                unsafe bytes.withUnsafeBytes { unsafe copy($0, at: position) }
            }
        }
        do throws(WALError) {
            try noteCrossings(frameStarts: lsns, end: start + UInt64(unsafe batch.frames.count))
        } catch {
            // As for a single record: it is in place, but a foot that says where the next one begins is not.
            throw .stopped(cause: committer.fail(error))
        }
        return lsns
    }

    /// Says in each segment that a batch reaches where the first frame begins.
    private func noteCrossings(frameStarts: [LSN], end: UInt64) throws(WALError) {
        guard let first = frameStarts.first, segmentIndex(first.rawValue) != segmentIndex(end) else { return }
        for number in frameStarts.indices {
            let frameEnd = number + 1 < frameStarts.count ? frameStarts[number + 1].rawValue : end
            let index = segmentIndex(frameStarts[number].rawValue)
            if segmentIndex(frameEnd) != index { try active.noteCrossing(from: index, end: frameEnd) }
        }
    }
}

/// The frames of a batch and what was hashed of them before space was reserved. Lives while the batch's buffer is lent.
@safe private struct HashedBatch {
    let frames: UnsafeRawBufferPointer
    private let checksum: FrameChecksum
    private let partials: [CRC32C]

    init(_ frames: UnsafeRawBufferPointer, count: Int, _ checksum: FrameChecksum) {
        unsafe self.frames = frames
        self.checksum = checksum
        var partials: [CRC32C] = []
        partials.reserveCapacity(count)
        unsafe RecordBatch.forEachFrame(in: frames) { _, field, payload in
            unsafe partials.append(checksum.begin(lengthField: field, payload: payload))
        }
        self.partials = partials
    }

    /// Hashes again if another epoch has begun since.
    mutating func rehash(with current: FrameChecksum) {
        if current.state != checksum.state { unsafe self = HashedBatch(frames, count: partials.count, current) }
    }

    /// The LSNs of the frames of a batch that begins at `start`; hands every finished header, with its offset, to `put`.
    func finish(at start: UInt64, _ put: (Int, FrameHeader) -> Void) -> [LSN] {
        var lsns: [LSN] = []
        lsns.reserveCapacity(partials.count)
        unsafe RecordBatch.forEachFrame(in: frames) { offset, field, _ in
            let lsn = LSN(start &+ UInt64(offset))
            put(offset, FrameHeader(checksum: FrameChecksum.finish(partials[lsns.count], lsn: lsn), lengthField: field))
            lsns.append(lsn)
        }
        return lsns
    }
}
