public import WAL

/// `epochs/<n>/start.json`: the epoch's ancestry, and where each epoch begins in this archive. It comes into being last in a
/// promotion; until then readers stay on the parent.
public struct StartDocument: ArchiveDocument {
    public struct Entry: Hashable, Sendable {
        public var epoch: EpochName
        /// Where the epoch begins in the log.
        public var fork: LSN
        /// Where its first object in this archive begins; nil where it has none here.
        public var start: LSN?

        public init(epoch: EpochName, fork: LSN, start: LSN?) {
            self.epoch = epoch
            self.fork = fork
            self.start = start
        }
    }

    /// The epoch that was continued; nil for a log's first.
    public var parent: EpochName?
    /// Every ancestor whose frames may still be read, oldest first, and last the epoch itself.
    public var epochs: [Entry]

    public init(parent: EpochName?, epochs: [Entry]) {
        self.parent = parent
        self.epochs = epochs
    }

    /// The epoch that the document is about. Only for documents without a problem.
    public var epoch: Entry { epochs[epochs.count - 1] }

    public static var sizeMax: Int { ArchiveLimits.startDocumentSizeMax }

    public var problem: String? {
        guard let last = epochs.last else { return "field epochs: empty" }
        if epochs.count > ArchiveLimits.ancestryCountMax { return "field epochs: \(epochs.count) are more than \(ArchiveLimits.ancestryCountMax)" }
        for (older, newer) in zip(epochs, epochs.dropFirst())
        where older.epoch.number >= newer.epoch.number || older.fork > newer.fork {
            return "field epochs: not in order at epoch \(newer.epoch.number)"
        }
        if last.start == nil { return "field epochs: the last one, epoch \(last.epoch.number), has no start_lsn" }
        if let parent, parent.number >= last.epoch.number { return "field parent: epoch \(parent.number) is not before \(last.epoch.number)" }
        if epochs.count > 1, parent != epochs[epochs.count - 2].epoch { return "field parent: not the epoch before the last" }
        return nil
    }

    private enum CodingKeys: String, CodingKey { case format, parent, epochs }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        try container.checkFormat(.format)
        self.init(
            parent: try container.decodeNil(forKey: .parent) ? nil : try container.decode(NameField.self, forKey: .parent).name,
            epochs: try container.decode([Entry].self, forKey: .epochs))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeFormat(.format)
        if let parent {
            try container.encode(NameField(name: parent), forKey: .parent)
        } else {
            try container.encodeNil(forKey: .parent)
        }
        try container.encode(epochs, forKey: .epochs)
    }
}

extension StartDocument.Entry: Codable {
    private enum CodingKeys: String, CodingKey {
        case number
        case id
        case fork = "fork_lsn"
        case start = "start_lsn"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            epoch: try container.epoch(.number, .id),
            fork: try container.lsn(.fork), start: try container.lsnOrNull(.start))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(epoch, .number, .id)
        try container.encodeLSN(fork, .fork)
        try container.encodeLSNOrNull(start, .start)
    }
}

/// `{"id":…,"number":…}`.
private struct NameField: Codable {
    var name: EpochName

    private enum CodingKeys: String, CodingKey { case number, id }

    init(name: EpochName) {
        self.name = name
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.epoch(.number, .id)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, .number, .id)
    }
}
