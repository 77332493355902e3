public import WAL

/// What an object says about itself: whose bytes it holds, which range, what came before, and how to check it.
///
/// `ObjectEncoder` fills in what follows from the bytes (`rawDigest`, `objectSize`, `checksum`); the rest is the caller's.
/// `problem` names the first rule that the values break; nothing with a problem is encoded, and nothing with one is decoded.
public struct ObjectMetadata: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// One closed segment of the log, or what of it begins at the epoch's start.
        case segment
        /// Durable bytes of the open segment; level 0 as they came, higher levels several of the level below as one.
        case tail(level: Int)
    }

    /// The records whose frames begin inside the range.
    public struct Records: Hashable, Sendable {
        public var first: LSN
        public var last: LSN
        public var count: UInt64

        public init(first: LSN, last: LSN, count: UInt64) {
            self.first = first
            self.last = last
            self.count = count
        }
    }

    /// At `time` everything below `lsn` was durable.
    public struct CommitTime: Hashable, Sendable {
        /// Nanoseconds since 1970-01-01 UTC by the writer's clock, which may have been stepped.
        public var time: UInt64
        public var lsn: LSN

        public init(time: UInt64, lsn: LSN) {
            self.time = time
            self.lsn = lsn
        }
    }

    public var kind: Kind
    public var logID: LogID
    public var archiveID: ArchiveID
    /// The epoch under which the object is shipped, whatever epochs its frames have.
    public var epoch: EpochName
    /// Where that epoch begins in this archive.
    public var epochStart: LSN
    /// The first byte of the range and the first past it.
    public var start: LSN
    public var end: LSN
    /// Nil: no frame begins inside.
    public var records: Records?
    /// The raw digest of the object before it of the same kind (and level) in this epoch, as it stands there; nil for the first.
    public var precedingDigest: RawDigest?
    /// Every epoch whose frames may be in the log up to here, oldest first, each with the LSN at which it begins in the log
    /// (its fork); the last is `epoch`.
    public var ancestry: [Epoch]
    /// Durable points inside the range, ascending by LSN. Times need not ascend.
    public var timeIndex: [CommitTime]

    /// With which key an object is encrypted, and what its own key was derived with besides.
    public struct Seal: Hashable, Sendable {
        public let keyID: KeyID
        /// Thirty-two random bytes, others in each object: no two share a key, whatever range they hold.
        public let salt: [UInt8]
    }

    /// Of the raw bytes; keyed where the object is encrypted. Filled in by the encoder.
    public internal(set) var rawDigest = RawDigest(high: 0, low: 0)
    /// Bytes of the whole object. Filled in by the encoder.
    public internal(set) var objectSize: UInt64 = 0
    /// CRC-32C of the whole object, this field taken as zero. Filled in by the encoder.
    public internal(set) var checksum: UInt32 = 0
    /// Nil: the object is not encrypted. Filled in by the encoder.
    public internal(set) var seal: Seal?

    public var isEncrypted: Bool { seal != nil }

    public init(
        kind: Kind, logID: LogID, archiveID: ArchiveID, epoch: EpochName, epochStart: LSN, start: LSN, end: LSN,
        records: Records?, precedingDigest: RawDigest?, ancestry: [Epoch], timeIndex: [CommitTime]
    ) {
        self.kind = kind
        self.logID = logID
        self.archiveID = archiveID
        self.epoch = epoch
        self.epochStart = epochStart
        self.start = start
        self.end = end
        self.records = records
        self.precedingDigest = precedingDigest
        self.ancestry = ancestry
        self.timeIndex = timeIndex
    }

    /// Bytes of log in the range. Only for metadata without a problem.
    public var rawSize: UInt64 { end.distance(from: start) }
}

extension ObjectMetadata {
    /// The first rule of the format that these values break, in words; nil where they are sound.
    public var problem: String? {
        rangeProblem ?? ancestryProblem ?? recordsProblem ?? timeIndexProblem
    }

    private var rangeProblem: String? {
        if case .tail(let level) = kind, !(0...ArchiveLimits.tailLevelMax).contains(level) {
            return "tail level \(level) is not between 0 and \(ArchiveLimits.tailLevelMax)"
        }
        if start >= end { return "the range \(start) to \(end) is empty" }
        if end > ArchiveLimits.lsnMax { return "the end \(end) is past the largest position" }
        if rawSize > ArchiveLimits.rawSizeMax {
            return "the range \(start) to \(end) holds more than \(ArchiveLimits.rawSizeMax) bytes"
        }
        if epochStart > start { return "its epoch begins at \(epochStart), after the start of the range" }
        return nil
    }

    private var ancestryProblem: String? {
        guard let last = ancestry.last else { return "the ancestry is empty" }
        if ancestry.count > ArchiveLimits.ancestryCountMax { return "the ancestry has \(ancestry.count) epochs" }
        for (older, newer) in zip(ancestry, ancestry.dropFirst())
        where older.number >= newer.number || older.start > newer.start {
            return "the ancestry is not in order at epoch \(newer.number)"
        }
        for entry in ancestry {
            if !EpochName.isValid(number: entry.number) { return "the ancestry names epoch \(entry.number)" }
            if entry.start > ArchiveLimits.lsnMax { return "epoch \(entry.number) begins past the largest position" }
        }
        if last.number != epoch.number || last.id != epoch.id { return "the ancestry does not end with epoch \(epoch)" }
        if let first = ancestry.first, first.start > start {
            return "the ancestry begins at \(first.start), after the start of the range"
        }
        return nil
    }

    private var recordsProblem: String? {
        guard let records else { return nil }
        if records.count == 0 { return "no records, yet a first one at \(records.first)" }
        if records.first < start || records.last >= end || records.first > records.last {
            return "the records from \(records.first) to \(records.last) do not begin inside the range"
        }
        // A frame has at least eight bytes (docs/format/log.md), so this also rules out a count that could overflow sums.
        let span = records.last.distance(from: records.first)
        if span / 8 < records.count - 1 || (records.count == 1) != (span == 0) {
            return "\(records.count) records cannot begin between \(records.first) and \(records.last)"
        }
        return nil
    }

    private var timeIndexProblem: String? {
        if timeIndex.count > ArchiveLimits.timeIndexCountMax { return "the time index has \(timeIndex.count) entries" }
        var previous = start
        for entry in timeIndex {
            if entry.lsn <= previous || entry.lsn > end { return "the time index is not in order at LSN \(entry.lsn)" }
            previous = entry.lsn
        }
        return nil
    }
}
