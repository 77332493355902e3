public import Archive
public import WAL

/// A part of the log as one object holds it, checked against everything that the object's name and the archive promise.
public struct ArchivePiece: Sendable {
    /// The part that was asked for: the object may begin before it, and go on past it where a newer epoch takes over.
    public let range: Range<LSN>
    /// The log's raw bytes of `range`; empty where only the metadata was asked for. Their frames are not verified yet.
    public let bytes: [UInt8]
    public let metadata: ObjectMetadata
    public let key: ObjectKey
}

extension ArchivePiece {
    /// Its bytes from `lsn` on, which lies in its range, or at its end.
    func bytes(from lsn: LSN) -> [UInt8] {
        precondition(lsn >= range.lowerBound, "LSN \(lsn) lies below the piece")
        return lsn == range.lowerBound ? bytes : Array(bytes[Int(lsn.distance(from: range.lowerBound))...])
    }

    /// Where the piece has other bytes than a log has between `start` and `end`; nil where it has not. `read` is asked for the log's.
    func difference(from start: LSN, to end: LSN, _ read: (Range<LSN>) throws(WALError) -> [UInt8]) throws(WALError) -> LSN? {
        let both = range.clamped(to: start..<max(start, end))
        guard !both.isEmpty else { return nil }
        let ours = try read(both)
        let from = Int(both.lowerBound.distance(from: range.lowerBound))
        let theirs = bytes[from..<from + ours.count]
        guard theirs != ours[...] else { return nil }
        let offset = zip(ours, theirs).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0
        return both.lowerBound.advanced(by: UInt64(offset))
    }
}
