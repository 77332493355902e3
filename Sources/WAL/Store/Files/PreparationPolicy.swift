/// What is done to a new segment before it takes bytes. Measured in docs/decisions/0005-segment-preparation.md.
enum SegmentFilling: Hashable, Sendable {
    /// Space is reserved and nothing else: an append is waiting.
    case bare
    /// Its pages are in memory, for appends that come faster than flushes: no append meets a page fault.
    case cached
    /// The same in the largest units, where nothing, or much at a time, is flushed; the few faults of such units are left to the appends,
    /// because it is the making of segments that limits them.
    case bulk
    /// Zeros are on the disk, for many small flushes: none of them has to note in the filesystem's journal that space which was only reserved
    /// is written now.
    case written

    /// Bytes of zeros written at a time, which is the unit in which the page cache then keeps the file (a large folio, on filesystems that have
    /// them): few faults in large units where much is written between two flushes; small units where little is, because a flush
    /// writes the whole of a unit of which one byte changed through a mapping.
    var isCached: Bool { self == .cached || self == .bulk }

    /// Whether the mapping's page table is filled ahead.
    var isPopulated: Bool { self == .cached || self == .written }

    var zeroPiece: Int? {
        switch self {
        case .bare: nil
        case .cached: 128 << 10
        case .bulk: 1 << 20
        case .written: 16 << 10
        }
    }
}

/// Decides how the next segment is made, from the flushes that it has seen. A value: counts and nothing else.
struct PreparationPolicy {
    /// Bytes between two flushes, on average, up to which writing zeros first pays: they are written twice then, once in the background, and
    /// above this the disk would be kept from the records.
    static let bytesPerFlushMax: UInt64 = 64 << 10
    /// As many flushes have to be seen before they count as frequent …
    static let flushesMin: UInt64 = 32
    /// … and after as many, older ones count half.
    static let flushesRemembered: UInt64 = 256

    /// Bytes between two flushes from which on a flush fills large units anyway.
    static let bulkBytesPerFlushMin: UInt64 = 4 << 20

    private var flushes: UInt64 = 0
    private var bytes: UInt64 = 0

    /// A flush made that many more bytes durable.
    mutating func noteFlush(of count: UInt64) {
        flushes += 1
        // Sums of two LSNs do not overflow.
        bytes = min(bytes + min(count, LogLimits.lsnMax), LogLimits.lsnMax)
        if flushes >= Self.flushesRemembered {
            flushes /= 2
            bytes /= 2
        }
    }

    /// How a segment is made for which nobody waits.
    var filling: SegmentFilling {
        if flushes >= Self.flushesMin && bytes / flushes <= Self.bytesPerFlushMax { return .written }
        return flushes == 0 || bytes / flushes >= Self.bulkBytesPerFlushMin ? .bulk : .cached
    }
}
