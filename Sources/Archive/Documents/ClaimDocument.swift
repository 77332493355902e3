import WAL

/// `epochs/<n>/claim.json`: who owns an epoch. Created once; the fencing token of everything shipped in it.
public struct ClaimDocument: ArchiveDocument {
    public var epoch: EpochName
    /// The machine that claimed it, for people.
    public private(set) var host: String
    /// When, in nanoseconds since 1970-01-01 UTC by that machine's clock; for people.
    public var time: UInt64

    /// `host` is made printable: control characters become `?`, and it is cut at `ArchiveLimits.textSizeMax` bytes.
    public init(epoch: EpochName, host: String, time: UInt64) {
        self.epoch = epoch
        self.host = DocumentText.printable(host)
        self.time = time
    }

    public var problem: String? { nil }

    private enum CodingKeys: String, CodingKey {
        case format
        case epochNumber = "epoch_number"
        case epochID = "epoch_id"
        case host
        case time
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        try container.checkFormat(.format)
        self.init(
            epoch: try container.epoch(.epochNumber, .epochID),
            host: try container.text(.host), time: try container.decimal(.time))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeFormat(.format)
        try container.encode(epoch, .epochNumber, .epochID)
        try container.encode(host, forKey: .host)
        try container.encodeDecimal(time, .time)
    }
}
