import Synchronization

/// The live page of a control file, mapped: eight-byte words that other processes read while the writer stores them.
///
/// Durable is stored before any waiter is woken, so whoever hears of a sync finds it here. Any thread, any process.
final class LiveWords: Sendable {
    private let mapping: any Mapping

    /// `mapping` is page 3 of the control file.
    init(mapping: any Mapping) {
        precondition(mapping.count >= LivePage.size, "the live page is one page")
        self.mapping = mapping
    }

    private func word(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        // SAFETY: offsets are 8-aligned and inside the page; Atomic<UInt64> has the layout of UInt64, and all access by this
        // process goes through it. The machine is little-endian, as the format.
        unsafe (mapping.base + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    private func load(_ offset: Int) -> UInt64 { unsafe word(offset).pointee.load(ordering: .acquiring) }
    private func store(_ value: UInt64, _ offset: Int) { unsafe word(offset).pointee.store(value, ordering: .releasing) }

    /// Whether the page says anything: it has been begun, and its durable LSN is one.
    var isInitialised: Bool { load(LivePage.magic) == LivePage.magicWord && load(LivePage.durable) <= LogLimits.lsnMax }
    var durable: LSN {
        get { LSN(load(LivePage.durable)) }
        set { store(newValue.rawValue, LivePage.durable) }
    }
    var written: LSN {
        get { LSN(load(LivePage.written)) }
        set { store(newValue.rawValue, LivePage.written) }
    }
    var head: LSN {
        get { LSN(load(LivePage.head)) }
        set { store(newValue.rawValue, LivePage.head) }
    }
    /// Two words: whoever sees a half-changed pair sees a change, which is all that it is for.
    var incarnation: Incarnation {
        get { Incarnation(high: load(LivePage.incarnationHigh), low: load(LivePage.incarnationLow)) }
        set {
            store(newValue.high, LivePage.incarnationHigh)
            store(newValue.low, LivePage.incarnationLow)
        }
    }
    var boot: BootID {
        get { BootID(high: load(LivePage.bootHigh), low: load(LivePage.bootLow)) }
        set {
            store(newValue.high, LivePage.bootHigh)
            store(newValue.low, LivePage.bootLow)
        }
    }
    var isStopped: Bool { load(LivePage.flags) & LivePage.stoppedFlag != 0 }
    func setStopped() { _ = unsafe word(LivePage.flags).pointee.bitwiseOr(LivePage.stoppedFlag, ordering: .acquiringAndReleasing) }
    /// Appends that need another segment look at the lock that says whether somebody is blocking them.
    var isBlocked: Bool { load(LivePage.flags) & LivePage.blockedFlag != 0 }
    /// Who set it last; nil where nobody has.
    var blockedBy: Int32? { Int32(exactly: load(LivePage.blockedBy)).flatMap { $0 == 0 ? nil : $0 } }
    func setBlocked(by process: Int32) {
        store(UInt64(process), LivePage.blockedBy)
        _ = unsafe word(LivePage.flags).pointee.bitwiseOr(LivePage.blockedFlag, ordering: .acquiringAndReleasing)
    }
    func clearBlocked() {
        _ = unsafe word(LivePage.flags).pointee.bitwiseAnd(~LivePage.blockedFlag, ordering: .acquiringAndReleasing)
        store(0, LivePage.blockedBy)
    }
    var waitingAppends: UInt64 {
        get { load(LivePage.waitingAppends) }
        set { store(newValue, LivePage.waitingAppends) }
    }
    /// The pid of the writer; nil when the log is closed.
    var writer: Int32? {
        get { Int32(exactly: load(LivePage.writer)).flatMap { $0 == 0 ? nil : $0 } }
        set { store(UInt64(newValue ?? 0), LivePage.writer) }
    }

    // MARK: Waiting across processes

    /// Wakes every process that waits here for the durable LSN, or for the end of the writer.
    func wakeWaiters() {
        // SAFETY: the low half of the durable word, inside the mapping; the machine is little-endian.
        unsafe SharedFutex.wake(UnsafeRawPointer(mapping.base + LivePage.durable))
    }

    /// Returns once somebody calls `wakeWaiters` after the durable LSN was `seen`, or `nanoseconds` later, or for no reason.
    func wait(whileDurableIs seen: LSN, nanoseconds: UInt64) {
        // SAFETY: as above; whoever waits is joined before the page is unmapped.
        unsafe SharedFutex.wait(
            UnsafeRawPointer(mapping.base + LivePage.durable), while: UInt32(truncatingIfNeeded: seen.rawValue), nanoseconds: nanoseconds)
    }

    /// Takes the page into use for this boot. The watermarks go first: whoever sees our boot id may believe them.
    func begin(incarnation: Incarnation, boot: BootID, durable: LSN, head: LSN, writer: Int32) {
        if self.boot != boot { self.boot = BootID(high: 0, low: 0) }
        self.durable = durable
        written = durable
        self.head = head
        // Who blocks appends goes on doing so; where nobody does any more, the lock says so.
        _ = unsafe word(LivePage.flags).pointee.bitwiseAnd(LivePage.blockedFlag, ordering: .acquiringAndReleasing)
        waitingAppends = 0
        self.incarnation = incarnation
        self.writer = writer
        store(LivePage.magicWord, LivePage.magic)
        self.boot = boot
    }

    /// The log ends at `end`, durably: also where it ended later before.
    func setEnd(_ end: LSN) {
        durable = end
        written = end
    }

    func unmap() { mapping.unmap() }
}

/// Sixteen random bytes for each opening of a log for writing. A change tells readers to drop what they hold.
public struct Incarnation: Hashable, Sendable {
    public let high: UInt64
    public let low: UInt64
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
    static func random() -> Incarnation {
        var generator = SystemRandomNumberGenerator()
        return Incarnation(high: generator.next(), low: generator.next())
    }
}
