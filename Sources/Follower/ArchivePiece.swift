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
