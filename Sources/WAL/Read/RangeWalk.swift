/// Verifies every frame that has a byte in a range, where the range's bytes lie already; of the frames that cross an end of it, what lies
/// outside is read in pieces.
///
/// Borrows the bytes: not to be used after they are gone. Memory: `LogLimits.readSize` while a frame crosses an end.
@safe struct RangeWalk {
    private let range: Range<LSN>
    private let bytes: UnsafeRawBufferPointer
    private let reader: any LogBytesReader
    private let maxRecordSize: Int
    private let durable: LSN
    private var checksums: FrameChecksums
    /// Where the next frame begins.
    private var position: LSN
    /// The first and the last frame that begin in the range, and how many do.
    private(set) var first: LSN?
    private(set) var last: LSN?
    private(set) var count: UInt64 = 0
    /// Where the last frame begins of those that have a byte in the range, or the end of the range where one begins there.
    private(set) var frame: LSN

    /// `bytes` are those of `range`. A frame begins at `start`, which is at or below the range, and reaches it.
    init(range: Range<LSN>, bytes: UnsafeRawBufferPointer, search: BoundarySearch, start: LSN) {
        precondition(UInt64(bytes.count) == range.upperBound.distance(from: range.lowerBound), "the bytes of the range")
        self.range = range
        unsafe self.bytes = unsafe bytes
        reader = search.reader
        maxRecordSize = search.maxRecordSize
        durable = search.durable
        checksums = search.checksums
        position = start
        frame = start
    }

    /// `.corruption` for the first frame that is not intact.
    mutating func run() throws(WALError) {
        while position < range.upperBound {
            if position >= range.lowerBound { takeWhole() }
            if position < range.upperBound { try takeCrossing() }
        }
        if position == range.upperBound { frame = position }
    }

    /// The intact frames at the position that lie whole in the range.
    private mutating func takeWhole() {
        while position < range.upperBound {
            let offset = Int(position.distance(from: range.lowerBound))
            // SAFETY: the position lies in the range, and the range's bytes are there.
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset...])
            let intact = unsafe checksums.intactFrames(in: rest, at: position, payloadMax: maxRecordSize)
            guard let last = intact.last else { return }
            note(position, last, intact.count)
            position = position.advanced(by: UInt64(intact.byteCount))
        }
    }

    private mutating func note(_ first: LSN, _ last: LSN, _ count: Int) {
        frame = last
        guard first >= range.lowerBound else { return }
        if self.first == nil { self.first = first }
        self.last = last
        self.count += UInt64(count)
    }

    /// The frame at the position: one that crosses an end of the range, or one that is damaged.
    private mutating func takeCrossing() throws(WALError) {
        var start: [UInt8] = []
        try unsafe pieces(position, FrameHeader.size) { unsafe start.append(contentsOf: $0) }
        let header = unsafe start.withBytes { unsafe FrameHeader(load: $0) }
        if header.checksum == 0 { throw fault(header.lengthField == 0 ? .zeros : .checksumMismatch) }
        let count = header.payloadCount
        guard count <= maxRecordSize else { throw fault(.tooLong(count)) }
        let size = UInt64(FrameHeader.size + count)
        guard size <= durable.distance(from: position) else { throw fault(.beyondEnd) }
        var checksum = unsafe checksums.checksum(at: position).begin(lengthField: header.lengthField, payload: UnsafeRawBufferPointer(start: nil, count: 0))
        try unsafe pieces(position.advanced(by: UInt64(FrameHeader.size)), count) { unsafe checksum.update($0) }
        guard FrameChecksum.finish(checksum, lsn: position) == header.checksum else { throw fault(.checksumMismatch) }
        note(position, position, 1)
        position = position.advanced(by: size)
    }

    private func fault(_ fault: FrameFault) -> WALError { .corruption(lsn: position, reason: fault.reason) }

    /// Lends `count` bytes of the log from `start` on, piece by piece: those in the range from there, the others as they are read.
    private func pieces(_ start: LSN, _ count: Int, _ body: (UnsafeRawBufferPointer) -> Void) throws(WALError) {
        guard UInt64(count) <= durable.distance(from: start) else { throw fault(.beyondEnd) }
        let end = start.advanced(by: UInt64(count))
        unsafe try readPieces(start..<max(start, min(end, range.lowerBound)), body)
        let inside = (start..<end).clamped(to: range)
        if !inside.isEmpty {
            let offset = Int(inside.lowerBound.distance(from: range.lowerBound))
            // SAFETY: clamped to the range, whose bytes these are.
            unsafe body(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Int(inside.upperBound.distance(from: inside.lowerBound))]))
        }
        unsafe try readPieces(min(end, max(start, range.upperBound))..<end, body)
    }

    private func readPieces(_ outside: Range<LSN>, _ body: (UnsafeRawBufferPointer) -> Void) throws(WALError) {
        guard !outside.isEmpty else { return }
        var next = outside.lowerBound
        var buffer = [UInt8](repeating: 0, count: Int(min(UInt64(LogLimits.readSize), outside.upperBound.distance(from: next))))
        while next < outside.upperBound {
            let wanted = Int(min(UInt64(buffer.count), outside.upperBound.distance(from: next)))
            let got = unsafe try buffer.withMutableBytes { bytes throws(WALError) in
                let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[..<wanted])
                let got = unsafe try reader.read(into: piece, at: next)
                if got == wanted { unsafe body(UnsafeRawBufferPointer(piece)) }
                return got
            }
            guard got == wanted else { throw fault(.beyondEnd) }
            next = next.advanced(by: UInt64(got))
        }
    }
}
