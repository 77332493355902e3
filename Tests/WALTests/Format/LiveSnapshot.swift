import WAL

/// The words of a live page, read one after the other. Which of them may be believed depends on boot id and lock, see
/// `docs/format/log.md`.
struct LiveSnapshot: Hashable, Sendable {
    var durable: LSN
    var written: LSN
    var head: LSN
    var incarnation: Incarnation
    var boot: BootID
    var isStopped: Bool
    var isBlocked: Bool
    /// Process id of who set the blocked flag.
    var blockedBy: Int32?
    var waitingAppends: UInt64
    /// Process id of the writer; nil where it has closed the log.
    var writer: Int32?

    init(
        durable: LSN, written: LSN, head: LSN, incarnation: Incarnation, boot: BootID, isStopped: Bool = false,
        isBlocked: Bool = false, blockedBy: Int32? = nil, waitingAppends: UInt64 = 0, writer: Int32? = nil
    ) {
        self.durable = durable
        self.written = written
        self.head = head
        self.incarnation = incarnation
        self.boot = boot
        self.isStopped = isStopped
        self.isBlocked = isBlocked
        self.blockedBy = blockedBy
        self.waitingAppends = waitingAppends
        self.writer = writer
    }

    /// The 4096 bytes of the page: for the creation of a control file, and for tests.
    func encode() -> [UInt8] {
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
        writer.put(waitingAppends, at: LivePage.waitingAppends)
        writer.put(UInt64(self.writer ?? 0), at: LivePage.writer)
        return writer.bytes
    }

    /// Reads a page, or as much of it as its words need. After a crash of the machine any word may be anything: an error
    /// means only that the page says nothing.
    static func decode(_ bytes: [UInt8]) throws(FormatError) -> LiveSnapshot {
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
            waitingAppends: try reader.u64("waiting appends", at: LivePage.waitingAppends),
            writer: try processID(reader, "writer process", at: LivePage.writer))
    }

    private static func processID(
        _ reader: ByteReader, _ field: String, at offset: Int
    ) throws(FormatError) -> Int32? {
        let value = try reader.u64(field, at: offset, in: 0...UInt64(Int32.max))
        return value == 0 ? nil : Int32(value)
    }
}
