import Archive
import Logging
import WAL

/// Does what a `ShipPlan` decides: the one owner of a destination's slot and of everything under way for it.
///
/// One loop takes in what happened, writes the slot, and begins what the plan asks for; uploads, tails, their removal and keeping run beside it as
/// child tasks. An error of any ends it: what is retried has been retried below.
struct ShipRun: Sendable {
    let session: ShipSession
    let slot: DestinationSlot
    let sidecar: LogSidecar
    let incarnation: Incarnation
    /// What `slot.giveUps` was when this began: once something is given up beside it, the plan is of no use any more.
    let giveUps: UInt64
    let access: ArchiveAccess
    let publisher: Publisher
    let claims: Claims
    let preparation: ObjectPreparation
    let worker: LogWorker
    /// For objects in flight, shared with the destination's other logs; nil: any number.
    let memory: UploadMemory?
    let board: StatusBoard
    let time: any TimeSource
    let logger: Logger
    /// Seconds. The longest pause between two attempts to remove a tail.
    let retryDelayMax: Double
    /// Between two looks at the durable LSN.
    let pollInterval: Duration
    /// The same at rest.
    let restInterval: Duration
    let pause: @Sendable (Duration) async throws -> Void

    enum Ending: Sendable {
        case finished
        /// The log was opened anew, something was given up, or a hole was filled: the session is to be opened again.
        case openAgain
    }

    /// What a child task reports.
    private enum Event: Sendable {
        case looked(durable: LSN, incarnation: Incarnation)
        case read(ObjectPreparation.ReadObject, UploadMemory.Share?)
        case prepared(EncodedObject, UploadMemory.Share?)
        case segmentArchived(ObjectMetadata)
        case tailArchived(ObjectMetadata, level: Int)
        case tailsRemoved(TailRemoval.Ending)
        case headWritten(LSN)
        case truncated(LSN)
        case failed(ShipperError)
    }

    /// Ships until `end` asks to finish and it is done, or until something makes it stop. Cancelling ends it with `.cancelled`, as a crash would.
    func run(_ plan: ShipPlan, end: EndRequest) async throws(ShipperError) -> Ending {
        let result = await withTaskGroup(of: Event.self, returning: Result<Ending, ShipperError>.self) { group in
            var loop = Loop(plan: plan, chain: plan.lastSegment?.digest)
            do throws(ShipperError) {
                let ending = try await turn(&loop, &group, end)
                group.cancelAll()
                return .success(ending)
            } catch {
                group.cancelAll()
                return .failure(error)
            }
        }
        return try result.get()
    }

    private struct Loop {
        var plan: ShipPlan
        /// Digest of the last segment that was read.
        var chain: Bytes16?
        /// Acknowledged segment objects of this run that were not looked at again, by their start.
        var made: [LSN: ShippedTruncation.Made] = [:]
        /// The time of the last acknowledgement, where the slot is to be told.
        var acknowledgedAt: UInt64?
    }

    private func turn(_ loop: inout Loop, _ group: inout TaskGroup<Event>, _ end: EndRequest) async throws(ShipperError) -> Ending {
        group.addTask { await look() }
        var looksAgain = false
        while true {
            // What was written before it was asked for is shipped, also where the last look at the log was before that.
            if end.isWanted {
                let (durable, now) = try await watermark()
                guard now == incarnation else { return .openAgain }
                loop.plan.observe(durable: durable, now: time.monotonic())
            }
            if let request = end.take(durable: loop.plan.durable) { loop.plan.finish(upTo: request.target, truncates: request.truncates) }
            let actions = loop.plan.next(now: time.monotonic())
            board.progress(loop.plan, now: time.monotonic())
            if loop.plan.isFinished { return .finished }
            if actions.contains(.compareAgain) { return .openAgain }
            // What a crash must not forget is on disk before anything is sent.
            if actions.contains(where: isRecorded), try await !record(loop) { return .openAgain }
            for action in actions { begin(action, loop, &group) }
            // Time goes on when what was due at this look is under way.
            if looksAgain {
                let delay = loop.plan.isAtRest(now: time.monotonic()) ? restInterval : pollInterval
                group.addTask { await lookAfter(delay) }
            }
            looksAgain = false
            guard let event = await group.next() else { preconditionFailure("somebody always looks at the log") }
            if case .looked(let durable, let now) = event {
                if Task.isCancelled { throw .archive(ArchiveError(.cancelled, "cancelled")) }
                if now != incarnation || slot.giveUps != giveUps { return .openAgain }
                loop.plan.observe(durable: durable, now: time.monotonic())
                looksAgain = true
            } else if try await !take(event, &loop, &group) {
                return .openAgain
            }
        }
    }

    private func isRecorded(_ action: ShipPlan.Action) -> Bool {
        switch action {
        case .shipTail: true
        case .shipSegment, .removeTails, .writeHead, .truncate, .compareAgain: false
        }
    }

    /// False, nothing having been written, where something was given up since this run began.
    private func record(_ loop: Loop) async throws(ShipperError) -> Bool {
        let plan = loop.plan
        let (slot, giveUps, acknowledgedAt) = (slot, giveUps, loop.acknowledgedAt)
        return try await worker.run(.light) { () throws(WALError) in
            try slot.update(since: giveUps) { state in
                plan.record(in: &state)
                if let acknowledgedAt { state.lastAcknowledged = acknowledgedAt }
            }
        }
    }

    /// False where the session is to be opened again.
    private func take(_ event: Event, _ loop: inout Loop, _ group: inout TaskGroup<Event>) async throws(ShipperError) -> Bool {
        let now = time.monotonic()
        switch event {
        case .looked: preconditionFailure("looks are taken by the loop")
        case .read(let object, let share):
            loop.chain = object.digest
            loop.plan.segmentRead(object.range)
            group.addTask { await self.event { () async throws(ShipperError) in try await compress(object, share) } }
        case .prepared(let object, let share):
            loop.plan.segmentPrepared(object.metadata.start..<object.metadata.end)
            // The slot says what was started before it is sent.
            guard try await record(loop) else { return false }
            group.addTask { await uploadSegment(object, share) }
        case .segmentArchived(let metadata):
            let before = loop.plan.checkpoint
            loop.plan.segmentAcknowledged(metadata.start..<metadata.end, digest: metadata.rawDigest.bytes, now: now)
            if loop.made.count < ShipperLimits.rememberedObjectsMax { loop.made[metadata.start] = ShippedTruncation.Made(metadata) }
            guard loop.plan.checkpoint > before else { return true }
            loop.acknowledgedAt = time.now()
            guard try await record(loop) else { return false }
            logger.debug("archived", metadata: ["checkpoint": "\(loop.plan.checkpoint)"])
        case .tailArchived(let metadata, let level):
            loop.plan.tailAcknowledged(metadata.start..<metadata.end, level: level, digest: metadata.rawDigest.bytes, now: now)
            loop.acknowledgedAt = time.now()
            return try await record(loop)
        case .tailsRemoved(.postponed): loop.plan.tailsPostponed()
        case .tailsRemoved(.done):
            loop.plan.tailsRemoved()
            return try await record(loop)
        case .headWritten(let archived): loop.plan.headWasWritten(archived: archived, now: now)
        case .truncated(let end):
            loop.made = loop.made.filter { $0.key >= end }
            loop.plan.truncated()
        case .failed(let error): throw error
        }
        return true
    }

    // MARK: Child tasks

    private func begin(_ action: ShipPlan.Action, _ loop: Loop, _ group: inout TaskGroup<Event>) {
        switch action {
        case .shipSegment(let range):
            let chain = loop.chain
            group.addTask {
                await event { () async throws(ShipperError) in try await read(range, chain) }
            }
        case .shipTail(let range, let level):
            let digest = loop.plan.levels[level].lastDigest
            group.addTask {
                await event { () async throws(ShipperError) in
                    let share = try await share(range)
                    defer { withExtendedLifetime(share) {} }
                    return .tailArchived(try await archive(try await prepare(range, .tail(level: level), digest)), level: level)
                }
            }
        case .removeTails(let removal):
            let work = TailRemoval(
                removal: removal, triesOnce: loop.plan.isFinishing, session: session, access: access, claims: claims,
                retryDelayMax: retryDelayMax, time: time, logger: logger)
            group.addTask { await event { () async throws(ShipperError) in .tailsRemoved(try await work.run()) } }
        case .writeHead(let archived, let checkpoint, let durable):
            group.addTask {
                await event { () async throws(ShipperError) in
                    try await writeHead(archived: archived, checkpoint: checkpoint, durable: durable)
                }
            }
        case .truncate(let range):
            let truncation = ShippedTruncation(
                range: range, objectsStart: loop.plan.objectsStart, made: loop.made, session: session, slot: slot, sidecar: sidecar,
                access: access, publisher: publisher, claims: claims, preparation: preparation, worker: worker, board: board, logger: logger)
            group.addTask {
                await event { () async throws(ShipperError) in
                    try await truncation.run()
                    return .truncated(range.upperBound)
                }
            }
        case .compareAgain: preconditionFailure("the loop ends with it")
        }
    }

    private func event(_ body: () async throws(ShipperError) -> Event) async -> Event {
        do throws(ShipperError) {
            return try await body()
        } catch {
            return .failed(error)
        }
    }

    private func lookAfter(_ delay: Duration) async -> Event {
        do {
            try await pause(delay)
        } catch {
            return .failed(.archive(ArchiveError(.cancelled, "cancelled")))
        }
        return await look()
    }

    private func look() async -> Event {
        await event { () async throws(ShipperError) in
            let (durable, incarnation) = try await watermark()
            return .looked(durable: durable, incarnation: incarnation)
        }
    }

    private func watermark() async throws(ShipperError) -> (durable: LSN, incarnation: Incarnation) {
        let reader = sidecar.reader
        return try await worker.run(.light) { () throws(WALError) in
            // The incarnation first: what was durable before it changed stays so.
            let incarnation = reader.incarnation
            return (try reader.durableLSN, incarnation)
        }
    }

    /// Memory for an object of the range, where there is a limit.
    private func share(_ range: Range<LSN>) async throws(ShipperError) -> UploadMemory.Share? {
        guard let memory else { return nil }
        do throws(ArchiveError) {
            return try await memory.share(range.upperBound.distance(from: range.lowerBound))
        } catch {
            throw .archive(error)
        }
    }

    private func read(_ range: Range<LSN>, _ preceding: Bytes16?) async throws(ShipperError) -> Event {
        let share = try await share(range)
        let (preparation, session) = (preparation, session)
        let object = try await worker.perform(.heavy) { () throws(ShipperError) in
            try preparation.read(range, kind: .segment, session: session, preceding: preceding)
        }
        return .read(object, share)
    }

    private func compress(_ object: ObjectPreparation.ReadObject, _ share: UploadMemory.Share?) async throws(ShipperError) -> Event {
        let preparation = preparation
        let encoded = try await worker.perform(.compressing) { () throws(ShipperError) in try preparation.compress(object) }
        return .prepared(encoded, share)
    }

    private func prepare(
        _ range: Range<LSN>, _ kind: ObjectMetadata.Kind, _ preceding: Bytes16?
    ) async throws(ShipperError) -> EncodedObject {
        let (preparation, session) = (preparation, session)
        return try await worker.perform(.heavy) { () throws(ShipperError) in
            try preparation.prepare(range, kind: kind, session: session, preceding: preceding)
        }
    }

    /// The bytes that were read are no longer needed, those that are sent until they are archived.
    private func uploadSegment(_ object: EncodedObject, _ share: UploadMemory.Share?) async -> Event {
        share?.shrink(to: object.bytes.count)
        defer { withExtendedLifetime(share) {} }
        return await event { () async throws(ShipperError) in .segmentArchived(try await archive(object)) }
    }

    /// Stores the object and looks at the claim: only then it counts as archived. Returns the metadata of what is there, which may be an earlier attempt's.
    private func archive(_ object: EncodedObject) async throws(ShipperError) -> ObjectMetadata {
        do throws(ArchiveError) {
            let published = try await publisher.publish(object)
            try await requireOurs()
            board.archived(object)
            return published.metadata
        } catch {
            throw .archive(error)
        }
    }

    private func requireOurs() async throws(ArchiveError) {
        if let error = FencingLook.error(try await claims.look(session.epoch), session.epoch, access.layout) { throw error }
    }

    private func writeHead(archived: LSN, checkpoint: LSN, durable: LSN) async throws(ShipperError) -> Event {
        do throws(ArchiveError) {
            let document = HeadDocument(
                epoch: session.epoch, archived: archived, checkpoint: checkpoint, durable: durable, time: time.now())
            try await access.replace(document, access.layout.head(session.epoch))
        } catch {
            throw .archive(error)
        }
        board.succeeded()
        return .headWritten(archived)
    }
}
