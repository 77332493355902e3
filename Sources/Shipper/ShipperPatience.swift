import Archive
import WAL

/// Waits between attempts for as long as anybody wants the log shipped: each wait is bounded and ends when the task is cancelled.
struct ShipperPatience: RetryWait {
    private var state: RetryState
    private let time: any TimeSource
    private let board: StatusBoard

    init(delayMax: Double, time: any TimeSource, board: StatusBoard) {
        let policy = RetryPolicy(
            attemptsMax: .max, delayFirst: min(ShipperLimits.retryDelayFirst, delayMax), delayMax: delayMax,
            retryAfterMax: ShipperLimits.retryAfterMax)
        state = RetryState(policy, start: Double(time.monotonic()) / 1e9)
        self.time = time
        self.board = board
    }

    mutating func wait(after error: ArchiveError) async throws(ArchiveError) {
        var generator = SystemRandomNumberGenerator()
        switch state.next(after: error, now: Double(time.monotonic()) / 1e9, random: &generator) {
        case .giveUp(let error): throw error
        case .wait(let seconds):
            board.retrying(after: error)
            do {
                try await Task.sleep(for: .seconds(seconds))
            } catch {
                throw ArchiveError(.cancelled, "cancelled while waiting to try again", outcome: .unknown)
            }
        }
    }
}
