public import Archive
public import WAL

/// What a restore is going to do, found out from the objects' metadata before anything is downloaded or written.
public struct RestorePlan: Hashable, Sendable {
    public let logID: LogID
    public let archiveID: ArchiveID
    /// Bytes of a segment.
    public let segmentSize: UInt64
    public let target: RestoreTarget
    /// The first record that is restored.
    public let head: LSN
    /// Where the first object begins that is read.
    public let start: LSN
    /// How far objects are read; the log ends there, or at the last whole record or batch before.
    public internal(set) var end: LSN
    public internal(set) var segments = 0
    public internal(set) var tails = 0
    /// Records that begin in what is read.
    public internal(set) var records: UInt64 = 0
    /// Bytes of the objects, compressed, as they are downloaded.
    public internal(set) var objectBytes: UInt64 = 0
    /// Objects that are encrypted, and the keys that open them.
    public internal(set) var encrypted = 0
    public internal(set) var keys: Set<KeyID> = []
    /// The history of writers that the restored log gets: each epoch with the LSN at which it begins.
    public internal(set) var epochs: [Epoch] = []

    /// Bytes of log that are read.
    public var rawBytes: UInt64 { end.distance(from: start) }

    mutating func add(_ piece: ArchivePiece) {
        if piece.metadata.kind == .segment { segments += 1 } else { tails += 1 }
        objectBytes += piece.metadata.objectSize
        if let seal = piece.metadata.seal {
            encrypted += 1
            keys.insert(seal.keyID)
        }
        if let found = piece.metadata.records { records += found.count }
        end = piece.range.upperBound
    }
}

/// How far to restore.
public enum RestoreTarget: Hashable, Sendable {
    /// All that is archived without a gap.
    case everything
    /// The records whose LSN is at or below this one, and of batches only those that end there. The record at this LSN is included.
    case through(LSN)

    /// Whether a piece is the last one needed: a record begins in it that is too late.
    func isReached(by piece: ArchivePiece) -> Bool {
        guard case .through(let lsn) = self, let records = piece.metadata.records else { return false }
        return records.last > lsn
    }
}
