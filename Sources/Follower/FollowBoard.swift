import Archive
import Logging
import Synchronization
import WAL

/// The status of one follower, written by what it does and read by whoever asks. Logs each change of state once, and leaves a note of it in the replica's
/// directory. Any thread.
final class FollowBoard: Sendable {
    private struct State {
        var status: FollowerStatus
        /// The note that was left last, and when.
        var noted: FollowerStatus?
        var notedAt: UInt64 = 0
        /// Notes of times past what is applied, ascending by LSN.
        var ahead: [ObjectMetadata.CommitTime] = []
        /// The replica is open in this follower's hand.
        var isHeld = false

        func isNoteDue(_ seconds: Double) -> Bool {
            let isSame = noted.map { ($0.applied, $0.known, $0.asOf) == (status.applied, status.known, status.asOf) } ?? false
            return seconds >= (isSame ? FollowerLimits.noteInterval.idle : FollowerLimits.noteInterval.busy)
        }
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

    func holds(_ isHeld: Bool) { state.withLock { $0.isHeld = isHeld } }

    /// The replica ends at `applied`, and `note` is what its follower last said; of another archive it does not count.
    func goesOn(from applied: LSN, _ note: FollowerDocument?) {
        state.withLock { state in
            state.status.applied = applied
            state.status.known = applied
            guard let note, note.archive == state.status.url else { return }
            state.status.epoch = note.epoch
            if let known = UInt64(note.knownLSN) { state.status.known = max(applied, LSN(known)) }
            guard let lag = note.lagSeconds, let time = UInt64(note.time) else { return }
            let nanoseconds = UInt64(min(max(lag, 0), 1e9) * 1e9)
            state.status.seen = time - min(time, nanoseconds)
            if note.lagBytes > 0 { state.status.asOf = state.status.seen }
        }
    }

    /// The archive's line is read from `applied` on. What another epoch than the one before had, and when, is nothing to lag behind any more.
    func opened(_ applied: LSN, epoch: UInt64) {
        state.withLock { state in
            if let before = state.status.epoch, before != epoch {
                state.status.known = applied
                state.ahead = []
            }
            state.status.applied = applied
            state.status.known = max(state.status.known, applied)
            state.status.epoch = epoch
        }
    }

    /// An answer of the storage has come.
    func see() {
        let now = time.now()
        update { $0.seen = now }
    }

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

    /// Says how it stands in the replica's directory: at once where the state has changed, else every now and then. Only the one who holds the replica does, or,
    /// where nobody holds it, who tries to: what another follower says there is its own.
    func note(isUrgent: Bool = false) {
        guard let directory else { return }
        let now = time.now()
        let due = state.withLock { state -> (status: FollowerStatus, isHeld: Bool)? in
            guard isUrgent || state.isNoteDue(Double(time.monotonic() &- state.notedAt) / 1e9) else { return nil }
            state.notedAt = time.monotonic()
            state.noted = state.status
            return (state.status, state.isHeld)
        }
        guard let due else { return }
        do throws(WALError) {
            guard due.isHeld ? true : try FollowerNote.isOurs(directory: directory) else { return }
            try FollowerDocument(due.status, now: now).write(directory: directory)
        } catch {
            // Advisory, and perhaps the disk is full, or no replica is there yet: what matters is said elsewhere, too.
            logger.debug("the follower's note was not written: \(error)")
        }
    }
}
