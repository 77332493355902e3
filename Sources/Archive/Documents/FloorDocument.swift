public import WAL

/// `floor.json`: where the archive begins. Absent: at LSN 0. Only raised.
public struct FloorDocument: ArchiveDocument {
    /// The first record that a restore can have; a record boundary.
    public var lsn: LSN
    /// The epoch under which the object that holds it was shipped.
    public var epoch: EpochName
    /// Where that object begins: the first one to read.
    public var objectStart: LSN
    /// When, in nanoseconds since 1970-01-01 UTC by the writer's clock.
    public var time: UInt64

    public init(lsn: LSN, epoch: EpochName, objectStart: LSN, time: UInt64) {
        self.lsn = lsn
        self.epoch = epoch
        self.objectStart = objectStart
        self.time = time
    }

    public var problem: String? {
        objectStart > lsn ? "field object_start: \(objectStart) is past lsn \(lsn)" : nil
    }

    private enum CodingKeys: String, CodingKey {
        case format
        case lsn
        case epochNumber = "epoch_number"
        case epochID = "epoch_id"
        case objectStart = "object_start"
        case time
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        try container.checkFormat(.format)
        self.init(
            lsn: try container.lsn(.lsn),
            epoch: try container.epoch(.epochNumber, .epochID),
            objectStart: try container.lsn(.objectStart), time: try container.decimal(.time))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeFormat(.format)
        try container.encodeLSN(lsn, .lsn)
        try container.encode(epoch, .epochNumber, .epochID)
        try container.encodeLSN(objectStart, .objectStart)
        try container.encodeDecimal(time, .time)
    }
}
