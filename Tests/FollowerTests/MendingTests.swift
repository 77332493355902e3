@testable import Archive
import Foundation
import TestSupport
import Testing
import WAL

@testable import Follower

@Suite struct MendingTests {
    private static let allowance: @Sendable () -> any RetryWait = { SampleArchive.NoPatience() }

    private func reader(_ archive: AuditedArchive, _ store: (any ObjectStore)? = nil) async throws -> ArchiveReader {
        try await ArchiveReader.open(store: store ?? archive.store, log: SampleArchive.name, keys: archive.keys, patience: Self.allowance)
    }

    /// Mends the archive; returns what was put, and what could not be.
    private func mend(
        _ archive: AuditedArchive, from source: MendingSource
    ) async throws -> (put: [ArchiveMending.Step], obstacles: [ArchiveMending.Obstacle]) {
        let (summary, findings) = try await archive.audit()
        let mending = try await mending(archive, summary, from: source)
        var put: [ArchiveMending.Step] = []
        var obstacles: [ArchiveMending.Obstacle] = []
        try await mending.mend(findings) { step in
            if try await mending.put(step) { put.append(step) }
        } _: { obstacles.append($0) }
        return (put, obstacles)
    }

    private func mending(_ archive: AuditedArchive, _ summary: AuditSummary, from source: MendingSource) async throws -> ArchiveMending {
        try await ArchiveMending(store: archive.store, log: SampleArchive.name, keys: archive.keys, audited: summary, from: source, patience: Self.allowance)
    }

    private func copy(_ archive: AuditedArchive) -> MemoryObjectStore {
        let store = MemoryObjectStore()
        for (key, bytes) in archive.store.contents { store.plant(key, bytes) }
        return store
    }

    /// Each object and each document that a copy can give, damaged and taken away in turn, comes back byte by byte; nothing else is touched.
    @Test(arguments: [false, true])
    func whatACopyHasComesBackAsItWas(sealed: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, sealed: sealed)
            let whole = archive.store.contents
            let source = copy(archive)
            for key in whole.keys.sorted() {
                guard case .object(let object)? = archive.layout.meaning(of: key), object.kind == .segment else { continue }
                for isMissing in [false, true] {
                    archive.store.plant(key, isMissing ? nil : Array(whole[key]!.dropLast(3)))
                    let (put, obstacles) = try await mend(archive, from: .archive(try await reader(archive, source)))
                    // The last segment of an epoch has nobody behind it that would name its digest, where its own metadata is gone too.
                    if put.isEmpty {
                        #expect(isMissing && obstacles.count == 1 && obstacles[0].reason.contains("nothing says what was in it"), "\(key): \(obstacles)")
                        archive.store.plant(key, whole[key])
                    }
                    #expect(archive.store.contents == whole, "\(key)")
                }
            }
        }
    }

    @Test func theLogGivesBackWhatItStillHas() async throws {
        try await withTemporaryDirectory { directory in
            for sealed in [false, true] {
                let place = "\(directory)/\(sealed)"
                try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
                let archive = try await AuditedArchive.make(in: place, sealed: sealed)
                let whole = archive.store.contents
                let log = try LogReader.open(directory: "\(place)/restored")
                defer { log.close() }
                let segments = whole.keys.filter { $0.path.contains("segments/") }.sorted()
                for key in segments.dropLast() {
                    archive.store.plant(key, Array(whole[key]!.dropLast(3)))
                    let (put, obstacles) = try await mend(archive, from: .log(log))
                    #expect(put.map(\.key) == [key] && obstacles.isEmpty, "\(key): \(obstacles)")
                    #expect(try await archive.audit().findings.filter(\.isFault).isEmpty)
                    #expect(try await archive.isRestoredRightOrNotAtAll(into: "\(place)/r-\(key.path.suffix(30).filter { $0 != "/" })"))
                }
            }
        }
    }

    /// Another log's bytes, other bytes of the same log, and a copy that is damaged in the same place: none of it is put.
    @Test func whatIsNotProvenIsNotPut() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let key = archive.store.contents.keys.filter { $0.path.contains("segments/") }.sorted()[0]
            let bad = Array(archive.store.contents[key]!.dropLast(3))
            archive.store.plant(key, bad)
            let damagedCopy = copy(archive)
            let (put, obstacles) = try await mend(archive, from: .archive(try await reader(archive, damagedCopy)))
            #expect(put.isEmpty && obstacles.count == 1 && archive.store.contents[key] == bad)
            let other = MemoryObjectStore()
            try SampleArchive.write("\(directory)/other", count: 120, seed: 9)
            try await ArchiveBuilder(store: other, directory: "\(directory)/other").ship()
            let foreign = try await reader(archive, other)
            await #expect(throws: ArchiveError.self) { try await mend(archive, from: .archive(foreign)) }
            #expect(archive.store.contents[key] == bad)
        }
    }

    @Test func whatIsIntactByNowStays() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let whole = archive.store.contents
            let key = whole.keys.filter { $0.path.contains("segments/") }.sorted()[0]
            archive.store.plant(key, nil)
            let source = copy(archive)
            source.plant(key, whole[key])
            let (summary, findings) = try await archive.audit()
            let mending = try await mending(archive, summary, from: .archive(try await reader(archive, source)))
            var isDone: Bool?
            try await mending.mend(findings) { step in
                // The shipper was faster.
                archive.store.plant(key, whole[key])
                isDone = try await mending.put(step)
            } _: { _ in }
            #expect(isDone == false && archive.store.contents == whole)
        }
    }

    /// Every document but heads, damaged and taken away in turn, also those without which nothing else can be read.
    @Test(arguments: [false, true])
    func documentsComeFromACopy(sealed: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, sealed: sealed, gap: true)
            // A floor, and the gap above it.
            let gap = archive.store.contents.keys.first { $0.path.contains("gaps/") }!
            let first = archive.layout.segment(try #require(archive.epochs.first), start: .zero, isEncrypted: sealed)
            try await archive.prune(before: LSN(9000))
            let whole = archive.store.contents
            #expect(whole[archive.layout.floor] != nil && whole[gap] == nil && whole[first] == nil)
            let source = copy(archive)
            for key in whole.keys.sorted() where key.path.hasSuffix(".json") && !key.path.contains("heads/") {
                for isMissing in [false, true] {
                    var bad = whole[key]!
                    bad[3] ^= 1
                    archive.store.plant(key, isMissing ? nil : bad)
                    let (put, obstacles) = try await mend(archive, from: .archive(try await reader(archive, source)))
                    #expect(put.map(\.key) == [key] && obstacles.isEmpty && archive.store.contents == whole, "\(key) \(isMissing): \(obstacles)")
                    archive.store.plant(key, whole[key])
                }
            }
        }
    }

    /// The floor of a copy that was pruned further is not taken, neither over a hole nor in the place of a damaged one: it would give up what is still here.
    @Test(arguments: [false, true])
    func aFloorThatWouldHideWhatIsHereIsNotTaken(lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, lists: lists)
            let whole = archive.store.contents
            try await archive.prune(before: LSN(13_000))
            let source = copy(archive)
            #expect(source.contents[archive.layout.floor] != nil)
            for isPruned in [false, true] {
                for key in archive.store.contents.keys { archive.store.plant(key, nil) }
                for (key, bytes) in whole { archive.store.plant(key, bytes) }
                if isPruned {
                    try await archive.prune(before: LSN(5000))
                    var bad = try #require(archive.store.contents[archive.layout.floor])
                    bad[3] ^= 1
                    archive.store.plant(archive.layout.floor, bad)
                } else {
                    archive.store.plant(archive.layout.segment(try archive.epochs[0], start: .zero), nil)
                }
                let before = archive.store.contents
                let (put, obstacles) = try await mend(archive, from: .archive(try await reader(archive, source)))
                #expect(put.isEmpty && archive.store.contents == before, "\(isPruned): \(put.map(\.key))")
                #expect(obstacles.contains { $0.key == archive.layout.floor && $0.reason.contains("would hide") }, "\(isPruned): \(obstacles)")
            }
        }
    }

    @Test(arguments: [false, true])
    func aGapsDocumentComesFromACopy(isMissing: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, gap: true)
            let whole = archive.store.contents
            let source = copy(archive)
            let key = try #require(whole.keys.first { $0.path.contains("gaps/") })
            archive.store.plant(key, isMissing ? nil : Array(whole[key]!.dropLast()))
            let (put, obstacles) = try await mend(archive, from: .archive(try await reader(archive, source)))
            #expect(put.map(\.key) == [key] && obstacles.isEmpty && archive.store.contents == whole, "\(obstacles)")
        }
    }

    /// log.json is believed only where the objects say the same; the copy of another archive of the log is none.
    @Test func theLogsDocumentIsNotTakenFromAnotherArchive() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let other = MemoryObjectStore()
            try await ArchiveBuilder(store: other, directory: "\(directory)/log", id: 99).ship()
            archive.store.plant(archive.layout.logDocument, nil)
            let before = archive.store.contents
            let source = try await reader(archive, other)
            let error = await #expect(throws: ArchiveError.self) { try await mend(archive, from: .archive(source)) }
            #expect(error?.code == .notFound && archive.store.contents == before)
        }
    }

    /// What is whole and does not belong there stays, and counts as not mended: an object of another archive or epoch, a document of a newer version, one that
    /// says something else.
    @Test func whatIsWholeIsNeverReplaced() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let whole = archive.store.contents
            let source = copy(archive)
            let other = MemoryObjectStore()
            try await ArchiveBuilder(store: other, directory: "\(directory)/log", id: 99).ship()
            let segment = whole.keys.filter { $0.path.contains("segments/") }.sorted()[1]
            var newer = String(decoding: whole[archive.layout.claim(1)]!, as: UTF8.self).replacing(#""format":1"#, with: #""format":2"#)
            newer = String(decoding: try #require(DocumentChecksum.sealed(Array(newer.utf8))), as: UTF8.self)
            let start = try StartDocument(decoding: whole[archive.layout.start(1)]!, key: archive.layout.start(1))
            var foreign = start
            foreign.epochs[0].epoch = EpochName(number: 1, id: EpochID(rawValue: 5))
            let plants: [(ObjectKey, [UInt8])] = [
                (segment, try #require(other.contents[segment])), (archive.layout.claim(1), Array(newer.utf8)),
                (archive.layout.start(1), try foreign.encoded(for: archive.layout.start(1))),
            ]
            for (key, bytes) in plants {
                archive.store.plant(key, bytes)
                let before = archive.store.contents
                let (put, obstacles) = try await mend(archive, from: .archive(try await reader(archive, source)))
                #expect(put.isEmpty && obstacles.contains { $0.key == key && $0.reason.contains("whole") }, "\(key): \(obstacles)")
                #expect(archive.store.contents == before, "\(key)")
                archive.store.plant(key, whole[key])
            }
        }
    }

    /// A bit that flips in what tells an object's version, size and kind does not make it one that nobody may replace.
    @Test func everyBitOfAnObjectsBeginningCanBeMended() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let whole = archive.store.contents
            let source = MendingSource.archive(try await reader(archive, copy(archive)))
            let key = whole.keys.filter { $0.path.contains("segments/") }.sorted()[1]
            for bit in 0..<24 * 8 {
                var bad = whole[key]!
                bad[bit / 8] ^= 1 << (bit % 8)
                archive.store.plant(key, bad)
                let (put, obstacles) = try await mend(archive, from: source)
                #expect(put.map(\.key) == [key] && obstacles.isEmpty && archive.store.contents == whole, "bit \(bit): \(obstacles)")
                archive.store.plant(key, whole[key])
            }
        }
    }

    /// What readers do not come to the end of, because another epoch takes over inside, is brought back whole from another archive of the log.
    @Test func aSegmentThatAForkLiesInComesBackWhole() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let parent = try archive.epochs[0]
            let segments = archive.store.contents.keys.filter { $0.path.contains("segments/\(parent)") }.sorted()
            let last = try #require(segments.last)
            // The second epoch takes over in the middle of it.
            let clipped = try StartDocument(decoding: archive.store.contents[archive.layout.start(2)]!, key: archive.layout.start(2)).epoch.start!
            #expect(clipped.rawValue % 4096 != 0)
            let other = MemoryObjectStore()
            try await ArchiveBuilder(store: other, directory: "\(directory)/log", id: 99).ship()
            archive.store.plant(last, Array(archive.store.contents[last]!.dropLast(3)))
            let (put, obstacles) = try await mend(archive, from: .archive(try await reader(archive, other)))
            #expect(put.map(\.key) == [last] && obstacles.isEmpty, "\(obstacles)")
            #expect(try await archive.audit().findings.filter(\.isFault).isEmpty)
        }
    }

    /// Each request of a run fails in turn; the next run ends as an undisturbed one.
    @Test func whateverFailsTheNextRunEndsRight() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let whole = archive.store.contents
            let source = copy(archive)
            let keys = whole.keys.filter { $0.path.contains("segments/") }.sorted()
            func damage() {
                archive.store.plant(keys[0], nil)
                archive.store.plant(keys[1], Array(whole[keys[1]]!.dropLast(5)))
            }
            damage()
            let operations = [MemoryObjectStore.Operation.create, .replace, .head, .get]
            let before = operations.map { archive.store.count(of: $0) }
            let given = try await reader(archive, source)
            _ = try await mend(archive, from: .archive(given))
            #expect(archive.store.contents == whole)
            let calls = zip(operations, before).map { ($0, archive.store.count(of: $0) - $1) }
            for (operation, count) in calls {
                for failing in stride(from: 0, to: count, by: operation == .get ? 5 : 1) {
                    damage()
                    for _ in 0..<failing { archive.store.inject(.delay {}, into: operation) }
                    archive.store.inject(.loseReply(ArchiveError(.unreachable, "no route", outcome: .unknown)), into: operation)
                    // What is not there answers so before a reply can be lost.
                    do { _ = try await mend(archive, from: .archive(given)) } catch is ArchiveError {}
                    _ = try await mend(archive, from: .archive(given))
                    #expect(archive.store.contents == whole, "\(operation) \(failing)")
                }
            }
        }
    }

    // MARK: A log

    private func segment(_ index: Int) -> String { String(repeating: "0", count: 20 - "\(index)".count) + "\(index).wal" }

    /// Damage anywhere in a closed segment, and segments that are gone: the log is what it was.
    @Test func aDamagedLogIsMendedFromItsArchive() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let log = "\(directory)/restored"
            let records = try SampleArchive.records(log)
            var generator = SeededGenerator(seed: 5)
            for round in 0..<12 {
                let index = Int.random(in: 0..<3, using: &generator)
                let path = "\(log)/\(segment(index))"
                if round % 4 == 3 {
                    try FileManager.default.removeItem(atPath: path)
                } else {
                    var bytes = try #require(FileManager.default.contents(atPath: path))
                    bytes[Int.random(in: 0..<4096, using: &generator)] ^= 0x40
                    try bytes.write(to: URL(filePath: path))
                }
                let mending = try await LogMending.open(directory: log, archive: try await reader(archive))
                #expect(!mending.damages.isEmpty, "round \(round)")
                let steps = try await mending.plan()
                let report = try await mending.run(steps)
                mending.close()
                #expect(report.contains { $0.index == UInt64(index) }, "round \(round): \(steps)")
                #expect(SampleArchive.isSame(try SampleArchive.records(log), records), "round \(round)")
            }
            let mending = try await LogMending.open(directory: log, archive: try await reader(archive))
            #expect(mending.damages.isEmpty && !mending.areFactsDamaged)
            mending.close()
        }
    }

    /// Each request fails in turn: the log is as it was, and the next run mends it.
    @Test func whateverFailsTheLogIsMendedByTheNextRun() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let log = "\(directory)/restored"
            let records = try SampleArchive.records(log)
            let path = "\(log)/\(segment(1))"
            func mend() async throws {
                let mending = try await LogMending.open(directory: log, archive: try await reader(archive))
                defer { mending.close() }
                _ = try await mending.run(try await mending.plan())
            }
            var failing = 0
            var isDone = false
            while !isDone {
                var bytes = try #require(FileManager.default.contents(atPath: path))
                bytes[1000 + failing] ^= 1
                try bytes.write(to: URL(filePath: path))
                let before = archive.store.count(of: .get)
                for _ in 0..<failing { archive.store.inject(.delay {}, into: .get) }
                archive.store.inject(.fail(ArchiveError(.unreachable, "no route")), into: .get)
                do {
                    try await mend()
                    // There were fewer requests than that.
                    isDone = archive.store.count(of: .get) - before <= failing
                    #expect(isDone, "request \(failing)")
                } catch is ArchiveError {
                    #expect(FileManager.default.contents(atPath: path) == bytes, "request \(failing)")
                    try await mend()
                }
                #expect(SampleArchive.isSame(try SampleArchive.records(log), records), "request \(failing)")
                failing += 3
            }
            #expect(failing > 10)
        }
    }

    /// Segments that are gone at the log's end, as many as there are: the last that is missed stands for all.
    @Test func severalLostSegmentsAtTheEndAreMended() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let log = "\(directory)/restored"
            let records = try SampleArchive.records(log)
            let last = try #require(records.last).lsn.rawValue / 4096
            for index in 2...Int(last) { try FileManager.default.removeItem(atPath: "\(log)/\(segment(index))") }
            let mending = try await LogMending.open(directory: log, archive: try await reader(archive))
            let steps = try await mending.plan()
            #expect(steps.map(\.index) == Array(2...last) && steps.allSatisfy { $0.obstacle == nil }, "\(steps)")
            // Too many at once are not held in memory.
            let tooMany = try await mending.plan(together: 8192)
            #expect(tooMany.count == 1 && tooMany[0].obstacle?.contains("restore the log") == true, "\(tooMany)")
            #expect(try await mending.run(steps).count == steps.count)
            mending.close()
            #expect(SampleArchive.isSame(try SampleArchive.records(log), records))
        }
    }

    /// Each of several neighbours gets its own commit times back.
    @Test func neighboursKeepTheirCommitTimes() async throws {
        try await withTemporaryDirectory { directory in
            try SampleArchive.write("\(directory)/log", count: 120)
            let store = MemoryObjectStore()
            let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            builder.times = { [.init(time: $0.upperBound.rawValue / 4096 * 60_000_000_000, lsn: $0.upperBound)] }
            try await builder.ship()
            let reader = try await ArchiveReader.open(store: store, log: SampleArchive.name, patience: Self.allowance)
            let log = "\(directory)/restored"
            _ = try await Restore(reader).run(into: log)
            func damage() throws {
                for index in 0..<2 {
                    let path = "\(log)/\(segment(index))"
                    var bytes = try #require(FileManager.default.contents(atPath: path))
                    bytes[2000] ^= 1
                    try bytes.write(to: URL(filePath: path))
                }
            }
            func mend(together: Bool) async throws {
                let mending = try await LogMending.open(directory: log, archive: reader)
                defer { mending.close() }
                let steps = try await mending.plan()
                #expect(steps.map(\.index) == [0, 1])
                for part in together ? [steps] : steps.map({ [$0] }) { _ = try await mending.run(part) }
            }
            func times() -> [Data?] { (0..<2).map { FileManager.default.contents(atPath: "\(log)/\(segment($0).replacing(".wal", with: ".times"))") } }
            try damage()
            try await mend(together: false)
            let alone = times()
            try damage()
            try await mend(together: true)
            #expect(alone.allSatisfy { $0 != nil } && times() == alone, "\(times()) \(alone)")
        }
    }

    @Test func aLogIsNotMendedFromAnotherLogsArchive() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            try SampleArchive.write("\(directory)/other", count: 50, seed: 9)
            let source = try await reader(archive)
            let error = await #expect(throws: ArchiveError.self) { try await LogMending.open(directory: "\(directory)/other", archive: source) }
            #expect(error?.code == .diverged)
            // Nobody holds it.
            try SegmentedLog.open(directory: "\(directory)/other").close()
        }
    }

    @Test func aLogIsNotMendedFromWhatIsDamagedItself() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let log = "\(directory)/restored"
            let path = "\(log)/\(segment(1))"
            var bytes = try #require(FileManager.default.contents(atPath: path))
            bytes[2000] ^= 1
            try bytes.write(to: URL(filePath: path))
            for key in archive.store.contents.keys.filter({ $0.path.contains("segments/") }) {
                archive.store.plant(key, Array(archive.store.contents[key]!.dropLast()))
            }
            let mending = try await LogMending.open(directory: log, archive: try await reader(archive))
            let steps = try await mending.plan()
            await #expect(throws: (any Error).self) {
                if steps.contains(where: { $0.obstacle != nil }) { throw ArchiveError(.damaged, "said by the plan") }
                _ = try await mending.run(steps)
            }
            mending.close()
            #expect(FileManager.default.contents(atPath: path) == bytes)
        }
    }
}
