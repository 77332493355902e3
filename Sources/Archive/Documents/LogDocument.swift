public import WAL

/// `log.json`: whose archive this is. Created once, never changed.
public struct LogDocument: ArchiveDocument {
    public var logID: LogID
    public var archiveID: ArchiveID
    /// Bytes of a segment of this log.
    public var segmentSize: UInt64

    public init(logID: LogID, archiveID: ArchiveID, segmentSize: UInt64) {
        self.logID = logID
        self.archiveID = archiveID
        self.segmentSize = segmentSize
    }

    public var problem: String? {
        let isMultiple = segmentSize % ArchiveLimits.segmentSizeMin == 0
        return isMultiple && (ArchiveLimits.segmentSizeMin...ArchiveLimits.rawSizeMax).contains(segmentSize)
            ? nil : "field segment_size: \(segmentSize) is not a segment size"
    }

    private enum CodingKeys: String, CodingKey {
        case format
        case logID = "log_id"
        case archiveID = "archive_id"
        case segmentSize = "segment_size"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        try container.checkFormat(.format)
        self.init(logID: try container.logID(.logID), archiveID: try container.archiveID(.archiveID), segmentSize: try container.number(.segmentSize))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeFormat(.format)
        try container.encode(logID.description, forKey: .logID)
        try container.encode(archiveID.description, forKey: .archiveID)
        try container.encode(segmentSize, forKey: .segmentSize)
    }
}
