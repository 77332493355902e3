import Archive
import Synchronization

/// Waits no time at all, and gives up after so many errors.
struct SamplePatience: RetryWait {
    var attemptsLeft: Int

    mutating func wait(after error: ArchiveError) async throws(ArchiveError) {
        guard error.isRetryable, attemptsLeft > 0 else { throw error }
        attemptsLeft -= 1
        await Task.yield()
    }
}

/// Remembers what was slept, and does something meanwhile.
final class SampleSleep: Sendable {
    private let slept = Mutex<[Double]>([])
    private let meanwhile: @Sendable (Int) async -> Void

    /// `meanwhile` is told which sleep it is, from 1.
    init(meanwhile: @escaping @Sendable (Int) async -> Void = { _ in }) {
        self.meanwhile = meanwhile
    }

    var seconds: [Double] { slept.withLock { $0 } }

    func sleep(_ seconds: Double) async throws {
        try Task.checkCancellation()
        let count = slept.withLock { slept in
            slept.append(seconds)
            return slept.count
        }
        await meanwhile(count)
    }
}
