/// Verifies a log's bytes as they come, in order and in pieces of any size, and knows where the last whole record or batch ends.
///
/// A value that keeps no bytes of payloads: a frame that is not whole yet is hashed as far as it has come. What was taken before an error can be gone back to by
/// keeping a copy of the value.
package struct ReplicaStream: Sendable {
    /// Which records are wanted.
    package enum End: Hashable, Sendable {
        case everything
        /// No record, and no batch, that ends past this LSN.
        case limit(LSN)
        /// No record that begins past this LSN.
        case through(LSN)
    }

    private var checksums: FrameChecksums
    private let end: End
    private let segmentSize: UInt64
    /// Where the next bytes go.
    package private(set) var position: LSN
    /// The end of the last whole record or batch that is wanted, how many records end there, and bytes of the longest one.
    package private(set) var boundary: LSN
    package private(set) var recordCount: UInt64 = 0
    package private(set) var longestRecord = 0
    /// The first frame that begins in the segment of the position, or in the one before where the position is its end.
    package private(set) var firstFrame: (segment: UInt64, lsn: LSN)?
    /// A record was met that is not wanted: what follows it is none either, and not looked at.
    package private(set) var isPastEnd = false

    /// Records since the boundary, of a batch that is not whole.
    private var pendingCount: UInt64 = 0
    private var pendingLongest = 0
    /// Where the frame begins that is under way.
    private var frame: LSN
    private var header: [UInt8] = []
    private var fields: FrameHeader?
    private var checksum = CRC32C()
    private var missing = 0

    /// `start` is a boundary between records, and between batches.
    package init(logID: LogID, epochs: EpochTable, segmentSize: UInt64, start: LSN, end: End) {
        checksums = FrameChecksums(logID: logID, epochs: epochs)
        self.end = end
        self.segmentSize = segmentSize
        position = start
        boundary = start
        frame = start
    }

    /// Takes the bytes at the position. Throws `.corruption` for the first frame that does not verify; the value then means nothing any more.
    package mutating func add(_ bytes: [UInt8], _ range: Range<Int>) throws(WALError) {
        unsafe try bytes.withBytes { all throws(WALError) in
            // SAFETY: a range of the array, whose bytes live through the call.
            unsafe try add(UnsafeRawBufferPointer(rebasing: all[range]))
        }
    }

    private var wantedUpTo: LSN {
        switch end {
        case .everything: LSN(LogLimits.lsnMax)
        case .limit(let lsn), .through(let lsn): lsn
        }
    }

    private mutating func add(_ bytes: UnsafeRawBufferPointer) throws(WALError) {
        position = position.advanced(by: UInt64(bytes.count))
        var offset = 0
        while offset < bytes.count, !isPastEnd {
            if header.isEmpty { unsafe takeWhole(bytes, &offset) }
            // SAFETY: offsets below the count.
            if offset < bytes.count { offset += unsafe try takePart(UnsafeRawBufferPointer(rebasing: bytes[offset...])) }
        }
    }

    /// Intact frames that lie whole in the bytes and belong to no batch that is under way are passed in one go.
    private mutating func takeWhole(_ bytes: UnsafeRawBufferPointer, _ offset: inout Int) {
        while offset < bytes.count {
            let count = min(bytes.count - offset, LogLimits.verifiedAheadMax)
            // Every one of them is wanted.
            guard frame.advanced(by: UInt64(count)) <= wantedUpTo else { return }
            // SAFETY: offsets below the count.
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
            let intact = unsafe checksums.intactFrames(in: rest, at: frame, payloadMax: LogLimits.maxRecordSizeMax)
            guard intact.count > 0 else { return }
            var inside = 0
            while inside < intact.byteCount {
                // SAFETY: a whole frame lies there, as was just verified.
                let header = unsafe FrameHeader(load: rest, at: inside)
                inside += FrameHeader.size + header.payloadCount
                ended(header)
            }
            offset += intact.byteCount
        }
    }

    /// A part of the frame that is under way; returns how many bytes were taken.
    private mutating func takePart(_ bytes: UnsafeRawBufferPointer) throws(WALError) -> Int {
        var taken = 0
        if fields == nil {
            while header.count < FrameHeader.size, taken < bytes.count {
                if header.isEmpty { begun() }
                unsafe header.append(bytes[taken])
                taken += 1
            }
            guard header.count == FrameHeader.size else { return taken }
            let found = unsafe header.withBytes { unsafe FrameHeader(load: $0) }
            if case .through(let lsn) = end, frame > lsn {
                isPastEnd = true
                return taken
            }
            if found.checksum == 0 { throw fault(found.lengthField == 0 ? .zeros : .checksumMismatch) }
            guard found.payloadCount <= LogLimits.maxRecordSizeMax else { throw fault(.tooLong(found.payloadCount)) }
            fields = found
            missing = found.payloadCount
            checksum = unsafe checksums.checksum(at: frame).begin(lengthField: found.lengthField, payload: UnsafeRawBufferPointer(start: nil, count: 0))
        }
        guard let fields else { preconditionFailure("a header was read") }
        let count = min(missing, bytes.count - taken)
        // SAFETY: `count` bytes from `taken` on lie in the buffer.
        unsafe checksum.update(UnsafeRawBufferPointer(rebasing: bytes[taken..<taken + count]))
        taken += count
        missing -= count
        if missing == 0 {
            guard FrameChecksum.finish(checksum, lsn: frame) == fields.checksum else { throw fault(.checksumMismatch) }
            if case .limit(let limit) = end, frame.advanced(by: UInt64(FrameHeader.size + fields.payloadCount)) > limit {
                isPastEnd = true
                return taken
            }
            self.fields = nil
            header = []
            ended(fields)
        }
        return taken
    }

    /// A frame begins where the one before ended.
    private mutating func begun() {
        let segment = frame.rawValue / segmentSize
        if firstFrame?.segment != segment { firstFrame = (segment, frame) }
    }

    private mutating func ended(_ header: FrameHeader) {
        begun()
        frame = frame.advanced(by: UInt64(FrameHeader.size + header.payloadCount))
        pendingCount += 1
        pendingLongest = max(pendingLongest, header.payloadCount)
        guard !header.continuesBatch else { return }
        boundary = frame
        recordCount += pendingCount
        longestRecord = max(longestRecord, pendingLongest)
        pendingCount = 0
        pendingLongest = 0
    }

    private func fault(_ fault: FrameFault) -> WALError { .corruption(lsn: frame, reason: fault.reason) }
}
