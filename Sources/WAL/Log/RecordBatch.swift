/// Records that go into a log together: after a crash either all of them are there or none.
///
/// One flat buffer of frames without their checksums, so that a batch costs one allocation however many records it has and is copied
/// into the log at once. A value; reuse it with `removeAll(keepingCapacity:)`.
public struct RecordBatch: Sendable {
    /// Frames: four zero bytes where the checksum goes, the payload's length without the batch flag, the payload.
    private(set) var frames: [UInt8] = []
    /// Records in the batch.
    public private(set) var count = 0
    /// Bytes of the longest record. One that no log takes is counted and not copied: the batch is refused for it.
    private(set) var longestRecord = 0

    public init() {}

    public var isEmpty: Bool { count == 0 }

    /// Bytes that the batch takes in a log: its records, and eight for each. At most `LogLimits.batchSizeMax` fit a log at once, or one
    /// record of the log's maximum where that is more.
    public var byteCount: Int { frames.count }

    /// Makes room for `bytes` bytes of records and headers in total.
    public mutating func reserveCapacity(_ bytes: Int) { frames.reserveCapacity(bytes) }

    /// Empties the batch, to be filled anew.
    public mutating func removeAll(keepingCapacity: Bool = true) {
        frames.removeAll(keepingCapacity: keepingCapacity)
        count = 0
        longestRecord = 0
    }

    /// Adds a copy of the bytes as one record.
    public mutating func append(_ record: UnsafeRawBufferPointer) {
        guard begin(record.count) else { return }
        unsafe frames.append(contentsOf: record)
    }

    /// As `append(_: UnsafeRawBufferPointer)`.
    public mutating func append(_ record: RawSpan) {
        guard begin(record.byteCount) else { return }
        // SAFETY: the span lives through the call.
        unsafe record.withUnsafeBytes { unsafe frames.append(contentsOf: $0) }
    }

    /// As `append(_: UnsafeRawBufferPointer)`.
    public mutating func append(_ record: [UInt8]) {
        guard begin(record.count) else { return }
        frames.append(contentsOf: record)
    }

    /// As `append(_: UnsafeRawBufferPointer)`: the text's UTF-8 bytes.
    public mutating func append(_ record: String.UTF8View) {
        guard begin(record.count) else { return }
        frames.append(contentsOf: record)
    }

    /// Counts a record and writes its header; false where it is too long for any log.
    private mutating func begin(_ length: Int) -> Bool {
        count += 1
        longestRecord = max(longestRecord, length)
        guard length <= LogLimits.maxRecordSizeMax else { return false }
        let field = FrameHeader.lengthField(payloadCount: length)
        for byte in 0..<8 { frames.append(byte < 4 ? 0 : UInt8(truncatingIfNeeded: field >> UInt32(8 * (byte - 4)))) }
        return true
    }

    /// Adds a record that `encode` appends to the buffer, without a copy in between. On an error the batch is as before.
    mutating func appendEncoded<E: Error>(_ encode: (inout [UInt8]) throws(E) -> Void) throws(E) {
        let start = frames.count
        frames.append(contentsOf: repeatElement(0, count: FrameHeader.size))
        do throws(E) {
            try encode(&frames)
        } catch {
            frames.removeLast(frames.count - start)
            throw error
        }
        let length = frames.count - start - FrameHeader.size
        precondition(length >= 0, "an encoder appends, it does not take away")
        count += 1
        longestRecord = max(longestRecord, length)
        guard length <= LogLimits.maxRecordSizeMax else {
            frames.removeLast(frames.count - start)
            return
        }
        let header = FrameHeader(checksum: 0, lengthField: FrameHeader.lengthField(payloadCount: length))
        unsafe frames.withMutableBytes { unsafe header.store(into: $0, at: start) }
    }
}

extension RecordBatch {
    /// Visits the frames in order: each one's offset, its length field with the batch flag on all but the last, and its payload.
    @inline(__always)
    static func forEachFrame(
        in frames: UnsafeRawBufferPointer, _ body: (_ offset: Int, _ lengthField: UInt32, _ payload: UnsafeRawBufferPointer) -> Void
    ) {
        var offset = 0
        while offset < frames.count {
            let count = unsafe FrameHeader(load: frames, at: offset).payloadCount
            let payload = offset + FrameHeader.size
            let end = payload + count
            let field = FrameHeader.lengthField(payloadCount: count, continuesBatch: end < frames.count)
            unsafe body(offset, field, UnsafeRawBufferPointer(rebasing: frames[payload..<end]))
            offset = end
        }
    }
}
