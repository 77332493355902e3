/// Verifies the frames of a log's bytes as they come in pieces, and hands none of them out: for whoever only wants to know that they are intact.
///
/// Owns the bytes of the one frame that is not whole yet. A value: a copy goes its own way, as two branches of a history do.
package struct FrameStream: Sendable {
    /// The frames that begin in a piece.
    package struct Begun: Hashable, Sendable {
        package var first: LSN
        package var last: LSN
        package var count: UInt64

        package init(first: LSN, last: LSN, count: UInt64) {
            self.first = first
            self.last = last
            self.count = count
        }
    }

    private var checksums: FrameChecksums
    /// Of the frame at `position`, as much as has come.
    private var rest: [UInt8] = []
    /// Where the next frame begins, or the one that is not whole yet.
    package private(set) var position: LSN
    /// The last whole frame says that its batch goes on: between it and the next no log begins, and none ends.
    package private(set) var isInsideBatch = false

    /// `start` is a boundary between frames.
    package init(logID: LogID, epochs: EpochTable, start: LSN) {
        checksums = FrameChecksums(logID: logID, epochs: epochs)
        position = start
    }

    /// Where the next bytes belong.
    package var end: LSN { position.advanced(by: UInt64(rest.count)) }

    /// The same place in another history, which has been the same up to here.
    package func continued(logID: LogID, epochs: EpochTable) -> FrameStream {
        var other = self
        other.checksums = FrameChecksums(logID: logID, epochs: epochs)
        return other
    }

    /// Takes the bytes at `end`; returns which frames begin in them, also the one that is not whole. Throws `.corruption` for the first frame that does not
    /// verify: then this stream is of no use any more.
    package mutating func add(_ bytes: ArraySlice<UInt8>) throws(WALError) -> Begun? {
        var begun: Begun?
        var bytes = bytes
        if !rest.isEmpty { bytes = try complete(bytes) }
        while !bytes.isEmpty {
            let (at, checked) = (position, bytes)
            // SAFETY: the buffer is the slice's, and is not kept.
            let intact = unsafe checked.withUnsafeBytes { buffer in
                unsafe checksums.intactFrames(in: buffer, at: at, payloadMax: LogLimits.maxRecordSizeMax)
            }
            if let last = intact.last {
                // SAFETY: a whole frame lies there, as was just verified.
                isInsideBatch = unsafe checked.withUnsafeBytes { unsafe FrameHeader(load: $0, at: Int(last.distance(from: at))).continuesBatch }
                begun = Begun(first: begun?.first ?? position, last: last, count: (begun?.count ?? 0) + UInt64(intact.count))
                position = position.advanced(by: UInt64(intact.byteCount))
                bytes = bytes.dropFirst(intact.byteCount)
            } else {
                // The last frame, which goes on in the next piece; one that another epoch begins behind; or damage.
                begun = Begun(first: begun?.first ?? position, last: position, count: (begun?.count ?? 0) + 1)
                bytes = try complete(bytes)
            }
        }
        return begun
    }

    /// Adds to the frame at the position until it is whole, and verifies it then; returns what is left over.
    private mutating func complete(_ bytes: ArraySlice<UInt8>) throws(WALError) -> ArraySlice<UInt8> {
        var bytes = bytes
        take(FrameHeader.size, &bytes)
        guard rest.count >= FrameHeader.size else { return bytes }
        let size = try frameSize()
        take(size, &bytes)
        if rest.count == size { try verify() }
        return bytes
    }

    /// Moves bytes until `count` of the frame are here, or none are left.
    private mutating func take(_ count: Int, _ bytes: inout ArraySlice<UInt8>) {
        let missing = max(0, count - rest.count)
        rest += bytes.prefix(missing)
        bytes = bytes.dropFirst(missing)
    }

    /// Of the frame whose header is here. Throws for what cannot be one.
    private func frameSize() throws(WALError) -> Int {
        let header = unsafe rest.withBytes { unsafe FrameHeader(load: $0) }
        if header.checksum == 0 { throw .corruption(lsn: position, reason: FrameFault.zeros.reason) }
        let count = header.payloadCount
        guard count <= LogLimits.maxRecordSizeMax else { throw .corruption(lsn: position, reason: FrameFault.tooLong(count).reason) }
        return FrameHeader.size + count
    }

    private mutating func verify() throws(WALError) {
        let at = position
        let header = unsafe rest.withBytes { unsafe FrameHeader(load: $0) }
        let isIntact = unsafe rest.withBytes { all in
            // SAFETY: `rest` is this frame, whole.
            return unsafe checksums.verifies(header, payload: UnsafeRawBufferPointer(rebasing: all[FrameHeader.size...]), lsn: at)
        }
        guard isIntact else { throw .corruption(lsn: position, reason: FrameFault.checksumMismatch.reason) }
        position = position.advanced(by: UInt64(rest.count))
        isInsideBatch = header.continuesBatch
        rest = []
    }
}
