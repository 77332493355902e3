import Synchronization

/// One window of a log's bytes that is being appended to: a descriptor that was opened before the first byte, its mapping, and the foot that
/// goes with it.
///
/// Owns mapping and descriptor. Flushes and `release` never run at the same time (`Committer.betweenFlushes`).
final class SegmentFile: LogSegment {
    let index: UInt64
    private let file: any File
    private let mapping: any Mapping
    private let foot: FootWriter
    /// A single growing file keeps its descriptor when a window is let go.
    private let ownsFile: Bool
    private let onRelease: @Sendable (UInt64) -> Void

    init(
        index: UInt64, file: any File, mapping: any Mapping, foot: FootWriter, ownsFile: Bool,
        onRelease: @escaping @Sendable (UInt64) -> Void
    ) {
        self.index = index
        self.file = file
        self.mapping = mapping
        self.foot = foot
        self.ownsFile = ownsFile
        self.onRelease = onRelease
    }

    var base: UnsafeMutableRawPointer { unsafe mapping.base }

    func flush() throws(WALError) { try file.sync() }

    func noteFirstFrame(_ lsn: LSN?) throws(WALError) { try foot.writeFirstFrame(lsn) }

    /// Writes the durable cell; the next flush of this file carries it.
    func writeCell(_ cell: SegmentFoot.DurableCell) throws(WALError) { try foot.writeCell(cell) }

    /// Makes the foot durable.
    func syncFoot() throws(WALError) { try foot.sync() }

    func release() throws(WALError) {
        onRelease(index)
        mapping.unmap()
        if ownsFile { file.close() }
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
