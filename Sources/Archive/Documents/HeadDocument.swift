public import WAL

/// `heads/<n>-<epoch id>.json`: how far the epoch's shipper had come when it wrote this. A lower bound, never the end.
public struct HeadDocument: ArchiveDocument {
    public var epoch: EpochName
    /// Up to here everything is archived, tails included.
    public var archived: LSN
    /// Up to here it is archived in closed segments.
    public var checkpoint: LSN
    /// The log's durable LSN then.
    public var durable: LSN
    /// When, in nanoseconds since 1970-01-01 UTC by the writer's clock.
    public var time: UInt64

    public init(epoch: EpochName, archived: LSN, checkpoint: LSN, durable: LSN, time: UInt64) {
        self.epoch = epoch
        self.archived = archived
        self.checkpoint = checkpoint
        self.durable = durable
        self.time = time
    }

    public var problem: String? {
        if checkpoint > archived { return "field checkpoint_lsn: \(checkpoint) is past archived_lsn \(archived)" }
        if archived > durable { return "field archived_lsn: \(archived) is past durable_lsn \(durable)" }
        return nil
    }

    private enum CodingKeys: String, CodingKey {
        case format
        case epochNumber = "epoch_number"
        case epochID = "epoch_id"
        case archived = "archived_lsn"
        case checkpoint = "checkpoint_lsn"
        case durable = "durable_lsn"
        case time
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        try container.checkFormat(.format)
        self.init(
            epoch: try container.epoch(.epochNumber, .epochID),
            archived: try container.lsn(.archived), checkpoint: try container.lsn(.checkpoint),
            durable: try container.lsn(.durable), time: try container.decimal(.time))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeFormat(.format)
        try container.encode(epoch, .epochNumber, .epochID)
        try container.encodeLSN(archived, .archived)
        try container.encodeLSN(checkpoint, .checkpoint)
        try container.encodeLSN(durable, .durable)
        try container.encodeDecimal(time, .time)
    }
}
