public import WAL

/// `epochs/<n>/encryption.json`: from where on the objects of an epoch are encrypted. Created once, before the first of them; absent: none is.
public struct EncryptionDocument: ArchiveDocument {
    public var epoch: EpochName
    /// Every object that begins here or past it is encrypted.
    public var from: LSN
    /// The key with which it began; later objects may have others.
    public var keyID: KeyID
    /// Nanoseconds since 1970-01-01 UTC.
    public var time: UInt64

    public init(epoch: EpochName, from: LSN, keyID: KeyID, time: UInt64) {
        self.epoch = epoch
        self.from = from
        self.keyID = keyID
        self.time = time
    }

    public var problem: String? { nil }

    public var naming: ObjectNaming { ObjectNaming(encryptedFrom: from) }

    private enum CodingKeys: String, CodingKey {
        case format
        case epochNumber = "epoch_number"
        case epochID = "epoch_id"
        case from = "from_lsn"
        case keyID = "key_id"
        case time
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        try container.checkFormat(.format)
        guard let keyID = KeyID(hex: try container.decode(String.self, forKey: .keyID)) else {
            throw container.malformed(.keyID, "not thirty-two lower-case hex digits")
        }
        self.init(
            epoch: try container.epoch(.epochNumber, .epochID),
            from: try container.lsn(.from), keyID: keyID, time: try container.decimal(.time))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeFormat(.format)
        try container.encode(epoch, .epochNumber, .epochID)
        try container.encodeLSN(from, .from)
        try container.encode(keyID.description, forKey: .keyID)
        try container.encodeDecimal(time, .time)
    }
}
