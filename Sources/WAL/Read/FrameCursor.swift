/// Walks frames in LSN order with large reads, verifying each before it is believed.
///
/// Owns its reader and one buffer; one thread at a time. Memory: `LogLimits.frameReadSize`, where records are long `LogLimits.readSize`, or one
/// record where that is more.
final class FrameCursor {
    enum Step {
        case record(Record)
        /// The position is the limit.
        case end
        /// What is at the position is not an intact frame.
        case fault(FrameFault)
    }

    enum RunStep {
        /// At least one.
        case frames(FrameRun)
        case end
        case fault(FrameFault)
    }

    private let reader: any LogBytesReader
    private var checksums: FrameChecksums
    private let maxRecordSize: Int
    private let readSize: Int
    /// No frame that ends past this is believed.
    let limit: LSN
    private(set) var position: LSN
    private var buffer: ReadBuffer
    private var bufferStart: LSN
    private var bufferCount = 0
    /// Frames that were verified ahead of `next()`, from the position on.
    private var ahead = FrameRun.none

    init(
        reader: any LogBytesReader, checksums: FrameChecksums, maxRecordSize: Int, position: LSN, limit: LSN,
        readSize: Int = LogLimits.frameReadSize
    ) {
        self.reader = reader
        self.checksums = checksums
        self.maxRecordSize = maxRecordSize
        self.position = position
        self.limit = limit
        self.readSize = readSize
        buffer = .empty
        bufferStart = position
    }

    /// The frame at the position; the position moves behind it if it is intact. An I/O error is thrown, never taken for a fault.
    func next() throws(WALError) -> Step {
        while true {
            if let record = ahead.next() {
                position = record.endLSN
                return .record(record)
            }
            let start = position
            switch try nextRun() {
            case .frames(let run):
                ahead = run
                position = start
            case .end: return .end
            case .fault(let fault): return .fault(fault)
            }
        }
    }

    /// Frames from the position on, as many as are at hand but not more than a few; the position moves behind the last. A run that is let go
    /// of before the next call spares an allocation. Errors as in `next`.
    func nextRun() throws(WALError) -> RunStep {
        ahead = .none
        guard position < limit else { return .end }
        guard try fill(FrameHeader.size) else { return .fault(.beyondEnd) }
        let offset = Int(position.distance(from: bufferStart))
        let count = min(bufferCount - offset, LogLimits.verifiedAheadMax)
        // Nothing past the limit is in the buffer.
        let intact = unsafe checksums.intactFrames(in: bytes(at: 0, count: count), at: position, payloadMax: maxRecordSize)
        return intact.count > 0 ? .frames(take(intact.byteCount)) : try nextFrame()
    }

    /// One frame: it does not lie whole in what is verified in one go, or says why it is not intact.
    private func nextFrame() throws(WALError) -> RunStep {
        let header = unsafe FrameHeader(load: bytes(at: 0, count: FrameHeader.size))
        if header.checksum == 0 { return .fault(header.lengthField == 0 ? .zeros : .checksumMismatch) }
        // The length is not to be trusted before the checksum: compare it with every limit before anything is allocated.
        let count = header.payloadCount
        guard count <= maxRecordSize else { return .fault(.tooLong(count)) }
        guard UInt64(FrameHeader.size + count) <= limit.distance(from: position) else { return .fault(.beyondEnd) }
        guard try fill(FrameHeader.size + count) else { return .fault(.beyondEnd) }
        // A second reading of the header: the bytes that are believed are the bytes that are verified.
        let again = unsafe FrameHeader(load: bytes(at: 0, count: FrameHeader.size))
        let payload = unsafe bytes(at: FrameHeader.size, count: count)
        guard again == header, unsafe checksums.verifies(header, payload: payload, lsn: position) else { return .fault(.checksumMismatch) }
        return .frames(take(FrameHeader.size + count))
    }

    /// Moves behind `count` bytes of intact frames.
    private func take(_ count: Int) -> FrameRun {
        let offset = Int(position.distance(from: bufferStart))
        position = position.advanced(by: UInt64(count))
        return FrameRun(buffer: buffer, origin: bufferStart.rawValue, offset: offset, end: offset + count)
    }

    /// Goes on elsewhere; `position` is believed to be a frame's boundary until the frame there says otherwise.
    func seek(to position: LSN) {
        ahead = .none
        if position < bufferStart || position > bufferStart.advanced(by: UInt64(bufferCount)) {
            bufferStart = position
            bufferCount = 0
        }
        self.position = position
    }

    /// The length that the damaged frame at the position claims, if it is one that could be.
    func claimedEnd() throws(WALError) -> LSN? {
        guard position < limit, try fill(FrameHeader.size) else { return nil }
        let header = unsafe FrameHeader(load: bytes(at: 0, count: FrameHeader.size))
        let size = UInt64(FrameHeader.size + header.payloadCount)
        guard header.payloadCount <= maxRecordSize, size <= limit.distance(from: position) else { return nil }
        return position.advanced(by: size)
    }

    func firstFrame(inSegment index: UInt64) throws(WALError) -> LSN? { try reader.firstFrame(inSegment: index) }

    private func bytes(at offset: Int, count: Int) -> UnsafeRawBufferPointer {
        let start = Int(position.distance(from: bufferStart)) + offset
        precondition(start + count <= bufferCount, "bytes that were not read")
        // SAFETY: the range was filled.
        return unsafe UnsafeRawBufferPointer(start: buffer.base + start, count: count)
    }

    /// Makes `count` bytes at the position available; false where the log's storage ends before.
    private func fill(_ count: Int) throws(WALError) -> Bool {
        let start = position.distance(from: bufferStart)
        if start + UInt64(count) <= UInt64(bufferCount) { return true }
        // Of a frame that fills a good part of the buffer, much would be read twice.
        let size = count > readSize / 4 ? max(LogLimits.readSize, count) : readSize
        // Nor is more read than the limit allows.
        let capacity = max(count, Int(min(UInt64(size), limit.distance(from: position))))
        // Records that are still held keep the old buffer.
        if !isKnownUniquelyReferenced(&buffer) || buffer.capacity < capacity { buffer = ReadBuffer(capacity: capacity) }
        bufferStart = position
        bufferCount = 0
        let wanted = Int(min(UInt64(capacity), limit.distance(from: position)))
        bufferCount = try read(upTo: wanted, needed: min(count, wanted))
        return bufferCount >= count
    }

    /// Reads `count` bytes at the position. Where that fails, what can be read before the place that fails, if it is `needed`: bytes that
    /// are only read ahead do not keep intact frames before them from being read. An error in what is needed is thrown.
    private func read(upTo count: Int, needed: Int) throws(WALError) -> Int {
        var wanted = count
        while true {
            do throws(WALError) {
                // SAFETY: `wanted` is at most the capacity, and nobody else refers to the buffer.
                return unsafe try reader.read(
                    into: UnsafeMutableRawBufferPointer(start: buffer.base, count: wanted), at: position)
            } catch {
                guard wanted > needed else { throw error }
                wanted = max(needed, wanted / 2)
            }
        }
    }
}

/// Why the bytes at a position are not an intact frame.
enum FrameFault: Hashable, Sendable {
    /// Eight zero bytes: nothing was written here.
    case zeros
    case checksumMismatch
    /// The length field is greater than the log's maximum record size.
    case tooLong(Int)
    /// The frame would end past the readable end.
    case beyondEnd

    var reason: String {
        switch self {
        case .zeros: "zeros where a frame must be"
        case .checksumMismatch: "the frame's checksum does not match"
        case .tooLong(let count): "the frame claims \(count) bytes, more than the log's maximum"
        case .beyondEnd: "the frame does not end before the log does"
        }
    }
}
