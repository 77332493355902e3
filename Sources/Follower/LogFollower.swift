public import Archive
public import Logging
public import WAL
import Synchronization

/// Follows an archive: applies to a replica, or hands to a consumer, what is archived, as it comes.
///
/// Each object is fetched, then it is looked whether another epoch was claimed, and only then it is applied, so that what an old writer archives beside a
/// promotion is not taken for a part of the line. Outages of storage are waited for as long as it takes; a gap, other bytes than the replica's, an archive
/// that was pruned past it, end it with an error that says where. It never stays at one silently. Safe from any task; `run` once.
public final class LogFollower: Sendable {
    /// Where what is followed goes.
    public enum Target: Sendable {
        /// The replica in a directory; made of the archive, from a record at or after `from` on, where nothing is there. `rewinds`: a log that went on alone is cut to
        /// where it left the line, and what it had past that is kept in its directory.
        case replica(directory: String, from: LSN? = nil, rewinds: Bool = false)
        /// A consumer of the records from `from` on (nil: the first), in order, some at a time, of batches all at once. They are applied when it returns; what it
        /// throws ends `run`, and is thrown by it. A position of another history than the archive's line is refused.
        case consumer(from: LogPosition?, @Sendable ([FollowedRecord]) async throws -> Void)

        fileprivate var rewinds: Bool {
            if case .replica(_, _, let rewinds) = self { rewinds } else { false }
        }

        /// What to do where the archive no longer has what comes next.
        fileprivate var hintToBeginAnew: String {
            switch self {
            case .replica: "make a new replica in another directory"
            case .consumer: "begin anew with the archive's first record, or with what a log or another archive still has"
            }
        }

        /// What to do where it has more than the line has.
        fileprivate func hintToGoBack(_ fork: LSN) -> String {
            switch self {
            case .replica: "what lies past LSN \(fork) is not in the archive's line: `walshipd follow --rewind` cuts it off and keeps it aside"
            case .consumer: "what was made of the records past LSN \(fork) is of another history: set the consumer back to a position before it, or begin anew"
            }
        }
    }

    /// The replica has more than the line, and may be cut: it is opened again for that.
    private struct MustRewind: Error {}

    /// How patient a request is: not at all. The follower itself is, and shows it.
    private struct NoPatience: RetryWait {
        mutating func wait(after error: ArchiveError) async throws(ArchiveError) { throw error }
    }

    private let store: any ObjectStore
    private let log: LogName
    private let keys: KeyRing
    private let target: Target
    private let settings: FollowerSettings
    private let logger: Logger
    private let time: any TimeSource
    private let sleep: @Sendable (Double) async throws -> Void
    private let board: FollowBoard

    /// `url` is what the archive is called in messages, without credentials.
    public convenience init(
        store: any ObjectStore, log: LogName, keys: KeyRing = .none, url: String, to target: Target, settings: FollowerSettings = .init(), logger: Logger
    ) {
        self.init(
            store: store, log: log, keys: keys, url: url, to: target, settings: settings, logger: logger, time: LinuxTimeSource(),
            sleep: { try await Task.sleep(for: .seconds($0)) })
    }

    package init(
        store: any ObjectStore, log: LogName, keys: KeyRing = .none, url: String, to target: Target, settings: FollowerSettings, logger: Logger,
        time: any TimeSource, sleep: @escaping @Sendable (Double) async throws -> Void
    ) {
        precondition(FollowerLimits.interval.contains(settings.interval), "a follower's interval of \(settings.interval) s")
        precondition(settings.retryDelayMax > 0 && settings.retryDelayMax.isFinite, "a longest delay of \(settings.retryDelayMax) s")
        self.store = store
        self.log = log
        self.keys = keys
        self.target = target
        self.settings = settings
        self.logger = logger
        self.time = time
        self.sleep = sleep
        var directory: String?
        if case .replica(let place, _, _) = target { directory = place }
        board = FollowBoard(FollowerStatus(url: url), directory: directory, logger: logger, time: time)
    }

    /// How it stands now.
    public var status: FollowerStatus { board.current }

    private var now: Double { Double(time.monotonic()) / 1e9 }

    /// Follows until its task is cancelled: then it returns, and everything that was applied is safe.
    ///
    /// Throws `ArchiveError`: `.gap`, `.damaged` (both with LSN), `.diverged` with the fork, `.notFound` where there is no archive or it was pruned past the position,
    /// `.keyMissing`, and what a store refuses for good; `WALError`; what the consumer throws.
    public func run() async throws {
        do {
            try await follow()
        } catch {
            if Task.isCancelled { return board.end() }
            let error = (error as? ConsumerFailure)?.cause ?? error
            board.stop(error)
            throw error
        }
    }

    private func follow() async throws {
        var run = FollowRun(interval: settings.interval, retryDelayMax: settings.retryDelayMax, start: now)
        await standWhereItStood()
        while !Task.isCancelled {
            let began = now
            do {
                try await session(&run)
            } catch let error as ArchiveError where !Task.isCancelled {
                guard let seconds = run.wait(after: error, began: began, now: now) else { throw error }
                board.enter(error.isRetryable ? .unreachable : .following, error: "\(error)")
                try await sleep(seconds)
            } catch is MustRewind {
                continue
            } catch let error as WALError where !Task.isCancelled {
                guard case .noSpace = error else { throw error }
                // What was applied is there; it is opened again when there may be space.
                board.enter(.full, error: "\(error)")
                try await sleep(settings.retryDelayMax)
            }
        }
        board.end()
    }

    /// Before storage has answered, what the replica has and its follower last said is what is known.
    private func standWhereItStood() async {
        guard case .replica(let directory, _, _) = target else { return }
        do throws(WALError) {
            let found = try await OffPool.run { () throws(WALError) -> (applied: LSN, note: FollowerDocument?)? in
                let log = try LogReader.open(directory: directory)
                defer { log.close() }
                guard try log.isReplica else { return nil }
                return (try log.durableLSN, try FollowerDocument.read(directory: directory))
            }
            if let found { board.goesOn(from: found.applied, found.note) }
        } catch {
            // Nothing is there yet; or what is wrong is said when it is opened.
            logger.debug("how the replica stood is not known: \(error)")
        }
    }

    // MARK: One opening of the replica

    /// Until something goes wrong, or the task is cancelled. What is open is closed on the way out.
    private func session(_ run: inout FollowRun) async throws {
        board.enter(run.hasFailed ? nil : .opening)
        var opened = try await open(&run)
        board.holds(true)
        do {
            try await steps(&run, &opened)
            board.holds(false)
            try await opened.sink.close()
        } catch {
            board.holds(false)
            let first = error
            // What went wrong first counts, also where closing fails in its turn.
            do { try await opened.sink.close() } catch { logger.warning("the replica was not closed cleanly: \(error)") }
            throw first
        }
    }

    private struct Opened {
        var sink: any FollowSink
        var reader: ArchiveReader
        var line: EpochLine
        var walk: ArchiveWalk
    }

    private func openReader(patiently: Bool = false) async throws(ArchiveError) -> ArchiveReader {
        patiently
            ? try await ArchiveReader.open(store: store, log: log, keys: keys)
            : try await ArchiveReader.open(store: store, log: log, keys: keys, patience: { NoPatience() })
    }

    private func open(_ run: inout FollowRun) async throws -> Opened {
        switch target {
        case .replica(let directory, let from, let rewinds):
            try await makeReplica(directory, from: from)
            let reader = try await openReader()
            let sink = try await openReplica(directory, reader, rewinds: rewinds)
            do {
                let opened = try opened(sink, reader)
                try await sink.settle()
                return opened
            } catch {
                try await sink.close()
                throw error
            }
        case .consumer(let from, let consume):
            let reader = try await openReader()
            if let sink = run.consumer {
                // It goes on where it was.
                try await sink.dropUnfinished()
                return try opened(sink, reader)
            }
            let line = try reader.requireLine()
            if let from { try line.epochs.require(from, in: "the archive's line") }
            let first = try reader.firstRecord
            let start = from?.lsn ?? first
            let sink = RecordSink(logID: reader.log.logID, start: start, isFirst: start == first, line: line.epochs, consume: consume)
            let opened = try opened(sink, reader)
            run.consumer = sink
            return opened
        }
    }

    /// The archive is read from where the sink is. Throws where they are not of one line.
    private func opened(_ sink: any FollowSink, _ reader: ArchiveReader) throws(ArchiveError) -> Opened {
        let line = try reader.requireLine()
        if let problem = LineComparison.problem(log: sink.epochs, end: sink.applied, line: line.epochs) {
            throw ArchiveError(
                .diverged, problem.reason, key: reader.layout.start(line.document.epoch.epoch.number), lsn: problem.lsn,
                hint: target.hintToGoBack(problem.lsn))
        }
        let first = try reader.firstObject
        guard sink.applied >= first, line.source(at: sink.applied) != nil else {
            throw ArchiveError(
                .notFound, "the archive begins at LSN \(first): what comes next here was pruned, or never archived", key: reader.layout.floor, lsn: sink.applied,
                hint: target.hintToBeginAnew)
        }
        let walk = try reader.walk(from: max(sink.applied, try reader.firstRecord))
        board.opened(sink.applied, epoch: line.document.epoch.epoch.number)
        return Opened(sink: sink, reader: reader, line: line, walk: walk)
    }

    private func makeReplica(_ directory: String, from: LSN?) async throws {
        let isThere = try await OffPool.run { () throws(WALError) in
            do throws(WALError) {
                return try LogReader.exists(directory: directory)
            } catch .notALog {
                // What a restore left, perhaps: it knows, and refuses everything else.
                return false
            }
        }
        if isThere { return }
        board.enter(.restoring)
        let reader = try await openReader(patiently: true)
        let summary: Restore.Summary
        do {
            summary = try await Restore(reader, from: from).run(into: directory)
        } catch let error as RestoreError {
            // What was restored is kept: the next attempt goes on there.
            guard case .kept = error.remains else { throw error }
            throw error.cause
        }
        logger.info("the replica was made", metadata: ["records": "\(summary.records)", "end": "\(summary.end)"])
        board.enter(.opening)
    }

    private func openReplica(_ directory: String, _ reader: ArchiveReader, rewinds: Bool) async throws -> ReplicaSink {
        let line = try reader.requireLine()
        let found = try await OffPool.run { () throws(WALError) in
            let log = try LogReader.open(directory: directory)
            defer { log.close() }
            return (isReplica: try log.isReplica, epochs: try log.epochs, end: try log.durableLSN, logID: log.logID, segmentSize: log.segmentSize)
        }
        guard found.logID == reader.log.logID, UInt64(found.segmentSize) == reader.log.segmentSize else {
            throw ArchiveError(
                .diverged, "the archive is of log \(reader.log.logID) with segments of \(reader.log.segmentSize) bytes, the directory of \(found.logID)",
                key: reader.layout.logDocument, hint: "check the URL and the directory")
        }
        let key = reader.layout.start(line.document.epoch.epoch.number)
        let problem = LineComparison.problem(log: found.epochs, end: found.end, line: line.epochs)
        if !found.isReplica {
            guard line.epochs.current.number > found.epochs.current.number || problem != nil else {
                throw ArchiveError(
                    .diverged, "the log is no replica, and nobody has taken over: it is the writer of the archive's newest epoch, \(found.epochs.current.number)",
                    key: key, lsn: found.end, hint: "another directory is needed to follow into")
            }
            guard rewinds else {
                throw ArchiveError(
                    .diverged, "the log is no replica, and epoch \(line.epochs.current.number) has taken over", key: key,
                    lsn: problem?.lsn ?? found.end,
                    hint: "to make it follow, `walshipd follow --rewind`: what it wrote past the fork is cut off and kept aside")
            }
        }
        if rewinds, !found.isReplica || problem != nil {
            // A copied directory becomes a replica first.
            if found.isReplica { try await ReplicaSink(directory: directory).close() }
            try await rewind(directory, found.epochs, found.end, line.epochs, key)
        }
        return try await ReplicaSink(directory: directory, retain: settings.retain)
    }

    private func rewind(_ directory: String, _ epochs: EpochTable, _ end: LSN, _ line: EpochTable, _ key: ObjectKey) async throws {
        guard let fork = LineComparison.fork(log: epochs, line: line) else {
            throw ArchiveError(.diverged, "the log and the archive have no epoch in common", key: key, lsn: end, hint: "check the URL and the directory")
        }
        let outcome: ReplicaRewind
        do throws(WALError) {
            outcome = try await OffPool.run { () throws(WALError) in try ReplicaRewind.run(directory: directory, fork: fork, line: line) }
        } catch .locked(let holder) {
            throw ArchiveError(
                .diverged, "what the log has past the fork cannot be cut off beside \(holder)", key: key, lsn: fork,
                hint: "end what writes or reads the log, and try again")
        } catch .positionLost(let head) {
            throw ArchiveError(
                .notFound, "the log begins at LSN \(head), past the fork: it cannot be cut there", key: key, lsn: fork,
                hint: "make a new replica in another directory, and keep this log: what it has past the fork may be nowhere else")
        }
        guard let kept = outcome.keptIn else { return }
        logger.notice(
            "rewound: LSN \(outcome.cut.lowerBound) to \(outcome.cut.upperBound) was cut off, and is kept in \(kept)", metadata: ["fork": "\(fork)"])
        board.rewound(outcome.cut)
    }

    // MARK: Steps

    private func steps(_ run: inout FollowRun, _ opened: inout Opened) async throws {
        run.plan.opened(isBehind: opened.walk.position < opened.sink.position, now: now)
        board.enter(run.hasFailed ? nil : .following)
        while !Task.isCancelled {
            // Of a step that fails nothing is left: the next attempt begins where it did.
            let walk = opened.walk
            let began = now
            do {
                try await step(&run, &opened)
            } catch let error as ArchiveError where !Task.isCancelled {
                opened.walk = walk
                guard let seconds = run.wait(after: error, began: began, now: now) else { throw error }
                board.enter(error.isRetryable ? .unreachable : .following, error: "\(error)")
                try await sleep(seconds)
            }
        }
    }

    private func step(_ run: inout FollowRun, _ opened: inout Opened) async throws {
        switch run.plan.next(now: now) {
        case .open: try await reopen(&run, &opened)
        case .look(let kind):
            board.update { $0.looks += 1 }
            let walk = opened.walk
            if let piece = try await opened.walk.peek(kind) { return try await take(piece, from: walk, &run, &opened) }
            succeed(&run)
            run.plan.missed(now: now)
        case .readOn:
            let walk = opened.walk
            if let piece = try await readOn(&opened.walk) { return try await take(piece, from: walk, &run, &opened) }
            succeed(&run)
            run.plan.ended(now: now)
        case .survey: try await survey(&run, opened)
        case .wait(let seconds):
            board.note()
            try await sleep(seconds)
        }
    }

    private func succeed(_ run: inout FollowRun) {
        run.succeeded()
        board.see()
        board.enter(.following)
    }

    /// Nil at the end, also where it cannot be proven: what follows it is looked for anyway.
    private func readOn(_ walk: inout ArchiveWalk) async throws(ArchiveError) -> ArchivePiece? {
        do throws(ArchiveError) {
            return try await walk.next()
        } catch where error.code == .endUnproven {
            return nil
        } catch where error.code == .gap {
            var error = error
            error.hint = "the follower ends here; make a new replica of what follows, in another directory: `walshipd follow --from` with the end of the gap"
                + (error.hint.map { " (of a restore: \($0))" } ?? "")
            throw error
        } catch where error.code == .notFound {
            var error = error
            error.hint = target.hintToBeginAnew
            throw error
        }
    }

    /// Whether the piece belongs to the line, then applies it. `walk` is as it was before the piece.
    private func take(_ piece: ArchivePiece, from walk: ArchiveWalk, _ run: inout FollowRun, _ opened: inout Opened) async throws {
        let before = opened.sink.position
        if piece.range.upperBound > before {
            switch try await opened.reader.successor() {
            case .none: break
            case .claimed(let number):
                if run.holds(epoch: number, now: now) {
                    board.enter(.holding, error: "epoch \(number) is claimed and has not begun: nothing is applied until it has, or \(Int(FollowerLimits.holdMax)) s have passed")
                    opened.walk = walk
                    return run.plan.postpone(max(settings.interval, 0.2))
                }
            case .begun: return try await reopen(&run, &opened)
            }
        }
        try await opened.sink.take(piece, line: opened.line.epochs)
        run.applied()
        succeed(&run)
        let sink = opened.sink
        run.plan.found(piece.metadata.kind, isBehind: opened.walk.position < sink.position, now: now)
        guard sink.position > before else { return }
        board.applied(piece, upTo: sink.applied, bytes: sink.position.distance(from: before))
    }

    /// The archive's line may be another now: it is read on from what is applied.
    private func reopen(_ run: inout FollowRun, _ opened: inout Opened) async throws {
        let reader = try await openReader()
        let before = opened.line.document.epoch.epoch
        try await opened.sink.dropUnfinished()
        let sink = opened.sink
        switch Result(catching: { () throws(ArchiveError) in try self.opened(sink, reader) }) {
        case .success(let new): opened = new
        case .failure(let error):
            guard error.code == .diverged, target.rewinds else { throw error }
            logger.notice("the line goes on otherwise than the replica: \(error)")
            throw MustRewind()
        }
        let after = opened.line.document.epoch.epoch
        if after != before { logger.notice("the line goes on in epoch \(after)", metadata: ["from": "\(opened.line.document.epoch.fork)"]) }
        run.plan.opened(isBehind: opened.walk.position < opened.sink.position, now: now)
    }

    private func survey(_ run: inout FollowRun, _ opened: Opened) async throws(ArchiveError) {
        let epoch = opened.line.document.epoch.epoch
        try await requireStillThere(opened)
        if case .begun = try await opened.reader.successor() { run.plan.reopen() }
        let head = try await opened.reader.access.head(epoch)
        run.plan.surveyed(goesOn: head.map { $0.archived > opened.walk.position } ?? false)
        guard let head, head.epoch == epoch else { return }
        board.update { status in
            status.known = max(status.known, head.durable)
            if head.archived <= status.applied { status.asOf = max(status.asOf ?? 0, head.time) }
        }
    }

    /// An archive that is not there (another directory in its place, a bucket that was emptied) must not look like one in which nothing comes.
    private func requireStillThere(_ opened: Opened) async throws(ArchiveError) {
        let (epoch, layout) = (opened.line.document.epoch.epoch, opened.reader.layout)
        let claims = Claims(store: store, layout: layout, patience: { NoPatience() })
        guard try await claims.readable(epoch.number)?.epoch != epoch else { return }
        throw ArchiveError(
            .damaged, "the claim of epoch \(epoch), which is followed, is not here any more", key: layout.claim(epoch.number), lsn: opened.sink.applied,
            hint: "look whether the archive is still at this URL, and bring its documents back")
    }
}
