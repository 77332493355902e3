import Archive
import WAL

/// The records in an archive's pieces from a start on, whole batches only. A value; not for two tasks at once.
///
/// Frames are followed from the first that begins in a piece, below the start: so it shows whether a record begins there, whichever objects it is read
/// from. (A segment is met from its middle on where tails of it were read before it was there.)
struct PieceRecords {
    private let start: LSN
    private let logID: LogID
    private let epochs: EpochTable
    private var frames: FrameAssembler?
    /// A record is to begin at the start, and none was seen there.
    private var isUnmet: Bool
    /// Where the next bytes are.
    private(set) var end: LSN

    /// `start` is a record's LSN, or the end of the archive; `isFirst`: it is the archive's first, so that no look before it is needed.
    init(logID: LogID, epochs: EpochTable, start: LSN, isFirst: Bool) {
        self.start = start
        self.logID = logID
        self.epochs = epochs
        isUnmet = !isFirst
        end = start
        if isFirst { frames = FrameAssembler(logID: logID, epochs: epochs, start: start) }
    }

    /// Whether bytes of a record, or records of a batch, are here that are not whole yet.
    var isInsideRecord: Bool { frames?.isInsideRecord ?? false }

    /// Takes the next piece: they come in order, without a hole from the start on, and what lies below the end is left out. Throws `.notFound` where no record begins at the start.
    mutating func add(_ piece: ArchivePiece) throws(ArchiveError) {
        // Below the start a walk goes over what is missing: frames are followed anew from there.
        if isUnmet, piece.range.lowerBound > end { frames = nil }
        if frames == nil {
            guard let first = piece.metadata.records?.first, piece.range.contains(first), first <= start else {
                guard piece.range.upperBound <= start else { throw ArchiveError.noRecord(at: start) }
                return
            }
            frames = FrameAssembler(logID: logID, epochs: epochs, start: first)
            end = first
        }
        precondition(piece.range.lowerBound <= end, "pieces come in order: one at \(piece.range.lowerBound) is not at \(end)")
        guard piece.range.upperBound > end else { return }
        frames?.add(piece.bytes(from: end))
        end = piece.range.upperBound
    }

    /// The next record; nil where more pieces are needed for it. Throws `.notFound` where no record begins at the start, `WALError.corruption` for a frame that
    /// does not verify.
    mutating func next() throws -> (lsn: LSN, data: [UInt8])? {
        while let record = try frames?.next() {
            guard isUnmet else { return record }
            // Records before the start only show where the others begin.
            if record.lsn < start { continue }
            guard record.lsn == start else { throw ArchiveError.noRecord(at: start) }
            isUnmet = false
            return record
        }
        return nil
    }

    /// Nothing more comes. Throws `.notFound` where the start lies inside of what came, and no record begins there.
    func finish() throws(ArchiveError) {
        if isUnmet, end > start { throw ArchiveError.noRecord(at: start) }
    }
}
