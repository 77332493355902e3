public import Archive
public import Logging
package import WAL

/// Ships one log to one destination: tails what is durable, archives it, moves the slot when storage has confirmed it, and truncates.
///
/// Runs beside the log's writer, in any process. Owns the destination's slot while it runs; a second shipper of the same destination gets
/// `.locked`. Safe from any task.
public final class LogShipper: Sendable {
    public let directory: String
    private let slotName: String
    private let layout: Layout
    private let store: any ObjectStore
    private let settings: ShipperSettings
    private let memory: UploadMemory?
    private let time: any TimeSource
    /// Waits between two looks at the log; ends with its task.
    private let pause: @Sendable (Duration) async throws -> Void
    private let attach: @Sendable () throws(WALError) -> LogSidecar
    private let board: StatusBoard
    private let end = EndRequest()
    private let logger: Logger

    /// `name` is the log's name in the archive, `slot` the name of its slot, `url` what the archive is called in messages (without credentials). `memory` is
    /// what objects on their way may take, and shared with the shippers of other logs to the same destination; nil: as much as `uploadsInFlight` comes to.
    public convenience init(
        directory: String, name: LogName, slot: String, url: String, store: any ObjectStore, settings: ShipperSettings, memory: UploadMemory? = nil,
        logger: Logger
    ) {
        self.init(
            directory: directory, name: name, slot: slot, url: url, store: store, settings: settings, memory: memory, logger: logger,
            time: LinuxTimeSource(), attach: { () throws(WALError) in try LogSidecar.attach(directory: directory) })
    }

    package init(
        directory: String, name: LogName, slot: String, url: String, store: any ObjectStore, settings: ShipperSettings, memory: UploadMemory? = nil,
        logger: Logger, time: any TimeSource, pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) },
        attach: @escaping @Sendable () throws(WALError) -> LogSidecar
    ) {
        precondition(ShipperLimits.uploadsInFlight.contains(settings.uploadsInFlight), "\(settings.uploadsInFlight) uploads in flight")
        self.directory = directory
        self.slotName = slot
        layout = Layout(log: name)
        self.store = settings.isImmutable ? ImmutableStore(store) : store
        self.settings = settings
        self.memory = memory
        self.time = time
        self.pause = pause
        self.attach = attach
        self.logger = logger
        board = StatusBoard(ShipperStatus(url: url, slot: slot, encryption: settings.keys.current?.id), logger: logger)
    }

    /// How it stands now.
    public var status: ShipperStatus { board.current }

    /// Asks `run` to archive what is durable now, tail included, and to return. The caller bounds the time by cancelling.
    public func finish() { end.ask(target: nil, truncates: false) }

    /// Ships until `finish` is called and done. Failures that can pass are tried again for as long as it takes; others are thrown, and so is
    /// `.archive(.cancelled)` when the task is cancelled: the slot is then as after a crash, and the next run goes on from it.
    public func run() async throws(ShipperError) {
        if let key = settings.keys.current {
            logger.info("objects are encrypted", metadata: ["key": "\(key.id)"])
        } else {
            logger.notice("objects are not encrypted")
        }
        do throws(ShipperError) {
            try await ship()
            board.enter(.ended)
        } catch {
            if case .archive(let cause) = error, cause.code == .cancelled {
                board.enter(.ended, error: board.current.lastError)
            } else {
                board.enter(.stopped, error: error.description)
            }
            throw error
        }
    }

    /// `run --once`: ships up to the durable LSN as it is at the start, the open segment's tail included, writes the head document, truncates what
    /// is settled without waiting, and returns. `.timedOut` after `timeout`.
    public func runOnce(timeout: Duration) async throws(ShipperError) {
        end.ask(target: nil, truncates: true)
        let result = await withTaskGroup(of: Result<Void, ShipperError>?.self) { group in
            group.addTask {
                do throws(ShipperError) {
                    try await self.run()
                    return .success(())
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                do {
                    try await Task.sleep(for: timeout)
                } catch {
                    // It was done in time, or everything is being cancelled: the other task says which.
                }
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            let second = await group.next() ?? nil
            if let first { return first }
            // The time is over. What was done all the same at that moment is done.
            if case .success? = second { return .success(()) }
            if case .failure(let error)? = second, !error.isCancelled { return .failure(error) }
            let status = self.status
            return .failure(.timedOut(archived: status.archived, target: status.durable, last: status.lastError))
        }
        try result.get()
    }

    // MARK: Sessions

    private func ship() async throws(ShipperError) {
        board.enter(.starting)
        let worker = LogWorker()
        let attach = attach
        let sidecar = try await worker.run(.light) { () throws(WALError) in try attach() }
        defer { sidecar.detach() }
        let reader = sidecar.reader
        // A copy is refused before it gets a slot.
        _ = try await worker.perform(.light) { () throws(ShipperError) in try LogFacts(reader) }
        let slotName = slotName
        let slot = try await worker.run(.light) { () throws(WALError) in
            try sidecar.takeSlot(slotName) { () throws(WALError) in try SlotReservation.initial(reader) }
        }
        defer { slot.close() }
        let watch = BacklogWatch(
            sidecar: sidecar, slot: slot, plan: try backlogPlan(UInt64(reader.segmentSize)), worker: worker, board: board, time: time,
            logger: logger)
        let result = await withTaskGroup(of: Result<Void, ShipperError>?.self) { group in
            group.addTask {
                await watch.run()
                return nil
            }
            group.addTask {
                do throws(ShipperError) {
                    return .success(try await self.sessions(sidecar, slot, worker))
                } catch {
                    await self.holdToLimit(after: error)
                    return .failure(error)
                }
            }
            while let ended = await group.next() {
                // The watch ends only when it is cancelled.
                guard let ended else { continue }
                group.cancelAll()
                return ended
            }
            preconditionFailure("the sessions end with a result")
        }
        try result.get()
    }

    private func sessions(_ sidecar: LogSidecar, _ slot: DestinationSlot, _ worker: LogWorker) async throws(ShipperError) {
        var probesAgain = settings.probesAgain
        while true {
            let ending = try await session(sidecar, slot, worker, probesAgain: probesAgain)
            probesAgain = false
            guard case .finished = ending else { continue }
            if end.take(durable: .zero)?.truncates ?? false {
                // What was released before, and another slot held then: nobody comes by later.
                let released = slot.state.hold
                _ = try await worker.run(.light) { () throws(WALError) in try sidecar.truncateBefore(released) }
            }
            return
        }
    }

    /// A destination that cannot go on still fills the disk: where there is a limit it is held to until somebody wants this to end.
    private func holdToLimit(after error: ShipperError) async {
        guard settings.maxLocalBytes != nil, !error.isCancelled else { return }
        board.enter(.stopped, error: error.description)
        while !end.isAsked, !Task.isCancelled {
            // Cancelled: the loop ends.
            try? await Task.sleep(for: .nanoseconds(ShipperLimits.pollInterval))
        }
    }

    private func backlogPlan(_ segmentSize: UInt64) throws(ShipperError) -> BacklogPlan {
        let minimum = BacklogPlan.limitMin(segmentSize: segmentSize)
        if let limit = settings.maxLocalBytes, limit < minimum { throw .backlogLimitTooSmall(bytes: limit, minimum: minimum) }
        board.update { status in
            status.segmentSize = segmentSize
            status.backlogPolicy = settings.maxLocalBytes == nil ? nil : settings.backlogPolicy
        }
        return BacklogPlan(segmentSize: segmentSize, policy: settings.backlogPolicy, limit: settings.maxLocalBytes)
    }

    private func session(
        _ sidecar: LogSidecar, _ slot: DestinationSlot, _ worker: LogWorker, probesAgain: Bool
    ) async throws(ShipperError) -> ShipRun.Ending {
        let reader = sidecar.reader
        // What is given up from here on makes this session one of the past.
        let giveUps = slot.giveUps
        let facts = try await worker.perform(.light) { () throws(ShipperError) in try LogFacts(reader) }
        // What --once ships is decided before the archive is asked anything.
        if end.isAsked { _ = end.take(durable: facts.durable) }
        board.update { $0.durable = max($0.durable, facts.durable) }
        let (time, board, delayMax) = (time, board, settings.retryDelayMax.inSeconds)
        let patience: @Sendable () -> any RetryWait = { ShipperPatience(delayMax: delayMax, time: time, board: board) }
        let access = ArchiveAccess(store: store, layout: layout, patience: patience)
        let claims = Claims(store: store, layout: layout, settle: settings.claimSettle.inSeconds, patience: patience)
        var session = try await SessionOpening(
            facts: facts, slot: slot, access: access, claims: claims, worker: worker, time: time, probesAgain: probesAgain, fencing: settings.fencing,
            host: ProcessName.host
        ).open()
        session.keys = settings.keys
        let encryption = EncryptionAgreement(session: session, access: access, keys: settings.keys)
        session.naming = try await agree { () throws(ArchiveError) in try await encryption.find() }
        let publication = GapPublication(
            session: session, facts: facts, slot: slot, access: access, claims: claims, worker: worker, logger: logger)
        try await publication.run()
        let before = slot.state
        // What was given up meanwhile is told first: the comparison knows of no gap that is not in the archive.
        guard slot.giveUps == giveUps else { return .openAgain }
        let compared = try await ArchiveComparison(
            session: session, facts: facts, reader: reader, access: access, worker: worker, now: time.now()
        ).run(before)
        session.naming = try await agree { [naming = session.naming] () throws(ArchiveError) in
            try await encryption.begin(after: naming, archived: compared.slot.archived, time: time.now())
        }
        let preparation: ObjectPreparation
        do throws(ArchiveError) {
            if compared.hasAdopted, let error = FencingLook.error(try await claims.look(session.epoch), session.epoch, layout) { throw error }
            preparation = try ObjectPreparation(reader: reader, level: settings.compressionLevel, key: settings.keys.current)
        } catch {
            throw .archive(error)
        }
        if compared.slot != before {
            let isCurrent = try await worker.run(.light) { () throws(WALError) in
                try slot.update(since: giveUps) { state in state = compared.slot }
            }
            guard isCurrent else { return .openAgain }
            for gap in compared.slot.gaps { report(gap) }
            try await publication.run()
        }
        let state = slot.state
        guard slot.giveUps == giveUps, state.gaps.isEmpty else { return .openAgain }
        board.update { $0.capabilities = StoreCapabilities(rawValue: state.capabilities) }
        board.enter(.shipping)
        if let weakness = StoreCapabilities(rawValue: state.capabilities).fencingWeakness {
            logger.notice("two writers are not kept apart at every moment here: the store \(weakness)")
        }
        logger.info(
            "compared with the archive", metadata: ["epoch": "\(session.epoch)", "archived": "\(state.archived)", "durable": "\(facts.durable)"])
        let run = ShipRun(
            session: session, slot: slot, sidecar: sidecar, incarnation: facts.incarnation, giveUps: giveUps, access: access,
            publisher: Publisher(store: store, layout: layout, keys: settings.keys, patience: patience), claims: claims, preparation: preparation,
            worker: worker, memory: memory, board: board, time: time, logger: logger, retryDelayMax: delayMax, pollInterval: pollInterval, restInterval: restInterval,
            pause: pause)
        async let _ = retention(session, facts, slot, access).run()
        return try await run.run(plan(state, facts, compared), end: end)
    }

    private func retention(_ session: ShipSession, _ facts: LogFacts, _ slot: DestinationSlot, _ access: ArchiveAccess) -> ArchiveRetention {
        ArchiveRetention(
            retain: settings.isImmutable ? nil : settings.archiveRetain?.nanoseconds, session: session, segmentSize: facts.segmentSize, slot: slot,
            access: access, claimSettle: settings.claimSettle.inSeconds, time: time, logger: logger)
    }

    /// A range that neither the archive nor the log has.
    private func report(_ gap: SlotGap) {
        board.gaveUp(gap.range)
        logger.error(
            "a range is neither in the archive nor in the log", metadata: [
                "from": "\(gap.range.lowerBound)", "to": "\(gap.range.upperBound)", "reason": "\(gap.reason)",
            ])
    }

    private func agree(_ body: () async throws(ArchiveError) -> ObjectNaming) async throws(ShipperError) -> ObjectNaming {
        do throws(ArchiveError) {
            return try await body()
        } catch {
            throw .archive(error)
        }
    }

    private func plan(_ state: SlotState, _ facts: LogFacts, _ compared: ArchiveComparison.Outcome) -> ShipPlan {
        let now = time.monotonic()
        // Civil time tells how long ago the last acknowledgement was; a clock that went back makes it now.
        let civil = time.now()
        let age = civil > state.lastAcknowledged ? civil - state.lastAcknowledged : 0
        return ShipPlan(
            settings: ShipPlan.Settings(
                segmentSize: facts.segmentSize, uploadsInFlight: settings.uploadsInFlight,
                tailInterval: settings.tailInterval.map { max($0.nanoseconds, ShipperLimits.tailIntervalMin) },
                settle: settings.settle.nanoseconds, retain: settings.retain, isImmutable: settings.isImmutable),
            slot: state, durable: facts.durable, head: facts.head, headWritten: compared.headWritten,
            comparesBeforeTails: compared.comparesBeforeTails, acknowledgedAt: now - min(now, age), now: now)
    }

    private var pollInterval: Duration {
        let tail = settings.tailInterval.map { max($0.nanoseconds, ShipperLimits.tailIntervalMin) } ?? .max
        return .nanoseconds(Int64(min(tail, ShipperLimits.pollInterval)))
    }

    private var restInterval: Duration {
        let tail = settings.tailInterval.map { max($0.nanoseconds, ShipperLimits.tailIntervalMin) } ?? .max
        return .nanoseconds(Int64(min(tail, ShipperLimits.restInterval)))
    }
}

extension ShipperError {
    var isCancelled: Bool {
        if case .archive(let error) = self { error.code == .cancelled } else { false }
    }
}
