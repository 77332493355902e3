import Synchronization

/// One window of a log's bytes that is being appended to: a descriptor that was opened before the first byte, its mapping, and the foot that
/// goes with it.
///
/// Owns mapping and descriptor. Flushes and `release` never run at the same time (`Committer.betweenFlushes`).
final class SegmentFile: LogSegment {
    let index: UInt64
    private let mapping: any Mapping
    private let foot: FootWriter
    /// Makes the window's bytes durable, through the descriptor that was opened before them.
    private let flushBytes: @Sendable () throws(WALError) -> Void
    /// A single growing file keeps its descriptor when a window is let go.
    private let closeFile: @Sendable () -> Void
    private let onRelease: @Sendable (UInt64) -> Void
    /// Its pages may still have to be faulted in, and its space to be written for the first time. Locked while pages are: the mapping stays.
    private let isBare: Mutex<Bool>
    /// Bytes populated at a time: `release` waits for no more.
    private static let populatePiece = 1 << 20

    init(
        index: UInt64, mapping: any Mapping, foot: FootWriter, isBare: Bool,
        flushBytes: @escaping @Sendable () throws(WALError) -> Void, closeFile: @escaping @Sendable () -> Void,
        onRelease: @escaping @Sendable (UInt64) -> Void
    ) {
        self.index = index
        self.mapping = mapping
        self.foot = foot
        self.flushBytes = flushBytes
        self.closeFile = closeFile
        self.onRelease = onRelease
        self.isBare = Mutex(isBare)
    }

    /// Has the pages in memory of a segment that nobody writes to yet.
    func populate(forWriting: Bool) { mapping.populate(0..<mapping.count, forWriting: forWriting) }

    /// Does for a segment that was taken into use bare what was not done before: its pages from `offset` on become dirty zeros, which the next flush
    /// writes, so that those after it find space that was written before. Beside appenders; one thread at a time.
    func warm(from offset: Int) {
        var position = offset
        while position < mapping.count {
            let range = position..<min(position + Self.populatePiece, mapping.count)
            let isWanted = isBare.withLock { isBare in
                if isBare { mapping.populate(range, forWriting: true) }
                return isBare
            }
            guard isWanted else { return }
            position = range.upperBound
        }
        isBare.withLock { $0 = false }
    }

    var base: UnsafeMutableRawPointer { unsafe mapping.base }

    func flush() throws(WALError) { try flushBytes() }

    func noteFirstFrame(_ lsn: LSN?) throws(WALError) { try foot.writeFirstFrame(lsn) }

    /// Writes the durable cell; the next flush of this file carries it.
    func writeCell(_ cell: SegmentFoot.DurableCell) throws(WALError) { try foot.writeCell(cell) }

    /// Makes the foot durable.
    func syncFoot() throws(WALError) { try foot.sync() }

    func release() throws(WALError) {
        onRelease(index)
        isBare.withLock { isBare in
            isBare = false
            mapping.unmap()
        }
        closeFile()
    }
}

/// Writes the cells of one foot, each into a sector of its own: overwriting a sector keeps the others (docs/durability.md).
struct FootWriter: Sendable {
    let file: any File
    /// Where the foot begins in the file.
    let offset: UInt64
    let header: SegmentFoot.Header
    /// A single growing file has no segments whose first frame would be looked for.
    let keepsFirstFrame: Bool

    func writeFirstFrame(_ lsn: LSN?) throws(WALError) {
        guard keepsFirstFrame else { return }
        let cell = SegmentFoot.FirstFrameCell(lsn: lsn).encode(in: header)
        try file.write(cell, at: offset + UInt64(SegmentFoot.firstFrameOffset))
    }

    func writeCell(_ cell: SegmentFoot.DurableCell) throws(WALError) {
        let place = SegmentFoot.durableOffset(ofSequence: cell.sequence)
        try file.write(cell.encode(in: header), at: offset + UInt64(place))
    }

    func sync() throws(WALError) { try file.sync() }
}
