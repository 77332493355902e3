import Archive
import WAL

/// Agrees with the archive before anything is shipped: what its store can do, whose archive it is, that the epoch is ours, and where it
/// begins. Everything found or made is remembered in the slot before it is relied upon.
struct SessionOpening {
    let facts: LogFacts
    let slot: DestinationSlot
    let access: ArchiveAccess
    let claims: Claims
    let worker: LogWorker
    let time: any TimeSource
    let probesAgain: Bool
    let fencing: Fencing
    let host: String

    func open() async throws(ShipperError) -> ShipSession {
        let archiveID = try await agreeOnArchive()
        let epoch = EpochName(facts.epochs.current)
        let start: StartDocument
        do throws(ArchiveError) {
            try await refuseSuccessors(of: epoch)
            let isNew = try await own(epoch)
            // Two who made an archive at one moment, on a store that lets both, agree on one before anything is written under it.
            if isNew { _ = try await identify(expecting: archiveID) }
            start = try await startOfEpoch(epoch)
        } catch {
            throw .archive(error)
        }
        guard let epochStart = start.epoch.start, start.epoch.epoch == epoch else {
            throw .archive(ArchiveError(
                .diverged, "start.json names epoch \(start.epoch.epoch) instead of \(epoch)", key: access.layout.start(epoch.number),
                hint: "another writer has been here; nothing was changed"))
        }
        return ShipSession(
            logID: facts.logID, archiveID: archiveID, epoch: epoch, epochStart: epochStart,
            ancestry: start.epochs.map { Epoch(number: $0.epoch.number, id: $0.epoch.id, start: $0.fork) },
            line: start.epochs.compactMap { entry in entry.start.map { ShipSession.Place(epoch: entry.epoch, start: $0) } })
    }

    // MARK: Whose archive it is

    private func agreeOnArchive() async throws(ShipperError) -> ArchiveID {
        let known = slot.state
        let remembered = StoreCapabilities(rawValue: known.capabilities)
        let found: ArchiveID
        let capabilities: StoreCapabilities
        do throws(ArchiveError) {
            if remembered.contains(.probed), !probesAgain {
                await access.store.assume(remembered)
                capabilities = remembered
            } else {
                capabilities = try await access.retrying { () throws(ArchiveError) in
                    try await access.store.probe(prefix: access.layout.probe)
                }
            }
            if let refusal = fencing.refusal(capabilities, of: access.store.name) { throw refusal }
            found = try await identify(expecting: known.archiveID == .zero ? nil : ArchiveID(known.archiveID))
        } catch {
            throw .archive(error)
        }
        if known.archiveID != found.bytes || known.capabilities != capabilities.rawValue {
            let slot = slot
            try await worker.run(.light) { () throws(WALError) in
                try slot.update { state in
                    state.archiveID = found.bytes
                    state.capabilities = capabilities.rawValue
                }
            }
        }
        return found
    }

    /// The archive's id, made with its log.json where there is none.
    private func identify(expecting expected: ArchiveID?) async throws(ArchiveError) -> ArchiveID {
        let key = access.layout.logDocument
        var document: LogDocument?
        do throws(ArchiveError) {
            document = try await access.document(LogDocument.self, key)
        } catch where error.code == .damaged && expected == nil {
            // Cut short by a crash at birth: created again below.
            document = nil
        }
        if document == nil {
            if let expected {
                throw ArchiveError(
                    .diverged, "log.json is gone: the slot \(slot.name) belongs to archive \(expected)", key: key,
                    hint: "bring the archive back, or drop the slot to begin a new archive")
            }
            var generator = SystemRandomNumberGenerator()
            document = try await access.createOnce(
                LogDocument(logID: facts.logID, archiveID: .random(using: &generator), segmentSize: facts.segmentSize), at: key)
        }
        guard let document else { throw ArchiveError(.damaged, "log.json cannot be read", key: key) }
        guard document.logID == facts.logID else {
            throw ArchiveError(
                .diverged, "this is the archive of another log, \(document.logID), not of \(facts.logID)", key: key,
                hint: "choose another archive for this log; nothing was changed")
        }
        guard document.segmentSize == facts.segmentSize else {
            throw ArchiveError(
                .diverged, "the archive's segments have \(document.segmentSize) bytes, the log's \(facts.segmentSize)", key: key,
                hint: "choose another archive for this log; nothing was changed")
        }
        if let expected, expected != document.archiveID {
            throw ArchiveError(
                .diverged, "another archive (\(document.archiveID)) lies where \(expected) was", key: key,
                hint: "bring the first one back, or drop the slot \(slot.name) to ship to this one from what the log still has")
        }
        return document.archiveID
    }

    // MARK: Whose epoch it is

    /// An epoch past ours that left names here is a successor, whatever has become of its claim. Seen where the store lists.
    private func refuseSuccessors(of epoch: EpochName) async throws(ArchiveError) {
        guard let trace = try await traces.first(.heads, where: { $0.number > epoch.number }) else { return }
        throw ArchiveError(
            .fenced, "epoch \(epoch) has a successor here, \(trace.epoch)", key: trace.key,
            hint: "another copy of this log was promoted; this one must not go on, let it rejoin as a follower")
    }

    private var traces: EpochTraces {
        EpochTraces(layout: access.layout) { [access] (prefix) throws(ArchiveError) in try await access.listed(prefix) }
    }

    /// Claims the epoch of the log, or finds it claimed; true where it may be new to this archive. Numbers that this archive has not seen are claimed
    /// first, one after another, with the ids that the log knows, so that none is skipped.
    private func own(_ epoch: EpochName) async throws(ArchiveError) -> Bool {
        if isKnown(epoch) {
            guard try await claims.readable(epoch.number) != nil else {
                throw ArchiveError(
                    .fenced, "the claim of epoch \(epoch) is gone", key: access.layout.claim(epoch.number),
                    hint: "somebody has changed this archive; look at it before anything else is written there")
            }
            try await requireOurs(epoch)
            return false
        }
        let found = try await claims.readable(epoch.number)
        if found == nil {
            // A claim stops whoever writes now. None is made for a log that could not go on here.
            try await requireContinuation(epoch)
            try await claimUp(to: epoch)
        } else if found?.epoch == epoch, try await startDocument(epoch) == nil {
            // Ours, from a start that was interrupted, perhaps a moment ago.
            try await win(epoch)
        }
        try await requireOurs(epoch)
        return true
    }

    /// Whether this destination's slot has shipped under the epoch before.
    private func isKnown(_ epoch: EpochName) -> Bool {
        slot.state.epochNumber == epoch.number && slot.state.epoch == epoch.id
    }

    /// The log's history is the archive's, as far as that goes, and nobody else has begun its epoch. Reads only.
    private func requireContinuation(_ epoch: EpochName) async throws(ArchiveError) {
        if let begun = try await startDocument(epoch)?.epoch.epoch, begun != epoch {
            throw ArchiveError(
                .diverged, "epoch \(begun) has begun here, which this log is not of", key: access.layout.start(epoch.number),
                hint: "restore this archive, or ship to another one; nothing was changed")
        }
        if let trace = try await traces.first(.heads, where: { $0.number == epoch.number && $0 != epoch }) {
            throw ArchiveError(
                .fenced, "epoch \(trace.epoch) was here, and its claim is gone", key: trace.key,
                hint: "bring the documents below epochs/ back from another copy of the archive; nothing was changed")
        }
        _ = try await EpochPlace(facts: facts, access: access).find(parent: try await nearestStart(below: epoch.number))
    }

    private func claimUp(to epoch: EpochName) async throws(ArchiveError) {
        let table = facts.epochs.epochs
        let oldest = table[0]
        func name(_ number: UInt64) -> EpochName {
            // Numbers older than the log remembers belong to nobody any more: its oldest ancestor's id holds their place.
            EpochName(number: number, id: (table.first { $0.number == number } ?? oldest).id)
        }
        var from: UInt64 = 1
        var number = epoch.number - 1
        while number >= 1 {
            if let found = try await claims.readable(number) {
                if number >= oldest.number, found.epoch != name(number) {
                    throw ArchiveError(
                        .fenced, "epoch \(number) belongs to \(found.epoch.id) here, and to \(name(number).id) in this log",
                        key: access.layout.claim(number), hint: "the archive has another history; restore it to see which one is wanted")
                }
                from = number + 1
                break
            }
            number -= 1
        }
        for number in from...epoch.number { try await win(name(number)) }
    }

    private func win(_ epoch: EpochName) async throws(ArchiveError) {
        guard case .lost(let other) = try await claims.claim(epoch, host: host, time: time.now()) else { return }
        throw ArchiveError(
            .fenced, "epoch \(epoch.number) was claimed by another writer (\(other))", key: access.layout.claim(epoch.number),
            hint: "only one of the two may go on; the other is restored or rejoins as a follower")
    }

    private func requireOurs(_ epoch: EpochName) async throws(ArchiveError) {
        if let error = FencingLook.error(try await claims.look(epoch), epoch, access.layout) { throw error }
    }

    // MARK: Where it begins

    /// Nil where there is none, or one that a crash cut short.
    private func startDocument(_ epoch: EpochName) async throws(ArchiveError) -> StartDocument? {
        do throws(ArchiveError) {
            return try await access.document(StartDocument.self, access.layout.start(epoch.number))
        } catch where error.code == .damaged {
            return nil
        }
    }

    private func startOfEpoch(_ epoch: EpochName) async throws(ArchiveError) -> StartDocument {
        if let found = try await startDocument(epoch) { return found }
        let parent = try await nearestStart(below: epoch.number)
        let place = try await placeOfEpoch(epoch, parent)
        // What is written now is read by everybody, whoever owns the epoch.
        try await requireOurs(epoch)
        if place.isFloor, place.start > .zero {
            let floorKey = access.layout.floor
            let known = try await access.document(FloorDocument.self, floorKey)
            if known.map({ $0.lsn < place.start }) ?? true {
                try await access.replace(
                    FloorDocument(lsn: place.start, epoch: epoch, objectStart: place.start, time: time.now()), floorKey)
            }
        }
        let document = try await access.createOnce(
            EpochPlace.document(table: facts.epochs, parent: parent, start: place.start), at: access.layout.start(epoch.number))
        // Not believed before another look: on a store that ignores conditions a rival may have made it at the same moment.
        try await requireOurs(epoch)
        return document
    }

    /// An epoch that has begun is not begun again elsewhere: what was archived before would not be read any more.
    private func placeOfEpoch(_ epoch: EpochName, _ parent: StartDocument?) async throws(ArchiveError) -> EpochPlace.Found {
        // Its start.json was lost. The slot knows what it said.
        if isKnown(epoch) { return EpochPlace.Found(start: slot.state.epochStart, isFloor: false) }
        try await requireNothingShipped(epoch)
        return try await EpochPlace(facts: facts, access: access).find(parent: parent)
    }

    /// The start.json of the newest epoch below `number` that ever began here; epochs that were claimed and never written in have none.
    private func nearestStart(below number: UInt64) async throws(ArchiveError) -> StartDocument? {
        var number = number
        while number > 1 {
            number -= 1
            guard let found = try await access.document(StartDocument.self, access.layout.start(number)) else {
                // Claimed and never begun, as far as can be seen.
                if let claim = try await claims.readable(number) { try await requireNothingShipped(claim.epoch) }
                continue
            }
            guard facts.epochs.epochs.contains(where: { EpochName($0) == found.epoch.epoch }) else {
                throw ArchiveError(
                    .diverged, "epoch \(found.epoch.epoch) was shipped here and is not in this log's history", key: access.layout.start(number),
                    hint: "restore this archive, or ship to another one")
            }
            return found
        }
        return nil
    }

    /// Throws `.gap` where start.json of this epoch, which is not there, must have been lost: something was shipped under it. Known wherever the store
    /// lists, else as far as its head document tells.
    private func requireNothingShipped(_ epoch: EpochName) async throws(ArchiveError) {
        let layout = access.layout
        var trace: ObjectKey?
        for prefix in [layout.segments(epoch), layout.tails(epoch), layout.gaps(epoch)] where trace == nil {
            trace = try await access.listed(prefix)?.first
        }
        // A promotion writes a head before start.json: with nothing behind it, and durable at the fork.
        if trace == nil, let head = try await access.head(epoch) {
            let fork = facts.epochs.epochs.first { EpochName($0) == epoch }?.start ?? head.durable
            if head.archived > head.checkpoint || head.durable > fork { trace = layout.head(epoch) }
        }
        guard let trace else { return }
        throw ArchiveError(
            .gap, "start.json is missing, although epoch \(epoch) has begun here (\(trace))", key: layout.start(epoch.number),
            hint: "bring the document back from another copy of the archive; nothing was changed")
    }
}

/// What a look at the claims means for a shipper.
enum FencingLook {
    /// Nil where the epoch is still ours.
    static func error(_ look: Claims.Look, _ epoch: EpochName, _ layout: Layout) -> ArchiveError? {
        switch look {
        case .ours: nil
        case .lost(let other):
            ArchiveError(
                .fenced, "epoch \(epoch) belongs to \(other.map(\.description) ?? "nobody") now", key: layout.claim(epoch.number),
                hint: "another writer has taken this archive; nothing was changed")
        case .superseded(let next):
            ArchiveError(
                .fenced, "epoch \(epoch) has a successor, \(next.map(\.description) ?? "which is being claimed")", key: layout.claim(epoch.number + 1),
                hint: "another copy of this log was promoted; this one must not go on, let it rejoin as a follower")
        }
    }
}
