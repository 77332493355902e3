/// The patience of one operation by the clock: a `RetryState` that sleeps.
public struct RetryTimer: RetryWait {
    private var state: RetryState
    private let start = ContinuousClock.now

    /// The deadline of `policy` counts from here.
    public init(_ policy: RetryPolicy) { state = RetryState(policy, start: 0) }

    public mutating func wait(after error: ArchiveError) async throws(ArchiveError) {
        var random = SystemRandomNumberGenerator()
        let now = (ContinuousClock.now - start) / .seconds(1)
        switch state.next(after: error, now: now, random: &random) {
        case .giveUp(let last): throw last
        case .wait(let seconds):
            let failed = error
            do {
                try await Task.sleep(for: .seconds(seconds))
            } catch {
                // What is known about the store is what the attempt before left.
                throw ArchiveError(
                    .cancelled, "cancelled while waiting to try again; before that: \(failed.message)", outcome: failed.outcome,
                    key: failed.key)
            }
        }
    }
}
