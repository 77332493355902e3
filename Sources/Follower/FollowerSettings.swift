/// How a follower goes about it.
public struct FollowerSettings: Hashable, Sendable {
    /// Seconds between two looks for something new, `FollowerLimits.interval`.
    public var interval: Double = 1
    /// The longest wait between two attempts while storage cannot be reached, in seconds.
    public var retryDelayMax: Double = 30

    /// Bytes of log that a replica keeps behind its end; what lies below is truncated, by whole segments, unless a pin holds it. Nil: everything stays.
    public var retain: UInt64?

    public init() {}
}

/// What no setting changes, with units and reasons.
public enum FollowerLimits {
    /// Seconds between two looks: a look is a request.
    public static let interval: ClosedRange<Double> = 0.01...3600
    /// Seconds for which nothing is applied while an epoch is claimed and has not begun: a promotion reads the parent to its end meanwhile, and what
    /// comes after that is not part of the line. A promotion that has not come to its end by then is taken to be given up.
    public static let holdMax = 30.0
    /// Seconds for which an object that fails its checks is read again: on some stores an upload is seen before it is whole.
    public static let damagedMax = 60.0
    /// Seconds between two notes in the replica's directory: where nothing but positions changes, and where nothing changes, so that it shows that it runs.
    public static let noteInterval = (busy: 1.0, idle: 10.0)
}
