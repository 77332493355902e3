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
    let pause: @Sendable (Duration) async throws -> Void

    enum Ending: Sendable {
        case finished
        /// The log was opened anew, or a hole was filled: the session is to be opened again.
        case openAgain
    }

    /// What a child task reports.
    private enum Event: Sendable {
        case looked(durable: LSN, incarnation: Incarnation)
        case prepared(EncodedObject)
        case segmentArchived(ObjectMetadata)
        case tailArchived(ObjectMetadata, level: Int)
        case tailsRemoved
        case headWritten(LSN)
        case truncated
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
        /// Digest of the last segment that was prepared.
        var chain: Bytes16?
        /// Bytes of the newest acknowledged segment object, where this run made it.
        var newest: (start: LSN, size: UInt64)?
        /// The time of the last acknowledgement, where the slot is to be told.
        var acknowledgedAt: UInt64?
    }

    private func turn(_ loop: inout Loop, _ group: inout TaskGroup<Event>, _ end: EndRequest) async throws(ShipperError) -> Ending {
        group.addTask { await look() }
        while true {
            if let request = end.take(durable: loop.plan.durable) { loop.plan.finish(upTo: request.target, truncates: request.truncates) }
            let actions = loop.plan.next(now: time.monotonic())
            board.progress(loop.plan, now: time.monotonic())
            if loop.plan.isFinished { return .finished }
            if actions.contains(.compareAgain) { return .openAgain }
            // What a crash must not forget is on disk before anything is sent.
            if actions.contains(where: isRecorded) { try await record(loop) }
            for action in actions { begin(action, loop, &group) }
            guard let event = await group.next() else { preconditionFailure("somebody always looks at the log") }
            if case .looked(let durable, let now) = event {
                if Task.isCancelled { throw .archive(ArchiveError(.cancelled, "cancelled")) }
                if now != incarnation { return .openAgain }
                loop.plan.observe(durable: durable, now: time.monotonic())
                group.addTask { [pollInterval, pause] in
                    do {
                        try await pause(pollInterval)
                    } catch {
                        return .failed(.archive(ArchiveError(.cancelled, "cancelled")))
                    }
                    return await look()
                }
            } else {
                try await take(event, &loop, &group)
            }
        }
    }

    private func isRecorded(_ action: ShipPlan.Action) -> Bool {
        switch action {
        case .shipTail: true
        case .shipSegment, .removeTails, .writeHead, .truncate, .compareAgain: false
        }
    }

    private func record(_ loop: Loop) async throws(ShipperError) {
        let plan = loop.plan
        let (slot, acknowledgedAt) = (slot, loop.acknowledgedAt)
        try await worker.run(.light) { () throws(WALError) in
            try slot.update { state in
                plan.record(in: &state)
                if let acknowledgedAt { state.lastAcknowledged = acknowledgedAt }
            }
        }
    }

    private func take(_ event: Event, _ loop: inout Loop, _ group: inout TaskGroup<Event>) async throws(ShipperError) {
        let now = time.monotonic()
        switch event {
        case .looked: preconditionFailure("looks are taken by the loop")
        case .prepared(let object):
            loop.chain = object.metadata.rawDigest.bytes
            loop.plan.segmentPrepared(object.metadata.start..<object.metadata.end)
            // The slot says what was started before it is sent.
            try await record(loop)
            group.addTask { await uploadSegment(object) }
        case .segmentArchived(let metadata):
            let before = loop.plan.checkpoint
            loop.plan.segmentAcknowledged(metadata.start..<metadata.end, digest: metadata.rawDigest.bytes, now: now)
            guard loop.plan.checkpoint > before else { return }
            if loop.plan.lastSegment?.range.lowerBound == metadata.start { loop.newest = (metadata.start, metadata.objectSize) }
            loop.acknowledgedAt = time.now()
            try await record(loop)
            logger.debug("archived", metadata: ["checkpoint": "\(loop.plan.checkpoint)"])
        case .tailArchived(let metadata, let level):
            loop.plan.tailAcknowledged(metadata.start..<metadata.end, level: level, digest: metadata.rawDigest.bytes, now: now)
            loop.acknowledgedAt = time.now()
            try await record(loop)
        case .tailsRemoved:
            loop.plan.tailsRemoved()
            try await record(loop)
        case .headWritten(let archived): loop.plan.headWasWritten(archived: archived, now: now)
        case .truncated: loop.plan.truncated()
        case .failed(let error): throw error
        }
    }

    // MARK: Child tasks

    private func begin(_ action: ShipPlan.Action, _ loop: Loop, _ group: inout TaskGroup<Event>) {
        switch action {
        case .shipSegment(let range):
            let chain = loop.chain
            group.addTask {
                await event { () async throws(ShipperError) in .prepared(try await prepare(range, .segment, chain)) }
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
        case .truncate(let lsn):
            let newest = loop.plan.lastSegment.map { last in
                (start: last.range.lowerBound, size: loop.newest?.start == last.range.lowerBound ? loop.newest?.size : nil)
            }
            group.addTask { await event { () async throws(ShipperError) in try await truncate(before: lsn, newest: newest) } }
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

    /// Stores the object and looks at the claim: only then it counts as archived.
    private func archive(_ object: EncodedObject) async throws(ShipperError) -> ObjectMetadata {
        do throws(ArchiveError) {
            _ = try await publisher.publish(object)
            try await requireOurs()
        } catch {
            throw .archive(error)
        }
        board.archived(object)
        return object.metadata
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
                guard let found = try await access.metadata(.tail(level: 0), session.epoch, start: position) else { break }
                position = found.end
            }
            for start in starts.reversed() {
                // However long it takes: each deletion comes after a look of its own.
                try await requireOurs()
                for level in (0...ShipperLimits.tailLevelMax).reversed() {
                    let key = access.layout.tail(session.epoch, level: level, start: start)
                    try await access.retrying { () throws(ArchiveError) in try await access.store.delete(key) }
                }
            }
        } catch where error.code == .cancelled || error.code == .fenced {
            throw .archive(error)
        } catch {
            logger.warning("tails of an archived segment stay where they are", metadata: ["reason": "\(error)"])
        }
        return .tailsRemoved
    }

    /// The look before anything local goes: the claim is ours, and the newest object that was acknowledged is there.
    private func truncate(before lsn: LSN, newest: (start: LSN, size: UInt64?)?) async throws(ShipperError) -> Event {
        guard let newest else { return .truncated }
        do throws(ArchiveError) {
            let key = access.layout.segment(session.epoch, start: newest.start)
            for attempt in 1... {
                let found = try await access.retrying { () throws(ArchiveError) in try await access.store.head(key) }
                if let found, newest.size.map({ $0 == found.size }) ?? true { break }
                // One reply may be wrong.
                guard attempt >= ArchiveLimits.damagedReads else { continue }
                throw ArchiveError(
                    .gap, "an object that was acknowledged is \(found == nil ? "gone" : "of another size now"); nothing local was removed",
                    key: key, lsn: newest.start, hint: "look at the store; start again to ship it anew from the log")
            }
            // Last, so that nothing comes between it and the truncation.
            try await requireOurs()
        } catch {
            throw .archive(error)
        }
        let (slot, sidecar) = (slot, sidecar)
        let head = try await worker.run(.light) { () throws(WALError) in
            // Truncation goes by the lower half of the slot, so both are to say the same.
            try slot.settle()
            return try sidecar.truncateBefore(lsn)
        }
        logger.debug("truncated", metadata: ["head": "\(head)"])
        return .truncated
    }
}
