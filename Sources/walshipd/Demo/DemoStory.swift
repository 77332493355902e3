import Synchronization

/// How far the story has come, and what was learned on the way. Shared by the roles, each of which waits for its moment. Any task.
final class DemoStory: Sendable {
    enum Stage: Int, Comparable, Sendable {
        case writing, written, shipped, restored
        static func < (lhs: Stage, rhs: Stage) -> Bool { lhs.rawValue < rhs.rawValue }
    }

    private struct State {
        var stage = Stage.writing
        var share = 0.0
        var acknowledged: [UInt64] = []
        var server: String?
        var lagBytes: UInt64 = 0
        var lagSeconds = 0.0
    }

    private let state = Mutex(State())

    var stage: Stage { state.withLock { $0.stage } }
    func reach(_ stage: Stage) { state.withLock { $0.stage = max($0.stage, stage) } }

    /// Share of the text that the writer was given.
    var share: Double { state.withLock { $0.share } }
    func note(share: Double) { state.withLock { $0.share = share } }

    /// LSNs of the lines that the writer was told are durable, in the order of the lines.
    var acknowledged: [UInt64] { state.withLock { $0.acknowledged } }
    var acknowledgedCount: Int { state.withLock { $0.acknowledged.count } }
    func note(acknowledged lsn: UInt64) { state.withLock { $0.acknowledged.append(lsn) } }

    /// Where the archive server listens.
    var server: String? { state.withLock { $0.server } }
    func note(server: String) { state.withLock { $0.server = server } }

    var largestLag: (bytes: UInt64, seconds: Double) { state.withLock { ($0.lagBytes, $0.lagSeconds) } }
    func note(lagBytes: UInt64, seconds: Double) {
        state.withLock { state in
            state.lagBytes = max(state.lagBytes, lagBytes)
            state.lagSeconds = max(state.lagSeconds, seconds)
        }
    }

    /// Waits, looking every few milliseconds; ends when the task is cancelled.
    func wait(until isReached: @Sendable (DemoStory) -> Bool) async throws {
        while !isReached(self) { try await Task.sleep(for: .milliseconds(20)) }
    }
}
