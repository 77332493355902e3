/// Page 3 of a control file: what the writer says about itself right now. Words of eight aligned bytes without a checksum,
/// mapped and read and written one at a time as atomics. The constants are offsets in the page.
package enum LivePage {
    package static let size = FormatLimits.pageSize
    /// "WALSHIPL" as a little-endian word; written with the page, never changed.
    package static let magicWord: UInt64 = 0x4C50_4948_534C_4157

    package static let magic = 0
    package static let durable = 8
    package static let written = 16
    package static let head = 24
    /// Two words, random at each open for writing; a change of either is a change.
    package static let incarnationHigh = 32
    package static let incarnationLow = 40
    /// The boot id of the kernel that the page was written under, as two big-endian halves.
    package static let bootHigh = 48
    package static let bootLow = 56
    package static let flags = 64
    package static let blockedBy = 72
    package static let writer = 80

    /// Bit of `flags`: a flush failed, or the log was closed: the writer takes no more appends.
    package static let stoppedFlag: UInt64 = 1 << 0
    /// Bit of `flags`: appends that need the next segment wait while the process `blockedBy` lives.
    package static let blockedFlag: UInt64 = 1 << 1
}

/// The words of a live page, read one after the other. Which of them may be believed depends on boot id and lock, see
/// `docs/format/log.md`.
package struct LiveSnapshot: Hashable, Sendable {
    package var durable: LSN
    package var written: LSN
    package var head: LSN
    package var incarnation: Incarnation
    package var boot: BootID
    package var isStopped: Bool
    package var isBlocked: Bool
    /// Process id of who set the blocked flag.
    package var blockedBy: Int32?
    /// Process id of the writer; nil where it has closed the log.
    package var writer: Int32?

    package init(
        durable: LSN, written: LSN, head: LSN, incarnation: Incarnation, boot: BootID, isStopped: Bool = false,
        isBlocked: Bool = false, blockedBy: Int32? = nil, writer: Int32? = nil
    ) {
        self.durable = durable
        self.written = written
        self.head = head
        self.incarnation = incarnation
        self.boot = boot
        self.isStopped = isStopped
        self.isBlocked = isBlocked
        self.blockedBy = blockedBy
        self.writer = writer
    }

    /// The 4096 bytes of the page: for the creation of a control file, and for tests.
    package func encode() -> [UInt8] {
        var writer = ByteWriter(count: LivePage.size)
        writer.put(LivePage.magicWord, at: LivePage.magic)
        writer.put(durable, at: LivePage.durable)
        writer.put(written, at: LivePage.written)
        writer.put(head, at: LivePage.head)
        writer.put(incarnation.high, at: LivePage.incarnationHigh)
        writer.put(incarnation.low, at: LivePage.incarnationLow)
        writer.put(boot.high, at: LivePage.bootHigh)
        writer.put(boot.low, at: LivePage.bootLow)
        writer.put(
            (isStopped ? LivePage.stoppedFlag : 0) | (isBlocked ? LivePage.blockedFlag : 0), at: LivePage.flags)
        writer.put(UInt64(blockedBy ?? 0), at: LivePage.blockedBy)
        writer.put(UInt64(self.writer ?? 0), at: LivePage.writer)
        return writer.bytes
    }

    /// Reads a page, or as much of it as its words need. After a crash of the machine any word may be anything: an error
    /// means only that the page says nothing.
    package static func decode(_ bytes: [UInt8]) throws(FormatError) -> LiveSnapshot {
        let reader = ByteReader("control live page", bytes)
        try reader.requireMagic("WALSHIPL", at: LivePage.magic)
        let flags = try reader.u64("flags", at: LivePage.flags)
        return LiveSnapshot(
            durable: try reader.lsn("durable LSN", at: LivePage.durable),
            written: try reader.lsn("written LSN", at: LivePage.written),
            head: try reader.lsn("head LSN", at: LivePage.head),
            incarnation: Incarnation(
                high: try reader.u64("incarnation", at: LivePage.incarnationHigh),
                low: try reader.u64("incarnation", at: LivePage.incarnationLow)),
            boot: BootID(
                high: try reader.u64("boot id", at: LivePage.bootHigh),
                low: try reader.u64("boot id", at: LivePage.bootLow)),
            isStopped: flags & LivePage.stoppedFlag != 0,
            isBlocked: flags & LivePage.blockedFlag != 0,
            blockedBy: try processID(reader, "blocking process", at: LivePage.blockedBy),
            writer: try processID(reader, "writer process", at: LivePage.writer))
    }

    private static func processID(
        _ reader: ByteReader, _ field: String, at offset: Int
    ) throws(FormatError) -> Int32? {
        let value = try reader.u64(field, at: offset, in: 0...UInt64(Int32.max))
        return value == 0 ? nil : Int32(value)
    }
}
