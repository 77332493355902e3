public import Archive

/// Waits between attempts as a retry policy says, on the machine's own clock.
public struct ReaderPatience: RetryWait {
    /// What a command does that somebody waits for: it tries for a minute, then says what is wrong.
    public static let policyDefault = RetryPolicy(deadline: 60, delayMax: 10)

    private static let clock = ContinuousClock()
    private let began: ContinuousClock.Instant
    private var state: RetryState

    public init(_ policy: RetryPolicy = ReaderPatience.policyDefault) {
        began = ReaderPatience.clock.now
        state = RetryState(policy, start: 0)
    }

    public mutating func wait(after error: ArchiveError) async throws(ArchiveError) {
        let elapsed = began.duration(to: ReaderPatience.clock.now).components
        let now = Double(elapsed.seconds) + Double(elapsed.attoseconds) / 1e18
        var random = SystemRandomNumberGenerator()
        switch state.next(after: error, now: now, random: &random) {
        case .giveUp(let error): throw error
        case .wait(let seconds):
            do {
                try await Task.sleep(for: .seconds(seconds))
            } catch {
                throw ArchiveError(.cancelled, "cancelled while waiting to try again")
            }
        }
    }
}
