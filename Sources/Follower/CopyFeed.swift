import Archive
import WAL

/// One object that a copy has to have.
struct CopyItem: Sendable {
    let metadata: ObjectMetadata
    /// In the source.
    let key: ObjectKey
    /// Where a reader comes to it: at its beginning, or further on.
    let position: LSN
    /// Bytes of log that it adds.
    let rawBytes: UInt64
}

/// What a copy takes its objects from, one after another.
protocol CopyFeed {
    /// The next one; nil: there are no more for now.
    mutating func next() async throws(ArchiveError) -> CopyItem?
    /// The object at this position was gone when it was fetched. What comes next takes its place, if anything does.
    mutating func vanished(at position: LSN) throws(ArchiveError)
}
