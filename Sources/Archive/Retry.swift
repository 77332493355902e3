/// How often and how patiently to try again. Times in seconds.
public struct RetryPolicy: Hashable, Sendable {
    /// Attempts altogether, the first one included; nil: as many as the deadline allows.
    public var attemptsMax: Int?
    /// From the first attempt to the beginning of the last one; nil: as long as `attemptsMax` allows.
    public var deadline: Double?
    /// The longest first delay; each further one may be twice as long.
    public var delayFirst: Double
    /// The longest delay that backoff makes.
    public var delayMax: Double
    /// The longest wait that a store may ask for by Retry-After; more is taken as this.
    public var retryAfterMax: Double

    /// Traps on a policy without an end and on times that are negative or no numbers.
    public init(
        attemptsMax: Int? = nil, deadline: Double? = nil, delayFirst: Double = 0.2, delayMax: Double = 30,
        retryAfterMax: Double = 300
    ) {
        precondition(attemptsMax != nil || deadline != nil, "a retry policy that never gives up")
        precondition(attemptsMax.map { $0 >= 1 } ?? true, "a retry policy without a first attempt")
        precondition(deadline.map { $0 >= 0 && $0.isFinite } ?? true, "a retry deadline of \(deadline ?? 0)")
        precondition(delayFirst > 0 && delayFirst <= delayMax, "a first retry delay of \(delayFirst)")
        precondition(delayMax.isFinite, "a longest retry delay of \(delayMax)")
        precondition(retryAfterMax >= 0 && retryAfterMax.isFinite, "a longest Retry-After of \(retryAfterMax)")
        self.attemptsMax = attemptsMax
        self.deadline = deadline
        self.delayFirst = delayFirst
        self.delayMax = delayMax
        self.retryAfterMax = retryAfterMax
    }
}

/// What to do after an attempt failed: exponential backoff with jitter, bounded, as a value without clock or sleep.
///
/// It decides about time only. After an error whose outcome is `.unknown` the caller looks at what is there before it tries again.
public struct RetryState: Sendable {
    public enum Decision: Hashable, Sendable {
        /// Try again after so many seconds.
        case wait(Double)
        /// Stop; the error says how often it was tried.
        case giveUp(ArchiveError)
    }

    public let policy: RetryPolicy
    /// When the first attempt began, in seconds on the caller's monotonic clock.
    public let start: Double
    public private(set) var failures = 0

    public init(_ policy: RetryPolicy, start: Double) {
        self.policy = policy
        self.start = start
    }

    /// `now` is on the clock of `start`. A delay lies between half and all of min(delayFirst · 2ⁿ, delayMax), so that clients which
    /// failed together do not come back together; a Retry-After is a lower bound to which the same jitter is added.
    public mutating func next(
        after error: ArchiveError, now: Double, random: inout some RandomNumberGenerator
    ) -> Decision {
        failures += 1
        guard error.isRetryable else { return .giveUp(error) }
        if let attemptsMax = policy.attemptsMax, failures >= attemptsMax { return .giveUp(exhausted(error)) }
        // Past 2⁶⁰ the product is beyond any delayMax that makes sense; the exponent must not run to infinity.
        let ceiling = min(policy.delayFirst * Double(UInt64(1) << UInt64(min(failures - 1, 60))), policy.delayMax)
        // 53 random bits from 0.5 to below 1. Not `Double.random`, which draws again and again from a generator that repeats itself.
        let jitter = 0.5 + Double(random.next() >> 11) * 0x1p-54
        let asked = error.retryAfter.map { min(Double(max(0, $0)), policy.retryAfterMax) } ?? 0
        let delay = asked > 0 ? asked + min(policy.delayFirst, ceiling) * jitter : ceiling * jitter
        if let deadline = policy.deadline, now + delay > start + deadline { return .giveUp(exhausted(error)) }
        return .wait(delay)
    }

    private func exhausted(_ error: ArchiveError) -> ArchiveError {
        var error = error
        if failures > 1 { error.message = "gave up after \(failures) attempts: \(error.message)" }
        return error
    }
}
