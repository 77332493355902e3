public import WAL

/// How far an archive was read and found intact: what an audit leaves for the next one, in a file beside the archive, never in it. Written and read as
/// the archive's own documents are; bound to one archive by its id.
public struct CursorDocument: ArchiveDocument {
    public struct Entry: Hashable, Sendable {
        public var epoch: EpochName
        /// Objects of the epoch that begin below were read and need not be read again. The one that begins here is: a frame goes on from it.
        public var resume: LSN

        public init(epoch: EpochName, resume: LSN) {
            self.epoch = epoch
            self.resume = resume
        }
    }

    public var logID: LogID
    public var archiveID: ArchiveID
    /// Whether all of it was opened and its frames verified; false where keys were missing.
    public var isOpened: Bool
    public var epochs: [Entry]

    public init(logID: LogID, archiveID: ArchiveID, isOpened: Bool, epochs: [Entry]) {
        self.logID = logID
        self.archiveID = archiveID
        self.isOpened = isOpened
        self.epochs = epochs
    }

    public static var sizeMax: Int { ArchiveLimits.startDocumentSizeMax }

    public var problem: String? { nil }

    private enum CodingKeys: String, CodingKey {
        case format
        case logID = "log_id"
        case archiveID = "archive_id"
        case opened
        case epochs
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        try container.checkFormat(.format)
        self.init(
            logID: try container.logID(.logID), archiveID: try container.archiveID(.archiveID), isOpened: try container.decode(Bool.self, forKey: .opened),
            epochs: try container.decode([Entry].self, forKey: .epochs))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeFormat(.format)
        try container.encode(logID.description, forKey: .logID)
        try container.encode(archiveID.description, forKey: .archiveID)
        try container.encode(isOpened, forKey: .opened)
        try container.encode(epochs, forKey: .epochs)
    }
}

extension CursorDocument.Entry: Codable {
    private enum CodingKeys: String, CodingKey {
        case number
        case id
        case resume = "resume_lsn"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            epoch: try container.epoch(.number, .id), resume: try container.lsn(.resume))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(epoch, .number, .id)
        try container.encodeLSN(resume, .resume)
    }
}
