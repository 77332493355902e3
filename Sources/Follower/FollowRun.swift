import Archive

/// How the patience of one run stands: a value.
struct FollowRun {
    var plan: FollowPlan
    private var retry: RetryState
    private let policy: RetryPolicy
    /// Since when something fails its checks again and again, and when it did last.
    private var damaged: (since: Double, last: Double)?
    private let interval: Double
    private var held: (epoch: UInt64, since: Double)?
    private(set) var hasFailed = false
    /// Whom records were handed to before: it goes on where it is.
    var consumer: RecordSink?

    init(interval: Double, retryDelayMax: Double, start: Double) {
        plan = FollowPlan(interval: interval)
        self.interval = interval
        policy = RetryPolicy(attemptsMax: .max, delayFirst: min(0.2, retryDelayMax), delayMax: retryDelayMax)
        retry = RetryState(policy, start: start)
    }

    /// Seconds until the next attempt; nil: it does not pass by itself. `began`: when the one that failed began.
    mutating func wait(after error: ArchiveError, began: Double, now: Double) -> Double? {
        var error = error
        if error.code == .damaged || error.code == .invalid {
            // Some stores show an upload before it is whole.
            // What has been right for longer than it takes to be asked for again is another case. However long it takes to be read is not a time for which it was right.
            let isAgain = damaged.map { began - $0.last < FollowerLimits.damagedMax + 2 * interval + policy.delayMax } ?? false
            let since = isAgain ? damaged?.since ?? now : now
            damaged = (since, now)
            guard now - since < FollowerLimits.damagedMax else { return nil }
            error = ArchiveError(.busy(status: 0), error.message)
        }
        var random = SystemRandomNumberGenerator()
        guard case .wait(let seconds) = retry.next(after: error, now: now, random: &random) else { return nil }
        hasFailed = true
        return seconds
    }

    /// A request has succeeded.
    mutating func succeeded() {
        guard hasFailed else { return }
        hasFailed = false
        retry = RetryState(policy, start: 0)
    }

    /// Something was applied: what seemed damaged was not.
    mutating func applied() { damaged = nil }

    /// Whether nothing is applied because of an epoch that is claimed and has not begun.
    mutating func holds(epoch: UInt64, now: Double) -> Bool {
        if held?.epoch != epoch { held = (epoch, now) }
        return held.map { now - $0.since < FollowerLimits.holdMax } ?? false
    }
}
