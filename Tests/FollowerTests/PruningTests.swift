import Archive
import Foundation
import TestSupport
import Testing
import WAL

@testable import Follower

@Suite struct PruningTests {
    private static let allowance: @Sendable () -> any RetryWait = { SampleArchive.NoPatience() }

    private func prune(_ store: any ObjectStore, _ request: Pruning.Request, keys: KeyRing = .none) async throws -> (plan: Pruning.Plan, outcome: Pruning.Outcome) {
        let pruning = try await Pruning.open(store: store, log: SampleArchive.name, keys: keys, now: { 5 }, patience: Self.allowance)
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
            let closed = try made.closedRecords()
            var lsns = Array(stride(from: UInt64(0), through: end + 5000, by: 1777))
            lsns += [4095, 4096, 4097, 8192, end, 1 << 60]
            for lsn in lsns {
                let archive = copy(made)
                let (plan, outcome) = try await prune(archive.store, .before(LSN(lsn)), keys: archive.keys)
                let floor = try floor(archive)
                #expect(outcome.deleted == plan.keys.count && outcome.refused.isEmpty)
                #expect((floor?.lsn ?? .zero) <= LSN(lsn), "LSN \(lsn)")
                let kept = made.records.filter { $0.lsn >= floor?.lsn ?? .zero }
                #expect(kept.first?.lsn == floor?.lsn ?? .zero, "the floor is a record: LSN \(lsn)")
                // The last record at or below the request that lies in a closed segment, or one a little before it: of an object's first nobody knows what it goes on from.
                let last = made.records.last { $0.lsn <= LSN(lsn) && closed.contains($0.lsn) }?.lsn ?? .zero
                #expect((floor?.lsn ?? .zero) >= LSN(last.rawValue - min(last.rawValue, 700)), "LSN \(lsn): \(last)")
                for key in archive.store.contents.keys {
                    guard case .object(let object)? = archive.layout.meaning(of: key), object.kind == .segment else { continue }
                    #expect((object.start.rawValue / 4096 + 1) * 4096 > (floor?.objectStart ?? .zero).rawValue, "\(key) with floor \(String(describing: floor))")
                }
                #expect(SampleArchive.isSame(try await restore(archive, "\(directory)/r\(lsn)"), kept), "LSN \(lsn)")
                #expect(try await archive.audit().findings.filter(\.isFault).isEmpty, "LSN \(lsn)")
                let again = try await prune(archive.store, .before(LSN(lsn)), keys: archive.keys)
                #expect(again.plan.isEmpty, "nothing is left to do: LSN \(lsn)")
            }
        }
    }

    /// Batches are not cut, whatever the request: with a key or without, with commit times or without.
    @Test(arguments: [false, true], [false, true])
    func noBatchIsCut(sealed: Bool, timed: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/log"
            let log = try SegmentedLog.open(directory: path, segmentSize: 4096)
            var places: [LSN] = []
            for number in 0..<60 {
                var batch = RecordBatch()
                // One is longer than three segments.
                for index in 0..<(number == 30 ? 60 : 1 + number % 7) { batch.append([UInt8](repeating: UInt8(index), count: 200)) }
                places.append(try log.append(batch: batch)[0])
            }
            try log.close()
            let key = sealed ? AuditedArchive.key : nil
            let shipped = MemoryObjectStore()
            let builder = try await ArchiveBuilder(store: shipped, directory: path, sealing: key)
            builder.times = { range in timed ? places.filter { $0 > range.lowerBound && $0 <= range.upperBound && $0.rawValue % 3 == 0 }.map { .init(time: 7, lsn: $0) } : [] }
            try await builder.ship()
            let contents = shipped.contents
            for hasKey in sealed ? [false, true] : [true] {
                for request in stride(from: UInt64(0), through: places.last!.rawValue + 900, by: 1013) {
                    let store = MemoryObjectStore()
                    for (key, bytes) in contents { store.plant(key, bytes) }
                    let keys = hasKey ? key.map { KeyRing(current: $0) } ?? .none : .none
                    _ = try await prune(store, .before(LSN(request)), keys: keys)
                    let floor = try store.contents[builder.layout.floor].map { try FloorDocument(decoding: $0, key: builder.layout.floor).lsn } ?? .zero
                    #expect(floor <= LSN(request) && places.contains(floor), "request \(request): floor \(floor)")
                    guard hasKey, request > 1000 else { continue }
                    #expect(floor > .zero, "request \(request)")
                    guard request / 1013 % 9 == 0 else { continue }
                    let reader = try await ArchiveReader.open(store: store, log: SampleArchive.name, keys: keys, patience: Self.allowance)
                    let restored = "\(directory)/r\(request)"
                    _ = try await Restore(reader).run(into: restored)
                    #expect(try SampleArchive.records(restored).first?.lsn == floor)
                }
            }
        }
    }

    /// The epoch before a promotion mostly ends in tails that no segment ever took the place of. What lies behind is pruned all the same.
    @Test(arguments: [true, false])
    func thePastBeforeAPromotionGoes(lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, lists: lists)
            let start = try StartDocument(decoding: archive.store.contents[archive.layout.start(2)]!, key: archive.layout.start(2)).epoch.start!
            #expect(archive.store.contents.keys.contains { $0.path.contains("tail/0000000001") })
            _ = try await prune(archive.store, .before(LSN(1 << 60)))
            let floor = try #require(try floor(archive))
            let newest = try archive.newestSegment()
            #expect(floor.lsn > start && floor.epoch.number == 2 && floor.objectStart == newest?.start)
            #expect(!archive.store.contents.keys.contains { $0.path.contains("segments/0000000001") })
            if lists { #expect(!archive.store.contents.keys.contains { $0.path.contains("tail/0000000001") }) }
            #expect(try await archive.audit().findings.filter(\.isFault).isEmpty)
            // Times of the tails count as those of segments do.
            for time in [UInt64(100), 1000] {
                let timed = try await AuditedArchive.make(in: try Self.fresh(directory, "\(time)"), lists: lists)
                try self.timed(timed) { _ in 50 }
                try self.timedTails(timed, time)
                _ = try await prune(timed.store, .olderThan(500))
                let reached = try #require(try self.floor(timed)).lsn
                #expect(time < 500 ? reached > start : reached < start, "\(time): \(reached)")
            }
        }
    }

    private static func fresh(_ directory: String, _ name: String) throws -> String {
        try FileManager.default.createDirectory(atPath: "\(directory)/\(name)", withIntermediateDirectories: true)
        return "\(directory)/\(name)"
    }

    private func timedTails(_ archive: AuditedArchive, _ time: UInt64) throws {
        for key in archive.store.contents.keys where key.path.contains("tail/") {
            guard case .object(let object)? = archive.layout.meaning(of: key) else { continue }
            let decoded = try ObjectDecoder.decode(archive.store.contents[key]!, key: key, start: object.start)
            var metadata = decoded.metadata
            metadata.timeIndex = [.init(time: time, lsn: metadata.end)]
            archive.store.plant(key, try ObjectEncoder().encode(decoded.raw, metadata, level: 3).bytes)
        }
    }

    /// A gap that begins and ends inside segments: what lies before it are tails, and the object behind it begins where no segment does.
    @Test(arguments: [true, false])
    func aGapInsideSegmentsHoldsNothingUp(lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/log"
            let records = try SampleArchive.write(path, count: 90)
            for request in [5500, 7000, 9000] as [UInt64] {
                let store = MemoryObjectStore(capabilities: lists ? MemoryObjectStore.everything : MemoryObjectStore.everything.subtracting(.list))
                let builder = try await ArchiveBuilder(store: store, directory: path)
                try await builder.object(.segment, .zero..<LSN(4096))
                try await builder.object(.tail(level: 0), LSN(4096)..<LSN(4700))
                try await builder.object(.tail(level: 0), LSN(4700)..<LSN(5000))
                try await builder.gap(LSN(5000)..<LSN(6000), reason: "dropped")
                try await builder.object(.segment, LSN(6000)..<LSN(8192))
                try await builder.object(.segment, LSN(8192)..<LSN(12_288))
                try await builder.head(archived: LSN(12_288), checkpoint: LSN(12_288))
                _ = try await prune(store, .before(LSN(request)))
                let floor = try #require(try store.contents[builder.layout.floor].map { try FloorDocument(decoding: $0, key: builder.layout.floor) })
                #expect(floor.objectStart == LSN(request == 5500 ? 0 : request == 7000 ? 6000 : 8192), "\(request)")
                var findings: [AuditFinding] = []
                _ = try await ArchiveAudit(store: store, log: SampleArchive.name, patience: Self.allowance).run { findings.append($0) }
                #expect(findings.filter(\.isFault).map(\.kind) == (request == 5500 ? [.gap] : []), "\(request): \(findings)")
                guard request > 6000 else { continue }
                let reader = try await ArchiveReader.open(store: store, log: SampleArchive.name, patience: Self.allowance)
                let restored = "\(directory)/r\(request)"
                _ = try await Restore(reader).run(into: restored)
                let kept = records.filter { $0.lsn >= floor.lsn && $0.lsn.advanced(by: UInt64($0.data.count) + 8) <= LSN(12_288) }
                #expect(SampleArchive.isSame(try SampleArchive.records(restored), kept), "\(request)")
            }
        }
    }

    /// What was lost below the request is not waited for, where names can be listed; a time does not go past it.
    @Test func aHoleBelowTheRequestHoldsNothingUp() async throws {
        try await withTemporaryDirectory { directory in
            let made = try await AuditedArchive.make(in: directory)
            for (lost, bytes) in [([0], nil), ([4096], nil), ([4096, 8192], nil), ([4096], []), ([0, 8192], [1, 2, 3])] as [([UInt64], [UInt8]?)] {
                let archive = copy(made)
                for start in lost { archive.store.plant(archive.layout.segment(try archive.epochs[0], start: LSN(start)), bytes) }
                #expect(try await !archive.audit().findings.filter(\.isFault).isEmpty)
                let early = copy(archive)
                _ = try await prune(early.store, .before(LSN(lost[0])))
                #expect(try floor(early)?.lsn ?? .zero <= LSN(lost[0]))
                if bytes != nil, lost[0] == 4096 {
                    let error = await #expect(throws: ArchiveError.self) { try await prune(early.store, .olderThan(1 << 62)) }
                    #expect(error?.code == .damaged)
                }
                _ = try await prune(archive.store, .before(LSN(14_000)))
                #expect(try floor(archive)?.objectStart == LSN(12_288), "\(lost)")
                #expect(try await archive.audit().findings.filter(\.isFault).isEmpty, "\(lost)")
            }
        }
    }

    /// Another object of the same start takes its place between the look at its metadata and the whole read, at whichever request: told, not trapped over.
    @Test func anObjectThatBecomesAnotherOneIsToldOf() async throws {
        try await withTemporaryDirectory { directory in
            let made = try await AuditedArchive.make(in: directory)
            let key = try #require(made.store.contents.keys.first { key in
                guard case .object(let object)? = made.layout.meaning(of: key) else { return false }
                return object.kind == .segment && object.start == LSN(12_288)
            })
            let decoded = try ObjectDecoder.decode(made.store.contents[key]!, key: key, start: LSN(12_288))
            let begin = try #require(decoded.metadata.records).first.distance(from: LSN(12_288))
            try #require(begin > 1)
            let old = decoded.metadata
            let tail = ObjectMetadata(
                kind: .tail(level: 0), logID: old.logID, archiveID: old.archiveID, epoch: old.epoch, epochStart: old.epochStart, start: old.start,
                end: old.start.advanced(by: 1), records: nil, precedingDigest: nil, ancestry: old.ancestry, timeIndex: [])
            let bytes = try ObjectEncoder().encode([decoded.raw[0]], tail, level: 3).bytes
            let undisturbed = copy(made)
            _ = try await prune(undisturbed.store, .before(LSN(13_000)))
            var told = 0
            for request in 0..<undisturbed.store.count(of: .get) {
                let archive = copy(made)
                for _ in 0..<request { archive.store.inject(.delay {}, into: .get) }
                archive.store.inject(.delay { archive.store.plant(key, bytes) }, into: .get)
                do { _ = try await prune(archive.store, .before(LSN(13_000))) } catch let error as ArchiveError {
                    #expect(error.code == .diverged, "\(request): \(error)")
                    told += error.message.contains("a moment ago") ? 1 : 0
                }
            }
            #expect(told > 0)
        }
    }

    // MARK: Two at a time

    /// A second prune with a lower floor, all of it at each request of the first one: the floor ends at the higher one, and nothing above it is gone.
    @Test(arguments: [true, false])
    func twoAtATimeDoNoHarm(lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let made = try await AuditedArchive.make(in: directory, lists: lists)
            let undisturbed = copy(made)
            _ = try await prune(undisturbed.store, .before(LSN(13_000)))
            let wanted = try #require(try floor(undisturbed)).lsn
            for operation in [MemoryObjectStore.Operation.get, .list, .head, .replace, .delete] {
                for request in 0..<undisturbed.store.count(of: operation) {
                    let archive = copy(made)
                    // One that read the floor before the other wrote its own, and writes afterwards.
                    let lower = FloorDocument(
                        lsn: made.records.first { $0.lsn >= LSN(4096) }!.lsn, epoch: try made.epochs[0], objectStart: LSN(4096), time: 1)
                    let bytes = try lower.encoded(for: archive.layout.floor)
                    let key = archive.layout.floor
                    for _ in 0..<request { archive.store.inject(.delay {}, into: operation) }
                    archive.store.inject(.delay { archive.store.plant(key, bytes) }, into: operation)
                    do { _ = try await prune(archive.store, .before(LSN(13_000))) } catch let error as ArchiveError { #expect(error.code == .diverged, "\(operation) \(request): \(error)") }
                    let floor = try #require(try floor(archive)).lsn
                    #expect(floor == wanted, "\(operation) \(request): \(floor)")
                    #expect(try await archive.audit().findings.filter(\.isFault).isEmpty, "\(operation) \(request)")
                }
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
