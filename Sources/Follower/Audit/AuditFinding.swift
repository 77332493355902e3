public import Archive
public import WAL

/// Something that an audit came across.
public struct AuditFinding: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// Bytes that are not what was written.
        case damage
        /// Nothing is there although the archive goes on.
        case missing
        /// A range that was given up, as a document says.
        case gap
        /// Nothing that a reader comes to.
        case note
    }

    public let kind: Kind
    /// The object or document.
    public let key: ObjectKey?
    /// What the key stands for, where that is an object.
    public let object: ArchivedObject?
    /// Where in the log; where `end` is there too, the range up to it.
    public let lsn: LSN?
    public let end: LSN?
    public let what: String

    init(_ kind: Kind, _ what: String, key: ObjectKey? = nil, object: ArchivedObject? = nil, lsn: LSN? = nil, end: LSN? = nil) {
        self.kind = kind
        self.what = what
        self.key = key
        self.object = object
        self.lsn = lsn
        self.end = end
    }

    /// Whether a restore would not get past it, or might be misled.
    public var isFault: Bool { kind != .note }
}

/// What an audit has read.
public struct AuditSummary: Hashable, Sendable {
    public struct Owner: Hashable, Sendable {
        public let logID: LogID
        public let archiveID: ArchiveID
    }

    /// Documents and objects that are intact.
    public internal(set) var documents = 0
    public internal(set) var segments = 0
    public internal(set) var tails = 0
    /// Compressed bytes, bytes of log, and the records that begin in them; of bytes that lie in several objects each time.
    public internal(set) var objectBytes: UInt64 = 0
    public internal(set) var rawBytes: UInt64 = 0
    public internal(set) var records: UInt64 = 0
    public internal(set) var epochs = 0
    /// Objects whose keys were not there: their checksums were verified, their content was not.
    public internal(set) var sealed = 0
    /// Objects that an earlier audit has read.
    public internal(set) var skipped = 0
    public internal(set) var damages = 0
    public internal(set) var missing = 0
    public internal(set) var gaps = 0
    /// The first record that can be restored, and up to where the newest epoch's objects reach without a hole.
    public internal(set) var first: LSN = .zero
    public internal(set) var end: LSN = .zero
    /// Whether the store listed its names. Without, objects that no name leads to were not seen.
    public internal(set) var isListed = false
    /// Whose the objects are that are whole, as they say themselves; one, in an archive that is what it should be.
    public internal(set) var owners: Set<Owner> = []
    /// For the next audit; nil where something is damaged or missing: it is to be found again.
    public internal(set) var cursor: CursorDocument?

    mutating func count(_ finding: AuditFinding) {
        switch finding.kind {
        case .damage: damages += 1
        case .missing: missing += 1
        case .gap: gaps += 1
        case .note: break
        }
    }
}
