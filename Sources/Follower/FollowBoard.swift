import Archive
import Logging
import Synchronization
import WAL

/// The status of one follower, written by what it does and read by whoever asks. Logs each change of state once, and leaves a note of it in the replica's
/// directory. Any thread.
final class FollowBoard: Sendable {
    private struct State {
        var status: FollowerStatus
        /// Times that the primary noted past what is applied.
        var noted: FollowerStatus?
        var notedAt: UInt64 = 0
        /// Notes of times past what is applied, ascending by LSN.
        var ahead: [ObjectMetadata.CommitTime] = []
    }

    private let state: Mutex<State>
    private let directory: String?
    private let logger: Logger
    private let time: any TimeSource

    init(_ status: FollowerStatus, directory: String?, logger: Logger, time: any TimeSource) {
        state = Mutex(State(status: status))
        self.directory = directory
        self.logger = logger
        self.time = time
    }

    var current: FollowerStatus { state.withLock { $0.status } }

    func update(_ change: (inout FollowerStatus) -> Void) { state.withLock { change(&$0.status) } }

    func applied(_ piece: ArchivePiece, upTo applied: LSN, bytes: UInt64) {
        state.withLock { state in
            state.status.applied = applied
            state.status.known = max(state.status.known, piece.range.upperBound)
            state.status.objects += 1
            state.status.bytes += bytes
            state.ahead += piece.metadata.timeIndex.filter { $0.lsn > state.ahead.last?.lsn ?? .zero }
            if let last = state.ahead.last(where: { $0.lsn <= applied }) { state.status.asOf = last.time }
            state.ahead.removeAll { $0.lsn <= applied }
        }
        note()
    }

    /// What was cut off is no longer applied, nor known to be anywhere.
    func rewound(_ cut: Range<LSN>) {
        update { status in
            status.applied = cut.lowerBound
            status.known = cut.lowerBound
        }
    }

    /// Nil: as it was.
    func enter(_ new: FollowerStatus.State?, error: String? = nil) {
        guard let new else { return }
        let isChanged = state.withLock { state in
            let isChanged = state.status.state != new || state.status.lastError != error
            state.status.state = new
            state.status.lastError = error
            return isChanged
        }
        guard isChanged else { return }
        let reason: Logger.Metadata = error.map { ["reason": "\($0)"] } ?? [:]
        switch new {
        case .opening, .restoring, .following, .ended: logger.info("\(new.rawValue)", metadata: reason)
        case .holding, .unreachable, .full: logger.warning("\(new.rawValue); trying again", metadata: reason)
        case .stopped: logger.error("stopped", metadata: reason)
        }
        note(isUrgent: true)
    }

    func end() { enter(.ended) }

    func stop(_ error: any Error) { enter(.stopped, error: "\(error)") }

    /// Says how it stands in the replica's directory: at once where the state has changed, else at most once in a while.
    func note(isUrgent: Bool = false) {
        guard let directory else { return }
        let now = time.now()
        let due = state.withLock { state -> FollowerStatus? in
            let isDue = isUrgent || Double(time.monotonic() &- state.notedAt) / 1e9 >= FollowerLimits.noteInterval && state.noted?.applied != state.status.applied
            guard isDue else { return nil }
            state.notedAt = time.monotonic()
            state.noted = state.status
            return state.status
        }
        guard let due else { return }
        do throws(WALError) {
            // No replica is there before it is made.
            guard try !LogReader.isVacant(directory: directory) else { return }
            try FollowerDocument(due, now: now).write(directory: directory)
        } catch {
            // Advisory, and perhaps the disk is full: what matters is said elsewhere, too.
            logger.debug("the follower's note was not written: \(error)")
        }
    }
}
