import Archive
import Logging
import WAL

/// Does what a `ShipPlan` decides: the one owner of a destination's slot and of everything under way for it.
///
/// One loop takes in what happened, writes the slot, and begins what the plan asks for; uploads, tails and keeping run beside it as child
/// tasks. An error of any ends it: what is retried has been retried below.
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
    let board: StatusBoard
    let time: any TimeSource
    let logger: Logger
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
        case read(ObjectPreparation.ReadObject)
        case prepared(EncodedObject)
        case segmentArchived(ObjectMetadata)
        case tailArchived(ObjectMetadata, level: Int)
        case tailsRemoved
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
        /// Bytes of acknowledged segment objects that this run made and has not looked at again, by their start.
        var sizes: [LSN: UInt64] = [:]
        /// The time of the last acknowledgement, where the slot is to be told.
        var acknowledgedAt: UInt64?
    }

    private func turn(_ loop: inout Loop, _ group: inout TaskGroup<Event>, _ end: EndRequest) async throws(ShipperError) -> Ending {
        group.addTask { await look() }
        var looksAgain = false
        while true {
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
        case .read(let object):
            loop.chain = object.digest
            loop.plan.segmentRead(object.range)
            group.addTask { await self.event { () async throws(ShipperError) in .prepared(try await compress(object)) } }
        case .prepared(let object):
            loop.plan.segmentPrepared(object.metadata.start..<object.metadata.end)
            // The slot says what was started before it is sent.
            guard try await record(loop) else { return false }
            group.addTask { await uploadSegment(object) }
        case .segmentArchived(let metadata):
            let before = loop.plan.checkpoint
            loop.plan.segmentAcknowledged(metadata.start..<metadata.end, digest: metadata.rawDigest.bytes, now: now)
            if loop.sizes.count < ShipperLimits.rememberedSizesMax { loop.sizes[metadata.start] = metadata.objectSize }
            guard loop.plan.checkpoint > before else { return true }
            loop.acknowledgedAt = time.now()
            guard try await record(loop) else { return false }
            logger.debug("archived", metadata: ["checkpoint": "\(loop.plan.checkpoint)"])
        case .tailArchived(let metadata, let level):
            loop.plan.tailAcknowledged(metadata.start..<metadata.end, level: level, digest: metadata.rawDigest.bytes, now: now)
            loop.acknowledgedAt = time.now()
            return try await record(loop)
        case .tailsRemoved:
            loop.plan.tailsRemoved()
            return try await record(loop)
        case .headWritten(let archived): loop.plan.headWasWritten(archived: archived, now: now)
        case .truncated(let end):
            loop.sizes = loop.sizes.filter { $0.key >= end }
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
                await event { () async throws(ShipperError) in .read(try await read(range, chain)) }
            }
        case .shipTail(let range, let level):
            let digest = loop.plan.levels[level].lastDigest
            group.addTask {
                await event { () async throws(ShipperError) in
                    .tailArchived(try await archive(try await prepare(range, .tail(level: level), digest)), level: level)
                }
            }
        case .removeTails(let range):
            group.addTask { await event { () async throws(ShipperError) in try await removeTails(range) } }
        case .writeHead(let archived, let checkpoint, let durable):
            group.addTask {
                await event { () async throws(ShipperError) in
                    try await writeHead(archived: archived, checkpoint: checkpoint, durable: durable)
                }
            }
        case .truncate(let range):
            let truncation = ShippedTruncation(
                range: range, objectsStart: loop.plan.objectsStart, sizes: loop.sizes, session: session, slot: slot, sidecar: sidecar,
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
        let reader = sidecar.reader
        return await event { () async throws(ShipperError) in
            try await worker.run(.light) { () throws(WALError) in
                // The incarnation first: what was durable before it changed stays so.
                let incarnation = reader.incarnation
                return .looked(durable: try reader.durableLSN, incarnation: incarnation)
            }
        }
    }

    private func read(_ range: Range<LSN>, _ preceding: Bytes16?) async throws(ShipperError) -> ObjectPreparation.ReadObject {
        let (preparation, session) = (preparation, session)
        return try await worker.perform(.heavy) { () throws(ShipperError) in
            try preparation.read(range, kind: .segment, session: session, preceding: preceding)
        }
    }

    private func compress(_ object: ObjectPreparation.ReadObject) async throws(ShipperError) -> EncodedObject {
        let preparation = preparation
        return try await worker.perform(.compressing) { () throws(ShipperError) in try preparation.compress(object) }
    }

    private func prepare(
        _ range: Range<LSN>, _ kind: ObjectMetadata.Kind, _ preceding: Bytes16?
    ) async throws(ShipperError) -> EncodedObject {
        let (preparation, session) = (preparation, session)
        return try await worker.perform(.heavy) { () throws(ShipperError) in
            try preparation.prepare(range, kind: kind, session: session, preceding: preceding)
        }
    }

    private func uploadSegment(_ object: EncodedObject) async -> Event {
        await event { () async throws(ShipperError) in .segmentArchived(try await archive(object)) }
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
            try await access.replace(document, at: access.layout.head(session.epoch))
        } catch {
            throw .archive(error)
        }
        board.succeeded()
        return .headWritten(archived)
    }

    /// Walks the level-0 chain of the closed segment and removes what is at each of its positions, last first, and at each position the
    /// lowest level last, so that what a crash leaves can still be walked. A store that refuses to delete (object lock) is told once
    /// and left alone: such tails cost space and nothing else.
    private func removeTails(_ segment: Range<LSN>) async throws(ShipperError) -> Event {
        do throws(ArchiveError) {
            var starts: [LSN] = []
            var position = segment.lowerBound
            while position < segment.upperBound {
                starts.append(position)
                guard let found = try await access.metadata(
                    .tail(level: 0), session.epoch, start: position, session.naming) else { break }
                position = found.end
            }
            for start in starts.reversed() {
                // However long it takes: each deletion comes after a look of its own.
                try await requireOurs()
                for level in (0...ShipperLimits.tailLevelMax).reversed() {
                    for isEncrypted in session.naming.leftovers(segment: segment.lowerBound) {
                        let key = access.layout.tail(session.epoch, level: level, start: start, isEncrypted: isEncrypted)
                        try await access.retrying { () throws(ArchiveError) in try await access.store.delete(key) }
                    }
                }
            }
        } catch where error.code == .cancelled || error.code == .fenced {
            throw .archive(error)
        } catch {
            logger.warning("tails of an archived segment stay where they are", metadata: ["reason": "\(error)"])
        }
        return .tailsRemoved
    }
}
