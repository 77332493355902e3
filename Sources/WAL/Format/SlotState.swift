/// One state of a slot: how far a consumer of the log has come, and what a destination has to remember across a restart.
///
/// A slot's file keeps the last two states; see `SlotFile`. A pin uses kind, log id, position and epoch only.
public struct SlotState: Hashable, Sendable {
    public enum Kind: UInt32, Hashable, Sendable {
        /// An application holds truncation back.
        case pin = 1
        /// A destination to which the log is shipped.
        case destination = 2
    }

    /// An object that storage has acknowledged.
    public struct ShippedObject: Hashable, Sendable {
        /// The digest of its raw bytes.
        public var digest: Bytes16
        public var range: Range<LSN>
        public init(digest: Bytes16, range: Range<LSN>) {
            self.digest = digest
            self.range = range
        }
    }

    public var kind: Kind
    /// Counts the writes of the slot, from 1.
    public var generation: UInt64
    public var logID: LogID
    /// Everything below it is no longer needed by this consumer.
    public var position: LSN
    /// The epoch that `position` is a position of.
    public var epoch: EpochID
    /// The last segment object; nil where there is none.
    public var lastSegment: ShippedObject?
    /// Which archive the slot belongs to; zero where it is not known yet.
    public var archiveID: Bytes16
    /// Acknowledged up to here, tails included.
    public var archived: LSN
    /// What the destination's store can do, as the last probe found; the bits are the archive's.
    public var capabilities: UInt32
    /// One for each level of tails, 0 to 3.
    public var levels: [LevelState]
    /// The exclusive end of the last segment whose upload was started; nil where none is known.
    public var segmentsStarted: LSN?
    /// Acknowledged segments whose tails may still be in the archive: from the start of the first of them to the end of the last. Nil: none.
    public var tailsLeft: Range<LSN>?
    /// A destination's: the log may be truncated up to here. Follows `position`, which is what was shipped, once that has settled, has been
    /// looked at once more, and is no longer to be retained. Whatever lies above `position` does not count.
    public var released: LSN
    /// Ranges that were given up and are not yet recorded in the archive, oldest first: at most two.
    public var gaps: [SlotGap]
    /// The last of such ranges whose document is in the archive: an object begins exactly at its end. Nil: there was none in this epoch.
    public var lastGap: Range<LSN>?
    /// The number of the epoch under which this destination is shipped to; 0 before the first claim.
    public var epochNumber: UInt64
    /// Where that epoch starts at this destination.
    public var epochStart: LSN
    /// When storage last acknowledged something, in nanoseconds since 1970; 0 before the first time.
    public var lastAcknowledged: UInt64

    /// The first state of a slot: nothing shipped, no epoch claimed.
    public init(kind: Kind, logID: LogID, position: LSN, epoch: EpochID, generation: UInt64 = 1) {
        self.kind = kind
        self.generation = generation
        self.logID = logID
        self.position = position
        self.epoch = epoch
        lastSegment = nil
        archiveID = .zero
        archived = .zero
        capabilities = 0
        levels = [LevelState](repeating: LevelState(), count: FormatLimits.tailLevels)
        segmentsStarted = nil
        tailsLeft = nil
        released = kind == .destination ? position : .zero
        gaps = []
        lastGap = nil
        epochNumber = 0
        epochStart = .zero
        lastAcknowledged = 0
    }
}

extension SlotState {
    /// The greatest LSN that this consumer has seen durable: only durable bytes are sent, and a range is recorded before it is sent.
    var shippedEnd: LSN {
        levels.reduce(max(position, archived, segmentsStarted ?? .zero)) { max($0, $1.inFlight?.upperBound ?? .zero) }
    }

    /// Below it this consumer needs nothing any more.
    package var hold: LSN { kind == .destination ? min(released, position) : position }

    /// Where the first object begins of those that follow on one another up to the position: at the epoch's start here, or after the last gap.
    package var objectsStart: LSN { max(epochStart, lastGap?.upperBound ?? .zero) }

    /// Gives a range up: from where what is archived ends to `end`, a boundary of segments or the log's head. What was given up before and not told yet
    /// grows; what was told stays as it is. The position and what may be truncated move to `end`.
    ///
    /// What may be in the archive in spite of it stays recorded (the tail in flight, the last segment that was started) until the documents have
    /// been made: an upload that arrives late is then found, or fits in.
    package mutating func giveUp(to end: LSN, reason: String, time: UInt64) {
        precondition(end > archived, "nothing is given up between LSN \(archived) and \(end)")
        precondition(archived >= position, "the position lies past what is archived")
        if let last = gaps.last, !last.isTold {
            precondition(last.range.upperBound == archived, "something was archived since a gap that is not told yet")
            gaps[gaps.count - 1] = SlotGap(range: last.range.lowerBound..<end, time: time, reason: reason)
        } else {
            precondition(gaps.count < FormatLimits.slotGaps, "only the oldest gap is told")
            gaps.append(SlotGap(range: archived..<end, time: time, reason: reason))
        }
        position = end
        archived = end
        released = end
    }
}

/// One level of a destination's tails.
public struct LevelState: Hashable, Sendable {
    /// The range of the object being uploaded; every retry ships exactly it.
    public var inFlight: Range<LSN>?
    /// Where the group of objects begins that will be shipped as one of the next level.
    public var groupStart: LSN
    /// Objects in that group so far.
    public var groupCount: UInt32
    /// The raw digest of the last acknowledged tail of this level; nil where there is none.
    public var lastDigest: Bytes16?

    public init(
        inFlight: Range<LSN>? = nil, groupStart: LSN = .zero, groupCount: UInt32 = 0, lastDigest: Bytes16? = nil
    ) {
        self.inFlight = inFlight
        self.groupStart = groupStart
        self.groupCount = groupCount
        self.lastDigest = lastDigest
    }
}

extension SlotState {
    package static let currentVersion: UInt32 = 1
    package static let size = FormatLimits.pageSize
    private static let levelsOffset = 120
    private static let levelSize = 32
    private static let levelDigestsOffset = 312
    private static let gapsOffset = 512

    /// The 4096 bytes of one half. Traps on values that a reader would refuse.
    package func encode() -> [UInt8] {
        precondition(1...FormatLimits.counterMax ~= generation, "slot generation \(generation)")
        precondition(levels.count == FormatLimits.tailLevels, "\(levels.count) levels in a slot")
        precondition(lastSegment.map { !$0.range.isEmpty } ?? true, "a segment object of no bytes")
        precondition(levels.allSatisfy { $0.lastDigest != .zero }, "the digest that stands for none")
        precondition(segmentsStarted != .zero, "the LSN that stands for none")
        precondition(gaps.count <= FormatLimits.slotGaps, "\(gaps.count) gaps in a slot")
        precondition(gaps.allSatisfy { !$0.range.isEmpty }, "a gap of no bytes")
        precondition(epochNumber <= FormatLimits.epochNumberMax, "epoch number \(epochNumber)")
        var writer = ByteWriter(count: SlotState.size)
        writer.put(magic: "WALSHIPP", at: 0)
        writer.put(SlotState.currentVersion, at: 8)
        writer.put(kind.rawValue, at: 12)
        writer.put(generation, at: 16)
        writer.put(logID, at: 24)
        writer.put(position, at: 40)
        writer.put(epoch.rawValue, at: 48)
        writer.put(lastSegment?.digest ?? .zero, at: 56)
        writer.put(rangeOrNone: lastSegment?.range, at: 72)
        writer.put(archiveID, at: 88)
        writer.put(archived, at: 104)
        writer.put(UInt32(levels.count), at: 112)
        writer.put(capabilities, at: 116)
        for (index, level) in levels.enumerated() {
            let offset = SlotState.levelsOffset + index * SlotState.levelSize
            writer.put(rangeOrNone: level.inFlight, at: offset)
            writer.put(level.groupStart, at: offset + 16)
            writer.put(level.groupCount, at: offset + 24)
            writer.put(level.lastDigest ?? .zero, at: SlotState.levelDigestsOffset + index * 16)
        }
        writer.put(segmentsStarted ?? .zero, at: 264)
        writer.put(rangeOrNone: lastGap, at: 272)
        writer.put(released, at: 376)
        writer.put(rangeOrNone: tailsLeft, at: 384)
        for (index, gap) in gaps.enumerated() { gap.put(in: &writer, at: SlotState.gapsOffset + index * SlotGap.size) }
        writer.put(epochNumber, at: 288)
        writer.put(epochStart, at: 296)
        writer.put(lastAcknowledged, at: 304)
        writer.putChecksum(at: 4092)
        return writer.bytes
    }

    /// Reads the 4096 bytes of one half. Its log id must be `logID` where that is given. An intact half of another version
    /// or kind is `.unsupported`; one that was never written is `.empty`.
    package static func decode(
        _ bytes: [UInt8], expecting logID: LogID? = nil
    ) throws(FormatError) -> SlotState {
        let reader = ByteReader("slot", bytes)
        try reader.requireMagic("WALSHIPP")
        try reader.requireCount(size)
        try reader.requireChecksum(at: 4092)
        let version = try reader.u32("version", at: 8)
        let rawKind = try reader.u32("kind", at: 12)
        guard version == currentVersion, let kind = Kind(rawValue: rawKind) else {
            throw reader.unsupported(
                "version and kind", at: 8, found: "\(version) and \(rawKind)",
                expected: "\(currentVersion) and 1 or 2; a newer walship wrote this slot")
        }
        var state = SlotState(
            kind: kind, logID: try reader.logID(at: 24, expecting: logID),
            position: try reader.lsn("position", at: 40),
            epoch: EpochID(rawValue: try reader.u64("epoch id", at: 48)),
            generation: try reader.u64("generation", at: 16, in: 1...FormatLimits.counterMax))
        try state.readShipping(reader)
        return state
    }

    private mutating func readShipping(_ reader: ByteReader) throws(FormatError) {
        let levelCount = UInt32(FormatLimits.tailLevels)
        _ = try reader.u32("level count", at: 112, in: levelCount...levelCount)
        let digest = try reader.bytes16("digest of the last segment", at: 56)
        if let range = try reader.rangeOrNone("last segment", at: 72) {
            lastSegment = ShippedObject(digest: digest, range: range)
        }
        archiveID = try reader.bytes16("archive id", at: 88)
        archived = try reader.lsn("archived LSN", at: 104)
        capabilities = try reader.u32("capabilities", at: 116)
        for index in levels.indices {
            let offset = SlotState.levelsOffset + index * SlotState.levelSize
            let digest = try reader.bytes16(
                "digest of the last tail of level \(index)", at: SlotState.levelDigestsOffset + index * 16)
            levels[index] = LevelState(
                inFlight: try reader.rangeOrNone("range in flight of level \(index)", at: offset),
                groupStart: try reader.lsn("group start of level \(index)", at: offset + 16),
                groupCount: try reader.u32("group count of level \(index)", at: offset + 24),
                lastDigest: digest == .zero ? nil : digest)
        }
        let started = try reader.lsn("segments started", at: 264)
        segmentsStarted = started == .zero ? nil : started
        lastGap = try reader.rangeOrNone("last gap", at: 272)
        released = try reader.lsn("released LSN", at: 376)
        tailsLeft = try reader.rangeOrNone("segments whose tails are left", at: 384)
        epochNumber = try reader.u64("epoch number", at: 288, in: 0...FormatLimits.epochNumberMax)
        epochStart = try reader.lsn("epoch start", at: 296)
        lastAcknowledged = try reader.u64("time of the last acknowledgement", at: 304)
        gaps = []
        for index in 0..<FormatLimits.slotGaps {
            let offset = SlotState.gapsOffset + index * SlotGap.size
            guard let gap = try SlotGap.read(reader, at: offset) else { continue }
            guard gaps.count == index, gap.range.lowerBound >= gaps.last?.range.upperBound ?? .zero else {
                throw reader.invalid("gap", at: offset, found: "\(gap.range)", expected: "a range past the one before")
            }
            gaps.append(gap)
        }
    }
}
