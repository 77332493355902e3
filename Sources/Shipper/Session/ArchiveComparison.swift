import Archive
import WAL

/// The start-up comparison: what the slot says, what the archive holds, what the log holds. Before the first upload, and again whenever the
/// log's incarnation changes.
///
/// Adopts what is there and equal to the log, refuses what is past the log's end or different (`.diverged`), and steps back to
/// where the archive ends where it lacks what was acknowledged. What neither of the two has any more is a gap. Writes nothing; the new slot state is
/// the result.
struct ArchiveComparison {
    let session: ShipSession
    let facts: LogFacts
    let reader: LogReader
    let access: ArchiveAccess
    let worker: LogWorker
    /// Civil time, for a gap.
    let now: UInt64

    struct Outcome {
        var slot: SlotState
        /// What the archive's head document says; nil without one.
        var headWritten: LSN?
        /// Something lies or may lie beyond a hole, so that the names of tails are to be looked at once more when the hole is filled.
        var comparesBeforeTails: Bool
        /// Objects were taken for archived: the claim is looked at before they count.
        var hasAdopted: Bool
    }

    private var size: UInt64 { facts.segmentSize }

    func run(_ slot: SlotState) async throws(ShipperError) -> Outcome {
        let head = try await archive { () throws(ArchiveError) in
            try await access.head(session.epoch)
        }
        try requireNotPast(head?.archived ?? .zero, "the archive's head document", access.layout.head(session.epoch))
        let isKnown = slot.epochNumber == session.epoch.number && slot.epoch == session.epoch.id
        var state = slot
        var comparesAgain = false
        if isKnown {
            try requireNotPast(slot.archived, "the slot \(access.layout.log)", nil)
            for level in slot.levels {
                try requireNotPast(level.inFlight?.upperBound ?? .zero, "a tail that the slot \(access.layout.log) has in flight", nil)
            }
            comparesAgain = try await stepBackIfBehind(&state)
        } else {
            try requireInHistory(slot)
            try await begin(&state)
        }
        let before = state
        try await walkSegments(&state)
        try await walkTails(&state)
        if state.archived < facts.head { giveUp(&state, to: facts.head, "the log had removed it before it was archived here") }
        let hasAdopted = state.archived > before.archived || state.position > before.position
        let boundary = LSN((state.position.rawValue / size + 1) * size)
        // A tail of the segment that is being filled in again may be there under another range.
        if !isKnown || state.archived < slot.archived { comparesAgain = comparesAgain || boundary <= facts.durable }
        return Outcome(slot: state, headWritten: head?.archived, comparesBeforeTails: comparesAgain, hasAdopted: hasAdopted)
    }

    private func requireNotPast(_ lsn: LSN, _ what: String, _ key: ObjectKey?) throws(ShipperError) {
        guard lsn <= facts.durable else {
            throw .archive(ArchiveError(
                .diverged, "\(what) reaches LSN \(lsn), past the end of this log at LSN \(facts.durable)", key: key, lsn: facts.durable,
                hint: "this log was set back (an old copy or snapshot of the machine); restore it from the archive"))
        }
    }

    /// A position is an epoch and an LSN, and means something in this log only where that epoch is an ancestor that had come so far.
    private func requireInHistory(_ slot: SlotState) throws(ShipperError) {
        guard slot.epochNumber > 0, !facts.epochs.contains(slot.archived, of: slot.epoch) else { return }
        let successor = facts.epochs.epochs.first { $0.number > slot.epochNumber } ?? facts.epochs.current
        throw .archive(ArchiveError(
            .diverged, "the slot \(access.layout.log) is at LSN \(slot.archived) of epoch \(slot.epochNumber) (\(slot.epoch)), which this log left at LSN \(successor.start)",
            lsn: successor.start, hint: "this log was set back or is of another history; restore it from the archive"))
    }

    // MARK: Where to begin

    /// Neither the archive nor the log has what lies below `end`.
    private func giveUp(_ state: inout SlotState, to end: LSN, _ reason: String) {
        state.giveUp(to: end, reason: reason, time: now)
    }

    /// A slot that knows nothing of this epoch: at the epoch's start, or, where the log has lost that part already, at the segment that
    /// holds the log's head, if the archive has all before it; else where the archive ends.
    private func begin(_ state: inout SlotState) async throws(ShipperError) {
        let segmentStart = LSN(facts.head.rawValue / size * size)
        let position = max(session.epochStart, segmentStart)
        // What was retained, or had not been looked at again, under the epoch before still is to be.
        let released = min(state.released, position)
        state = SlotState(
            kind: .destination, logID: state.logID, position: position, epoch: session.epoch.id, generation: state.generation)
        .with(archiveID: session.archiveID, capabilities: await access.store.capabilities)
        state.epochNumber = session.epoch.number
        state.epochStart = session.epochStart
        state.archived = position
        state.released = released
        for level in state.levels.indices { state.levels[level].groupStart = position }
        guard position > session.epochStart else { return }
        let before = max(session.epochStart, LSN(position.rawValue - size))
        let found = try await archive { () throws(ArchiveError) in
            try await access.metadata(.segment, session.epoch, start: before, session.naming)
        }
        if let found, found.end == position {
            state.lastSegment = SlotState.ShippedObject(digest: found.rawDigest.bytes, range: found.start..<found.end)
            return
        }
        let end = try await archive { () throws(ArchiveError) in
            let head = try await access.head(session.epoch)
            return try await ArchiveEnd(access: access, segmentSize: size)
                .find(session.epoch, from: session.epochStart, known: head?.checkpoint ?? .zero, session.naming)
        }
        try requireNotPast(end.end, "the archive", nil)
        state.position = end.segmentsEnd
        state.archived = end.end
        state.released = min(state.released, end.segmentsEnd)
        state.lastGap = end.lastGap
        state.lastSegment = end.lastSegment.map { SlotState.ShippedObject(digest: $0.rawDigest.bytes, range: $0.start..<$0.end) }
        regroup(&state, at: end.segmentsEnd)
        if end.end < facts.head { giveUp(&state, to: facts.head, "the slot was lost, and the log had removed it before it was archived here") }
    }

    /// The last segment object must be what the slot says. Where it is gone, the slot goes back to the end of the newest one that
    /// is there, as long as the log still has what is to be shipped again.
    private func stepBackIfBehind(_ state: inout SlotState) async throws(ShipperError) -> Bool {
        guard let last = state.lastSegment else { return false }
        var start = last.range.lowerBound
        var isBehind = false
        while true {
            let found = try await archive { () throws(ArchiveError) in
                try await access.metadata(.segment, session.epoch, start: start, session.naming)
            }
            if let found {
                if start == last.range.lowerBound, found.rawDigest.bytes != last.digest || found.end != last.range.upperBound {
                    throw .archive(ArchiveError(
                        .diverged, "the newest object is not the one that was archived", key: access.layout.object(found),
                        lsn: start, hint: "somebody has written here; nothing was changed"))
                }
                guard isBehind else { return false }
                stepBack(&state, to: found.end, after: SlotState.ShippedObject(digest: found.rawDigest.bytes, range: found.start..<found.end))
                return true
            }
            isBehind = true
            // Below a gap there is nothing to go back to, and what is there is not looked for.
            if start <= state.objectsStart {
                stepBack(&state, to: max(start, state.lastGap?.upperBound ?? .zero), after: nil)
                return true
            }
            start = max(state.objectsStart, LSN((start.rawValue - 1) / size * size))
        }
    }

    private func stepBack(_ state: inout SlotState, to position: LSN, after last: SlotState.ShippedObject?) {
        state.position = position
        state.archived = position
        state.released = min(state.released, position)
        state.lastSegment = last
        // What is to be shipped again needs its tails.
        state.tailsLeft = state.tailsLeft.flatMap { $0.lowerBound < position ? $0.lowerBound..<min($0.upperBound, position) : nil }
        regroup(&state, at: position)
        if position < facts.head { giveUp(&state, to: facts.head, "the archive lost what it had acknowledged, and the log had removed it by then") }
    }

    /// Groups of tails begin anew.
    private func regroup(_ state: inout SlotState, at lsn: LSN) {
        for level in state.levels.indices {
            state.levels[level].inFlight = nil
            state.levels[level].groupStart = lsn
            state.levels[level].groupCount = 0
        }
    }

    // MARK: What is there

    private func walkSegments(_ state: inout SlotState) async throws(ShipperError) {
        for _ in 0..<ShipperLimits.comparisonObjectsMax {
            let start = state.position
            guard let found = try await adoptable(.segment, start) else { return }
            state.lastSegment = SlotState.ShippedObject(digest: found.rawDigest.bytes, range: found.start..<found.end)
            state.position = found.end
            state.archived = max(state.archived, found.end)
            // Its tails may not have been removed yet.
            state.tailsLeft = (state.tailsLeft?.lowerBound ?? start)..<found.end
            regroup(&state, at: found.end)
        }
    }

    /// From the checkpoint over the tails, highest level first, as a reader goes.
    private func walkTails(_ state: inout SlotState) async throws(ShipperError) {
        var end = state.position
        var digests = state.levels.map(\.lastDigest)
        for _ in 0..<ShipperLimits.comparisonObjectsMax {
            var found: ObjectMetadata?
            var foundLevel = 0
            for level in (0...ShipperLimits.tailLevelMax).reversed() where found == nil {
                found = try await adoptable(.tail(level: level), end)
                foundLevel = level
            }
            guard let found else { break }
            digests[foundLevel] = found.rawDigest.bytes
            end = found.end
        }
        guard end != state.archived else { return }
        // The tail that was in flight has arrived: its retry adopts it.
        if let inFlight = state.levels[0].inFlight, inFlight.lowerBound == state.archived, inFlight.upperBound == end { return }
        state.archived = end
        regroup(&state, at: end)
        for level in digests.indices { state.levels[level].lastDigest = digests[level] }
    }

    /// The object at a computable name, if its range and bytes are the log's. Nil: nothing is there, or something that fails its own
    /// checks, which is replaced when its turn comes.
    private func adoptable(_ kind: ObjectMetadata.Kind, _ start: LSN) async throws(ShipperError) -> ObjectMetadata? {
        for key in access.layout.names(kind, session.epoch, start: start, session.naming) {
            if let found = try await adoptable(kind, start, at: key) { return found }
        }
        return nil
    }

    private func adoptable(_ kind: ObjectMetadata.Kind, _ start: LSN, at key: ObjectKey) async throws(ShipperError) -> ObjectMetadata? {
        let found: ObjectDecoder.Decoded?
        do throws(ArchiveError) {
            found = try await readingAgain { () throws(ArchiveError) in try await decoded(key, start) }
        } catch where error.code == .damaged {
            return nil
        } catch {
            throw .archive(error)
        }
        guard let found else { return nil }
        let (facts, reader, session) = (facts, reader, session)
        return try await worker.perform(.heavy) { () throws(ShipperError) in
            let metadata = found.metadata
            func diverged(_ what: String) -> ShipperError {
                .archive(ArchiveError(
                    .diverged, what, key: key, lsn: start,
                    hint: "another writer, or this log with another history, has written here; nothing was changed"))
            }
            guard metadata.logID == session.logID, metadata.archiveID == session.archiveID, metadata.epoch == session.epoch, metadata.kind == kind
            else { throw diverged("the archive holds an object of log \(metadata.logID), epoch \(metadata.epoch) here") }
            guard metadata.end <= facts.durable else {
                throw diverged("the archive holds an object up to LSN \(metadata.end), past the end of this log at LSN \(facts.durable)")
            }
            // What the log has given up already cannot be compared.
            let from = max(start, facts.head)
            if from < metadata.end {
                let ours: VerifiedRange
                do throws(WALError) {
                    ours = try reader.verifiedRange(from..<metadata.end)
                } catch {
                    throw .log(error)
                }
                guard found.raw[Int(from.distance(from: start))...] == ours.bytes[...] else {
                    throw diverged("the archive holds other bytes than this log")
                }
            }
            return metadata
        }
    }

    private func decoded(_ key: ObjectKey, _ start: LSN) async throws(ArchiveError) -> ObjectDecoder.Decoded? {
        guard let bytes = try await access.bytes(key, limit: ArchiveLimits.objectSizeMax) else { return nil }
        let session = session
        return try await worker.value(.heavy) {
            Result { () throws(ArchiveError) in try ObjectDecoder.decode(bytes, key: key, start: start, keys: session.keys) }
        }.get()
    }

    private func archive<T>(_ body: () async throws(ArchiveError) -> T) async throws(ShipperError) -> T {
        do throws(ArchiveError) {
            return try await body()
        } catch {
            throw .archive(error)
        }
    }
}

extension SlotState {
    fileprivate func with(archiveID: ArchiveID, capabilities: StoreCapabilities) -> SlotState {
        var state = self
        state.archiveID = archiveID.bytes
        state.capabilities = capabilities.rawValue
        return state
    }
}
