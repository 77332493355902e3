/// Puts frames together from a log's bytes as they come in pieces, verifying each before it is believed.
///
/// Owns what it was given and has not yet handed out: at most one piece and one batch. Not for two threads at once.
package struct FrameAssembler {
    private var checksums: FrameChecksums
    private var bytes: [UInt8] = []
    private var offset = 0
    /// Records of a batch that is not complete yet: they are not part of the log before it is.
    private var batch: [(lsn: LSN, data: [UInt8])] = []
    private var ready: ArraySlice<(lsn: LSN, data: [UInt8])> = []
    /// Where the next frame begins.
    package private(set) var position: LSN

    /// `start` is a boundary between records.
    package init(logID: LogID, epochs: EpochTable, start: LSN) {
        checksums = FrameChecksums(logID: logID, epochs: epochs)
        position = start
    }

    /// Whether bytes of a record, or records of a batch, are here that are not whole yet.
    package var isInsideRecord: Bool { offset < bytes.count || !batch.isEmpty }

    /// Whether the record that was handed out last is the last one of its batch, so that a log may begin at the position.
    package var isBetweenBatches: Bool { ready.isEmpty && batch.isEmpty }

    /// Adds the bytes that follow those before.
    package mutating func add(_ more: [UInt8]) {
        if offset == bytes.count { bytes = more } else { bytes = Array(bytes[offset...]) + more }
        offset = 0
    }

    /// The next record; nil where its frame, or its batch, is not whole yet. Throws `.corruption` for a frame that does not verify.
    package mutating func next() throws(WALError) -> (lsn: LSN, data: [UInt8])? {
        while true {
            if let record = ready.popFirst() { return record }
            guard let frame = try nextFrame() else { return nil }
            batch.append(frame.record)
            if !frame.continuesBatch {
                ready = batch[...]
                batch = []
            }
        }
    }

    private mutating func nextFrame() throws(WALError) -> (record: (lsn: LSN, data: [UInt8]), continuesBatch: Bool)? {
        guard bytes.count - offset >= FrameHeader.size else { return nil }
        let header = unsafe bytes.withBytes { unsafe FrameHeader(load: $0, at: offset) }
        let count = header.payloadCount
        guard header.checksum != 0, count <= LogLimits.maxRecordSizeMax else {
            throw .corruption(lsn: position, reason: header.checksum == 0 ? FrameFault.zeros.reason : FrameFault.tooLong(count).reason)
        }
        let payload = offset + FrameHeader.size
        guard bytes.count - payload >= count else { return nil }
        let isIntact = unsafe bytes.withBytes { all in
            // SAFETY: the payload lies inside, as was just compared.
            unsafe checksums.verifies(header, payload: UnsafeRawBufferPointer(rebasing: all[payload..<payload + count]), lsn: position)
        }
        guard isIntact else { throw .corruption(lsn: position, reason: FrameFault.checksumMismatch.reason) }
        let record = (lsn: position, data: Array(bytes[payload..<payload + count]))
        offset = payload + count
        position = position.advanced(by: UInt64(FrameHeader.size + count))
        return (record, header.continuesBatch)
    }
}
