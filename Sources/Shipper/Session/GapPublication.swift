import Archive
import Logging
import WAL

/// Says in the archive what was given up, before anything else is shipped: the gaps that the slot records, oldest first.
///
/// What was under way when a range was given up is looked at first: an object that has arrived whole is no part of the gap. What has
/// been told stays: a document that is there already is not replaced, and the slot does not change such a range any more.
struct GapPublication {
    let session: ShipSession
    let facts: LogFacts
    let slot: DestinationSlot
    let access: ArchiveAccess
    let claims: Claims
    let worker: LogWorker
    let logger: Logger

    /// On return the slot records no gap of this session's epoch. One of another epoch is left: what this epoch lacks is found by comparing.
    func run() async throws(ShipperError) {
        while let gap = slot.state.gaps.first, isOfThisEpoch(slot.state) {
            try await tell(gap)
            try await publish(gap)
        }
    }

    private func isOfThisEpoch(_ state: SlotState) -> Bool {
        state.epochNumber == session.epoch.number && state.epoch == session.epoch.id
    }

    private func update(_ change: @escaping @Sendable (inout SlotState) -> Void) async throws(ShipperError) {
        let slot = slot
        try await worker.run(.light) { () throws(WALError) in try slot.update(change) }
    }

    /// From here on the range does not change: what is given up meanwhile is another gap.
    private func tell(_ gap: SlotGap) async throws(ShipperError) {
        guard !gap.isTold else { return }
        try await update { $0.gaps[0].isTold = true }
    }

    private func publish(_ gap: SlotGap) async throws(ShipperError) {
        let state = slot.state
        // It may have grown before it was told.
        guard let gap = state.gaps.first else { preconditionFailure("only this removes gaps") }
        let plan = GapPlan(
            gap.range, inFlight: state.levels[0].inFlight, segmentsStarted: state.segmentsStarted, objectsStart: state.objectsStart,
            segmentSize: facts.segmentSize)
        var last: SlotState.ShippedObject?
        do throws(ArchiveError) {
            var present: [GapPlan.Candidate] = []
            for candidate in plan.candidates {
                guard let found = try await object(candidate) else { continue }
                present.append(GapPlan.Candidate(kind: candidate.kind, range: found.start..<found.end))
                if candidate.kind == .segment { last = SlotState.ShippedObject(digest: found.rawDigest.bytes, range: found.start..<found.end) }
            }
            for range in plan.documents(present: present) { try await create(range, of: gap) }
            if let error = FencingLook.error(try await claims.look(session.epoch), session.epoch, access.layout) { throw error }
        } catch {
            throw .archive(error)
        }
        let newest = last
        try await update { state in
            state.gaps.removeFirst()
            state.lastGap = gap.range
            if let newest { state.lastSegment = newest }
            guard state.gaps.isEmpty else { return }
            for level in state.levels.indices {
                state.levels[level] = LevelState(groupStart: state.position, lastDigest: state.levels[level].lastDigest)
            }
        }
        logger.error("a gap is recorded in the archive", metadata: ["from": "\(gap.range.lowerBound)", "to": "\(gap.range.upperBound)", "reason": "\(gap.reason)"])
    }

    /// What was under way and has arrived: intact, and ours. What arrived in part is taken away, so that readers come to the gap.
    private func object(_ candidate: GapPlan.Candidate) async throws(ArchiveError) -> ObjectMetadata? {
        let kind: ObjectMetadata.Kind = candidate.kind == .segment ? .segment : .tail(level: 0)
        for key in access.layout.names(kind, session.epoch, start: candidate.range.lowerBound, session.naming) {
            if let found = try await object(candidate, kind, key) { return found }
        }
        return nil
    }

    private func object(_ candidate: GapPlan.Candidate, _ kind: ObjectMetadata.Kind, _ key: ObjectKey) async throws(ArchiveError) -> ObjectMetadata? {
        let start = candidate.range.lowerBound
        let read: ObjectMetadata?
        do throws(ArchiveError) {
            read = try await readingAgain { () throws(ArchiveError) in
                guard let bytes = try await access.bytes(key, limit: ArchiveLimits.objectSizeMax) else { return nil }
                return try ObjectDecoder.decode(bytes, key: key, start: start, keys: session.keys).metadata
            }
        } catch where error.code == .damaged {
            try await takeAway(key)
            return nil
        }
        guard let found = read else { return nil }
        let isOurs = found.logID == session.logID && found.archiveID == session.archiveID && found.epoch == session.epoch && found.kind == kind
        guard isOurs, found.end == candidate.range.upperBound else {
            throw ArchiveError(
                .diverged, "the archive holds something that this log did not ship", key: key, lsn: start,
                hint: "another writer has written here; nothing was changed")
        }
        return found
    }

    private func takeAway(_ key: ObjectKey) async throws(ArchiveError) {
        do throws(ArchiveError) {
            try await access.retrying { () throws(ArchiveError) in try await access.store.delete(key) }
        } catch where error.code == .unsupported {
            // Nothing is deleted there: readers stop at it by name instead of at the gap.
            logger.warning("a damaged object stays in a gap", metadata: ["object": "\(key.path)"])
        }
    }

    private func create(_ range: Range<LSN>, of gap: SlotGap) async throws(ArchiveError) {
        let key = access.layout.gap(session.epoch, start: range.lowerBound)
        let document = GapDocument(start: range.lowerBound, end: range.upperBound, reason: gap.reason, time: gap.time)
        let found = try await access.createOnce(document, at: key)
        // An attempt before this one may have known less of what arrived since.
        guard found.start == range.lowerBound, found.end >= range.upperBound, found.end <= gap.range.upperBound else {
            throw ArchiveError(
                .diverged, "the archive records another gap here, from LSN \(found.start) to \(found.end)", key: key, lsn: range.lowerBound,
                hint: "another writer has written here; nothing was changed")
        }
    }
}
