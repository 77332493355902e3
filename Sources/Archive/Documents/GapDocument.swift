public import WAL

/// `gaps/<n>-<epoch id>/<start LSN>.json`: a range that was given up. The next object begins exactly at its end.
public struct GapDocument: ArchiveDocument {
    public var start: LSN
    public var end: LSN
    /// Why, in words for people.
    public private(set) var reason: String
    /// When, in nanoseconds since 1970-01-01 UTC by the writer's clock.
    public var time: UInt64

    /// `reason` is made printable: control characters become `?`, and it is cut at `ArchiveLimits.textSizeMax` bytes.
    public init(start: LSN, end: LSN, reason: String, time: UInt64) {
        self.start = start
        self.end = end
        self.reason = DocumentText.printable(reason)
        self.time = time
    }

    public var problem: String? {
        start >= end ? "field end_lsn: \(end) is not past start_lsn \(start)" : nil
    }

    private enum CodingKeys: String, CodingKey {
        case format
        case start = "start_lsn"
        case end = "end_lsn"
        case reason
        case time
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        try container.checkFormat(.format)
        self.init(
            start: try container.lsn(.start), end: try container.lsn(.end), reason: try container.text(.reason),
            time: try container.decimal(.time))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeFormat(.format)
        try container.encodeLSN(start, .start)
        try container.encodeLSN(end, .end)
        try container.encode(reason, forKey: .reason)
        try container.encodeDecimal(time, .time)
    }
}
