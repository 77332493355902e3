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

    init(
        index: UInt64, mapping: any Mapping, foot: FootWriter,
        flushBytes: @escaping @Sendable () throws(WALError) -> Void, closeFile: @escaping @Sendable () -> Void,
        onRelease: @escaping @Sendable (UInt64) -> Void
    ) {
        self.index = index
        self.mapping = mapping
        self.foot = foot
        self.flushBytes = flushBytes
        self.closeFile = closeFile
        self.onRelease = onRelease
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
        mapping.unmap()
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
