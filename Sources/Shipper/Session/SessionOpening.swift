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
    let host: String

    func open() async throws(ShipperError) -> ShipSession {
        let archiveID = try await agreeOnArchive()
        let epoch = EpochName(facts.epochs.current)
        try await own(epoch)
        let start: StartDocument
        do throws(ArchiveError) {
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
            ancestry: start.epochs.map { Epoch(number: $0.epoch.number, id: $0.epoch.id, start: $0.fork) })
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
            document = try await access.document(LogDocument.self, at: key)
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

    /// Claims the epoch of the log, or finds it claimed. Numbers that this archive has not seen are claimed first, one after
    /// another, with the ids that the log knows, so that none is skipped.
    private func own(_ epoch: EpochName) async throws(ShipperError) {
        do throws(ArchiveError) {
            if try await claims.readable(epoch.number) == nil {
                guard slot.state.epochNumber != epoch.number else {
                    throw ArchiveError(
                        .fenced, "the claim of epoch \(epoch) is gone", key: access.layout.claim(epoch.number),
                        hint: "somebody has changed this archive; look at it before anything else is written there")
                }
                try await claimUp(to: epoch)
            }
            try await requireOurs(epoch)
        } catch {
            throw .archive(error)
        }
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
        for number in from...epoch.number {
            if case .lost(let other) = try await claims.claim(name(number), host: host, time: time.now()) {
                throw ArchiveError(
                    .fenced, "epoch \(number) was claimed by another writer (\(other))", key: access.layout.claim(number),
                    hint: "only one of the two may go on; the other is restored or rejoins as a follower")
            }
        }
    }

    private func requireOurs(_ epoch: EpochName) async throws(ArchiveError) {
        if let error = FencingLook.error(try await claims.look(epoch), epoch, access.layout) { throw error }
    }

    // MARK: Where it begins

    private func startOfEpoch(_ epoch: EpochName) async throws(ArchiveError) -> StartDocument {
        let key = access.layout.start(epoch.number)
        do throws(ArchiveError) {
            if let found = try await access.document(StartDocument.self, at: key) { return found }
        } catch where error.code == .damaged {
            // Cut short by a crash: nothing has begun under it, so it is made again.
        }
        let parent = try await nearestStart(below: epoch.number)
        let place = try await EpochPlace(facts: facts, access: access).find(parent: parent)
        if place.isFloor, place.start > .zero {
            let floorKey = access.layout.floor
            let known = try await access.document(FloorDocument.self, at: floorKey)
            if known.map({ $0.lsn < place.start }) ?? true {
                try await access.replace(
                    FloorDocument(lsn: place.start, epoch: epoch, objectStart: place.start, time: time.now()), at: floorKey)
            }
        }
        return try await access.createOnce(EpochPlace.document(table: facts.epochs, parent: parent, start: place.start), at: key)
    }

    /// The start.json of the newest epoch below `number` that ever began here; epochs that were claimed and never written in have none.
    private func nearestStart(below number: UInt64) async throws(ArchiveError) -> StartDocument? {
        var number = number
        while number > 1 {
            number -= 1
            guard let found = try await access.document(StartDocument.self, at: access.layout.start(number)) else { continue }
            guard facts.epochs.epochs.contains(where: { EpochName($0) == found.epoch.epoch }) else {
                throw ArchiveError(
                    .diverged, "epoch \(found.epoch.epoch) was shipped here and is not in this log's history", key: access.layout.start(number),
                    hint: "restore this archive, or ship to another one")
            }
            return found
        }
        return nil
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
                .fenced, "epoch \(epoch) has a successor, \(next)", key: layout.claim(next.number),
                hint: "another copy of this log was promoted; this one must not go on, let it rejoin as a follower")
        }
    }
}
