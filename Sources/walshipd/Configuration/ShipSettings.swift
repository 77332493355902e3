import Shipper

/// How logs are shipped: section `ship`. The defaults are those of the initialiser and of `Config/walshipd.yaml`.
struct ShipSettings: Equatable, Sendable {
    /// How often the open segment's new bytes are shipped at most; nil: only when a segment closes, and at the end, which is the default where
    /// tails stay for ever.
    var tailInterval: Duration? = .seconds(1)
    /// Closed segments uploaded at the same time, per destination.
    var uploadsInFlight = 2
    /// Bytes that the objects on their way to the destination take at most, of all logs together.
    var memoryLimit = ByteSize(256 << 20)
    /// zstd level.
    var compressionLevel = 3
    /// Archived bytes that are kept in the local log before truncation.
    var retain = ByteSize(0)
    /// How long the archive keeps what was durable then; nil: for ever.
    var archiveRetain: Duration?
    /// How long after its acknowledgement a segment is looked at once more and truncated.
    var settle: Duration = .zero
    /// Bytes that may wait to be shipped before the policy applies; nil: any number.
    var maxLocalBytes: ByteSize?
    var backlogPolicy = BacklogPolicy.keep
    /// How long a claim on an epoch rests before it is read back.
    var claimSettle: Duration = .seconds(2)
    /// Whether stores that ignore conditions are used.
    var fencing = Fencing.bestEffort

    /// Bytes per second of all uploads to the destination together; nil: no limit. Over HTTP and to buckets.
    var bandwidthLimit: ByteSize?
    /// Nothing in the archive is ever replaced or deleted.
    var immutable = false

    // Ranges, with their reasons. Below 10 ms a tail costs more requests than it saves loss (design: down to 10 ms).
    static let tailIntervals: ClosedRange<Duration> = .milliseconds(10)...(.seconds(86_400))
    /// Each upload in flight holds one compressed segment (up to 1 GiB) in memory.
    static let uploadsInFlightRange = 1...64
    /// A segment of the default size; one that is larger goes alone.
    static let memoryLimitMin: UInt64 = 16 << 20
    /// Levels above 19 need more memory to decompress than a reader may have.
    static let compressionLevels = 1...19
    /// Two of the smallest segments; the shipper asks for two of the log's.
    static let maxLocalBytesMin: UInt64 = 8192
    static let settles: ClosedRange<Duration> = .zero...(.seconds(30 * 86_400))
    /// Below an hour a restore could hardly be begun before its archive goes.
    static let archiveRetains: ClosedRange<Duration> = .seconds(3600)...(.seconds(36_500 * 86_400))
    /// Below, many uploads at a time would stand still for longer than a transfer may.
    static let bandwidthLimitMin: UInt64 = 64 << 10
    /// Zero would read the claim back before a rival's request can arrive.
    static let claimSettles: ClosedRange<Duration> = .milliseconds(10)...(.seconds(600))

    init() {}

    init(from reader: SettingReader) throws(ConfigurationError) {
        immutable = try reader.value(.shipImmutable, default: immutable, SettingParsers.yesOrNo)
        if immutable { tailInterval = nil }
        tailInterval = try reader.value(
            .shipTailInterval, default: tailInterval, SettingParsers.orOff(SettingParsers.duration(Self.tailIntervals)))
        uploadsInFlight = try reader.value(
            .shipUploadsInFlight, default: uploadsInFlight, SettingParsers.integer(Self.uploadsInFlightRange))
        compressionLevel = try reader.value(
            .shipCompressionLevel, default: compressionLevel, SettingParsers.integer(Self.compressionLevels))
        memoryLimit = try reader.value(.shipMemoryLimit, default: memoryLimit, SettingParsers.bytes(atLeast: Self.memoryLimitMin))
        retain = try reader.value(.shipRetain, default: retain, SettingParsers.bytes())
        settle = try reader.value(.shipSettle, default: settle, SettingParsers.duration(Self.settles))
        archiveRetain = try reader.value(
            .shipArchiveRetain, default: archiveRetain, SettingParsers.orOff(SettingParsers.duration(Self.archiveRetains)))
        if immutable, archiveRetain != nil {
            throw try reader.error(.shipArchiveRetain, "nothing is deleted from an immutable archive: leave one of the two out")
        }
        maxLocalBytes = try reader.value(
            .shipMaxLocalBytes, default: maxLocalBytes, SettingParsers.orOff(SettingParsers.bytes(atLeast: Self.maxLocalBytesMin)))
        backlogPolicy = try reader.value(.shipBacklogPolicy, default: backlogPolicy, SettingParsers.word(BacklogPolicy.self))
        if backlogPolicy != .keep, maxLocalBytes == nil {
            throw try reader.error(.shipBacklogPolicy, "needs a limit from which on it applies: set ship.max-local-bytes")
        }
        claimSettle = try reader.value(.shipClaimSettle, default: claimSettle, SettingParsers.duration(Self.claimSettles))
        bandwidthLimit = try reader.value(
            .shipBandwidthLimit, default: bandwidthLimit, SettingParsers.orOff(SettingParsers.bytes(atLeast: Self.bandwidthLimitMin)))
        fencing = try reader.value(.shipFencing, default: fencing, SettingParsers.word(Fencing.self))
    }
}

/// How failed requests are repeated: section `retry`.
struct RetrySettings: Equatable, Sendable {
    /// The longest pause between two attempts; pauses grow up to it with jitter.
    var delayMax: Duration = .seconds(30)

    static let delayMaxRange: ClosedRange<Duration> = .milliseconds(100)...(.seconds(3_600))

    init() {}

    init(from reader: SettingReader) throws(ConfigurationError) {
        delayMax = try reader.value(.retryDelayMax, default: delayMax, SettingParsers.duration(Self.delayMaxRange))
    }
}
