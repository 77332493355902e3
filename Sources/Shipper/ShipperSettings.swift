public import Archive

/// How one log is shipped to one destination.
public struct ShipperSettings: Hashable, Sendable {
    /// The open segment's new bytes are shipped at most this often, from 10 ms; nil: whole segments only, and the rest at the end.
    public var tailInterval: Duration? = .seconds(1)
    /// Closed segments that are prepared or uploaded at one time.
    public var uploadsInFlight = 2
    /// zstd's, 1 to 19.
    public var compressionLevel = 3
    /// Bytes that stay in the local log although they are archived.
    public var retain: UInt64 = 0
    /// How long the archive keeps what was durable then; nil: for ever. Not where `isImmutable`.
    public var archiveRetain: Duration?
    /// How long after its acknowledgement a segment is looked at once more and truncated.
    public var settle: Duration = .zero
    /// Bytes that may wait to be shipped (durable, and not below the checkpoint) before the policy applies: at least two segments. Nil: any number.
    public var maxLocalBytes: UInt64?
    public var backlogPolicy = BacklogPolicy.keep
    /// How long a claim rests before it is read back.
    public var claimSettle: Duration = .seconds(2)
    /// Whether stores are used that ignore conditions.
    public var fencing = Fencing.bestEffort
    /// The longest pause between two attempts of a request.
    public var retryDelayMax: Duration = .seconds(30)
    /// Nothing in the archive is ever replaced or deleted, not even by us: no head documents, tails stay, and something damaged under one of our names
    /// ends the shipping with `.unsupported`. Better without periodic tails then.
    public var isImmutable = false
    /// Whether the store is probed although the slot remembers what it can do.
    public var probesAgain = false
    /// With a current key new objects are encrypted with it; the others open what is there.
    public var keys = KeyRing.none

    public init() {}
}

extension Duration {
    /// Whole nanoseconds; what is negative is 0, what is longer than 292 years is that.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        guard seconds < 9_000_000_000 else { return UInt64(Int64.max) }
        return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds) / 1_000_000_000
    }

    var inSeconds: Double { Double(nanoseconds) / 1e9 }
}
