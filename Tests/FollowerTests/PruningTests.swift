import Archive
import TestSupport
import Testing
import WAL

@testable import Follower

@Suite struct PruningTests {
    private static let allowance: @Sendable () -> any RetryWait = { SampleArchive.NoPatience() }

    private func prune(_ store: any ObjectStore, _ request: Pruning.Request) async throws -> (plan: Pruning.Plan, outcome: Pruning.Outcome) {
        let pruning = try await Pruning.open(store: store, log: SampleArchive.name, now: { 5 }, patience: Self.allowance)
        let plan = try await pruning.plan(request)
        return (plan, try await pruning.run(plan))
    }

    private func floor(_ archive: AuditedArchive) throws -> FloorDocument? {
        try archive.store.contents[archive.layout.floor].map { try FloorDocument(decoding: $0, key: archive.layout.floor) }
    }

    private func restore(_ archive: AuditedArchive, _ directory: String) async throws -> [SampleArchive.Entry] {
        let reader = try await ArchiveReader.open(store: archive.store, log: SampleArchive.name, keys: archive.keys, patience: Self.allowance)
        _ = try await Restore(reader).run(into: directory)
        return try SampleArchive.records(directory)
    }

    private func copy(_ archive: AuditedArchive) -> AuditedArchive {
        let store = MemoryObjectStore(capabilities: archive.lists ? MemoryObjectStore.everything : MemoryObjectStore.everything.subtracting(.list))
        for (key, bytes) in archive.store.contents { store.plant(key, bytes) }
        return AuditedArchive(store: store, layout: archive.layout, records: archive.records, keys: archive.keys, lists: archive.lists)
    }

    /// Whatever is asked for: the floor is a record at or below it, all from there on is restored, and what lies wholly below is gone.
    @Test(arguments: [false, true], [false, true])
    func everyRequestLeavesAnArchiveThatIsWhole(sealed: Bool, lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let made = try await AuditedArchive.make(in: directory, sealed: sealed, lists: lists)
            let end = made.records.last!.lsn.rawValue
            var lsns = Array(stride(from: UInt64(0), through: end + 5000, by: 1777))
            lsns += [4095, 4096, 4097, 8192, end, 1 << 60]
            for lsn in lsns {
                let archive = copy(made)
                let (plan, outcome) = try await prune(archive.store, .before(LSN(lsn)))
                let floor = try floor(archive)
                #expect(outcome.deleted == plan.keys.count && outcome.refused.isEmpty)
                #expect((floor?.lsn ?? .zero) <= LSN(lsn), "LSN \(lsn)")
                let kept = made.records.filter { $0.lsn >= floor?.lsn ?? .zero }
                #expect(kept.first?.lsn == floor?.lsn ?? .zero, "the floor is a record: LSN \(lsn)")
                if lsn > 9000 { #expect((floor?.lsn ?? .zero) > .zero, "LSN \(lsn)") }
                for key in archive.store.contents.keys {
                    guard case .object(let object)? = archive.layout.meaning(of: key), object.kind == .segment else { continue }
                    #expect((object.start.rawValue / 4096 + 1) * 4096 > (floor?.objectStart ?? .zero).rawValue, "\(key) with floor \(String(describing: floor))")
                }
                #expect(SampleArchive.isSame(try await restore(archive, "\(directory)/r\(lsn)"), kept), "LSN \(lsn)")
                #expect(try await archive.audit().findings.filter(\.isFault).isEmpty, "LSN \(lsn)")
                let again = try await prune(archive.store, .before(LSN(lsn)))
                #expect(again.plan.isEmpty, "nothing is left to do: LSN \(lsn)")
            }
        }
    }

    /// Never upwards again what is gone, and never down.
    @Test func theFloorOnlyRises() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            _ = try await prune(archive.store, .before(LSN(10_000)))
            let high = try floor(archive)
            _ = try await prune(archive.store, .before(LSN(5000)))
            #expect(try floor(archive) == high && (high?.lsn ?? .zero) > LSN(5000))
        }
    }

    /// Objects of which the time index says when they were durable: one entry a segment, at its last record.
    private func timed(_ archive: AuditedArchive, _ time: (Int) -> UInt64) throws {
        let segments = archive.store.contents.keys.filter { $0.path.contains("segments/") }.sorted { $0.path.suffix(24) < $1.path.suffix(24) }
        for (index, key) in segments.enumerated() {
            guard case .object(let object)? = archive.layout.meaning(of: key) else { continue }
            var decoded = try ObjectDecoder.decode(archive.store.contents[key]!, key: key, start: object.start)
            var metadata = decoded.metadata
            metadata.timeIndex = metadata.records.map { [.init(time: time(index), lsn: $0.last)] } ?? []
            archive.store.plant(key, try ObjectEncoder().encode(decoded.raw, metadata, level: 3).bytes)
            decoded = try ObjectDecoder.decode(archive.store.contents[key]!, key: key, start: object.start)
            #expect(decoded.metadata.timeIndex.count == 1)
        }
    }

    @Test func onlyWhatIsOldEnoughGoes() async throws {
        try await withTemporaryDirectory { directory in
            let made = try await AuditedArchive.make(in: directory)
            for time in [UInt64(0), 100, 150, 200, 450, 1 << 62] {
                let archive = copy(made)
                try timed(archive) { UInt64($0 + 1) * 100 }
                _ = try await prune(archive.store, .olderThan(time))
                let floor = try floor(archive)
                let old = time <= 100 ? 0 : min(Int((time - 1) / 100), 100)
                if old == 0 { #expect(floor == nil, "\(time)") } else { #expect(floor != nil, "\(time)") }
                #expect(try await archive.audit().findings.filter(\.isFault).isEmpty, "\(time)")
            }
            // A clock that was set back between two segments: what follows the step is not old.
            let archive = copy(made)
            try timed(archive) { $0 == 1 ? 1000 : 100 }
            _ = try await prune(archive.store, .olderThan(500))
            #expect(try floor(archive)?.objectStart == .zero)
        }
    }

    /// What a store does not let go is told and skipped; the rest goes, and another run asks for it again.
    @Test func whatIsLockedIsSkippedAndTold() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            archive.store.inject(.fail(ArchiveError(.unauthorized(status: 403), "locked")), into: .delete)
            let (plan, outcome) = try await prune(archive.store, .before(LSN(13_000)))
            #expect(plan.keys.count > 1 && outcome.refused.map(\.key) == [plan.keys[0]] && outcome.deleted == plan.keys.count - 1)
            let again = try await prune(archive.store, .before(LSN(13_000)))
            #expect(again.plan.floor == nil && again.plan.keys == [plan.keys[0]] && again.outcome.refused.isEmpty)
        }
    }

    @Test func nothingGoesOnceAnotherHasClaimed() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let pruning = try await Pruning.open(store: archive.store, log: SampleArchive.name, now: { 5 }, patience: Self.allowance)
            let plan = try await pruning.plan(.before(LSN(13_000)))
            let rival = ClaimDocument(epoch: EpochName(number: 3, id: EpochID(rawValue: 9)), host: "rival", time: 0)
            archive.store.plant(archive.layout.claim(3), try rival.encoded(for: archive.layout.claim(3)))
            let before = archive.store.contents
            let error = await #expect(throws: ArchiveError.self) { try await pruning.run(plan) }
            #expect(error?.code == .fenced && archive.store.contents == before)
            let opened = await #expect(throws: ArchiveError.self) { try await prune(archive.store, .before(LSN(13_000))) }
            #expect(opened?.code == .fenced)
        }
    }

    // MARK: Faults

    /// Each request of a run fails in turn, as if nothing was done and as if the reply was lost; the next run ends as an undisturbed one.
    @Test(arguments: [true, false])
    func whateverFailsTheNextRunEndsRight(lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let made = try await AuditedArchive.make(in: directory, lists: lists)
            let undisturbed = copy(made)
            _ = try await prune(undisturbed.store, .before(LSN(13_000)))
            for operation in [MemoryObjectStore.Operation.get, .list, .head, .replace, .delete] {
                for failing in 0..<undisturbed.store.count(of: operation) {
                    for isLost in [false, true] {
                        let archive = copy(made)
                        for _ in 0..<failing { archive.store.inject(.delay {}, into: operation) }
                        let error = ArchiveError(.unreachable, "no route", outcome: isLost ? .unknown : .notDone)
                        archive.store.inject(isLost ? .loseReply(error) : .fail(error), into: operation)
                        // What is not there answers so before a reply can be lost.
                        do { _ = try await prune(archive.store, .before(LSN(13_000))) } catch is ArchiveError {}
                        #expect(try await archive.audit().findings.filter(\.isFault).isEmpty, "\(operation) \(failing)")
                        _ = try await prune(archive.store, .before(LSN(13_000)))
                        #expect(archive.store.contents == undisturbed.store.contents, "\(operation) \(failing)")
                    }
                }
            }
        }
    }

    /// Beside a restore: pruned at each of its requests. It has everything, or begins at the new floor, or says that the archive was pruned.
    @Test func aRestoreBesideItEndsRightOrSaysThatItWasPruned() async throws {
        try await withTemporaryDirectory { directory in
            let made = try await AuditedArchive.make(in: directory)
            let undisturbed = copy(made)
            _ = try await restore(undisturbed, "\(directory)/undisturbed")
            var (whole, pruned, shorter) = (0, 0, 0)
            for operation in [MemoryObjectStore.Operation.get, .list, .head] {
                for request in 0..<undisturbed.store.count(of: operation) {
                    let archive = copy(made)
                    for _ in 0..<request { archive.store.inject(.delay {}, into: operation) }
                    archive.store.inject(.delay { Self.pruneQuietly(archive) }, into: operation)
                    do {
                        let place = "\(directory)/\(operation)\(request)"
                        let records = try await SampleArchive.withoutRemains(place) { try await restore(archive, place) }
                        if SampleArchive.isSame(records, made.records) { whole += 1 } else { shorter += 1 }
                        let floor = try floor(archive)?.lsn ?? .zero
                        #expect(SampleArchive.isSame(records, made.records) || SampleArchive.isSame(records, made.records.filter { $0.lsn >= floor }))
                    } catch let error as ArchiveError {
                        pruned += 1
                        #expect(error.code == .notFound && error.message.contains("pruned"), "\(operation) \(request): \(error)")
                    }
                }
            }
            #expect(whole > 0 && pruned > 0 && shorter > 0, "\(whole) \(pruned) \(shorter)")
        }
    }

    /// What a prune to LSN 13000 does, all at once, at this moment.
    private static func pruneQuietly(_ archive: AuditedArchive) {
        let layout = archive.layout
        let epoch = archive.store.contents.keys.compactMap { key -> EpochName? in
            if case .object(let object)? = layout.meaning(of: key), object.kind == .segment, object.start == LSN(12_288) { object.epoch } else { nil }
        }.first!
        let lsn = archive.records.first { $0.lsn >= LSN(12_288) }!.lsn
        let floor = FloorDocument(lsn: lsn, epoch: epoch, objectStart: LSN(12_288), time: 0)
        guard let bytes = try? floor.encoded(for: layout.floor) else { return }
        archive.store.plant(layout.floor, bytes)
        for key in archive.store.contents.keys {
            guard case .object(let object)? = layout.meaning(of: key), object.start < LSN(12_288) else { continue }
            archive.store.plant(key, nil)
        }
    }
}
