import Archive
import Foundation
import TestSupport
import Testing
import Synchronization
import WAL

@testable import Follower

/// Restores that fail on the way, and are run again.
@Suite struct RestoreAgainTests {
    private func withArchive(_ store: MemoryObjectStore, count: Int = 400, _ body: (String, [SampleArchive.Entry], ArchiveBuilder) async throws -> Void) async throws {
        try await withTemporaryDirectory { directory in
            let records = try SampleArchive.write("\(directory)/log", count: count)
            let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            try await builder.ship()
            try await body(directory, records, builder)
        }
    }

    /// Another archive of the same log: objects under other keys' ids, cut elsewhere.
    private func mirror(_ directory: String, tailBytes: UInt64 = 333) async throws -> (MemoryObjectStore, ArchiveBuilder) {
        let store = MemoryObjectStore()
        let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log", id: 77)
        try await builder.ship(tailBytes: tailBytes, group: 2)
        return (store, builder)
    }

    private func isWhole(_ directory: String, _ records: [SampleArchive.Entry]) throws -> Bool {
        SampleArchive.isSame(try SampleArchive.records("\(directory)/restored"), records)
    }

    @Test func whatWasRestoredBeforeAnErrorIsKeptAndGoneOnFrom() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, records, builder in
            let key = builder.layout.segment(builder.epoch, start: LSN(5 * 4096))
            let bytes = try #require(store.contents[key])
            store.plant(key, Array(bytes.dropLast()))
            let error = await #expect(throws: RestoreError.self) {
                try await Restore(try await SampleArchive.open(store)).run(into: "\(directory)/restored")
            }
            #expect((error?.cause as? ArchiveError)?.code == .damaged && (error?.cause as? ArchiveError)?.key == key)
            #expect(error?.remains == .kept(upTo: LSN(5 * 4096)), "\(String(describing: error))")
            #expect(error?.description.contains("run the same restore again") == true)
            #expect(throws: WALError.self) { try LogReader.open(directory: "\(directory)/restored") }
            store.plant(key, bytes)
            // What is kept is not fetched again.
            for start in 0..<5 { store.plant(builder.layout.segment(builder.epoch, start: LSN(UInt64(start) * 4096)), [1]) }
            let summary = try await Restore(try await SampleArchive.open(store)).run(into: "\(directory)/restored")
            #expect(summary.resumed == 5 * 4096 && summary.records == UInt64(records.count))
            #expect(try isWhole(directory, records))
        }
    }

    /// An attempt that was to have everything, gone on with to less: of what it left only that part counts, and the rest is cut off.
    @Test func aRestoreThatIsGoneOnWithToLessCountsNoMoreThanItHas() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, records, builder in
            let key = builder.layout.segment(builder.epoch, start: LSN(5 * 4096))
            let bytes = try #require(store.contents[key])
            for target in [RestoreTarget.before(LSN(4096)), .through(records[3].lsn), .before(LSN(5 * 4096)), .everything] {
                store.plant(key, [0])
                await #expect(throws: RestoreError.self) { try await Restore(try await SampleArchive.open(store)).run(into: "\(directory)/restored") }
                store.plant(key, bytes)
                var last = Restore.Progress(done: 0, total: 0)
                let summary = try await Restore(try await SampleArchive.open(store), target: target).run(into: "\(directory)/restored", progress: { last = $0 })
                #expect(summary.resumed > 0 && summary.resumed <= summary.bytes && last.done == last.total, "\(target): \(summary), \(last)")
                let found = try SampleArchive.records("\(directory)/restored")
                #expect(found.count == Int(summary.records) && SampleArchive.isSame(found, Array(records[..<found.count])), "\(target)")
                try FileManager.default.removeItem(atPath: "\(directory)/restored")
            }
        }
    }

    /// On a machine without space: said, kept, and gone on from.
    @Test func aFullDiskIsSaidAndGoneOnFromWhenThereIsSpace() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { _, records, builder in
            for free in stride(from: 0, through: 90_000, by: 15_000) {
                let machine = SimulatedFileSystem()
                machine.setFreeSpace(free)
                var kept: LSN?
                do {
                    _ = try await Restore(try await SampleArchive.open(store)).run(into: "/restored", on: machine)
                    Issue.record("\(free) bytes were enough")
                } catch let error as RestoreError {
                    #expect({ if case .noSpace? = error.cause as? WALError { true } else { false } }(), "\(error)")
                    if case .kept(let lsn) = error.remains { kept = lsn }
                } catch {
                    #expect({ if case .noSpace? = error as? WALError { true } else { false } }(), "\(error)")
                }
                #expect(try machine.status("/restored/control") == nil)
                machine.setFreeSpace(nil)
                let summary = try await Restore(try await SampleArchive.open(store)).run(into: "/restored", on: machine)
                #expect(summary.records == UInt64(records.count) && LSN(summary.resumed) == kept ?? .zero, "\(free): \(summary)")
                let reader = try LogReader.open(directory: "/restored", fileSystem: machine, time: LinuxTimeSource())
                defer { reader.close() }
                #expect(try reader.iter().map { try $0.get().lsn } == records.map(\.lsn))
            }
        }
    }

    @Test func anotherLogIsNotMixedIn() async throws {
        let (store, other) = (MemoryObjectStore(), MemoryObjectStore())
        try await withArchive(other) { _, _, _ in }
        try await withArchive(store) { directory, _, builder in
            let key = builder.layout.segment(builder.epoch, start: LSN(5 * 4096))
            store.plant(key, [0])
            await #expect(throws: RestoreError.self) { try await Restore(try await SampleArchive.open(store)).run(into: "\(directory)/restored") }
            let error = await #expect(throws: WALError.self) { try await Restore(try await SampleArchive.open(other)).run(into: "\(directory)/restored") }
            #expect("\(String(describing: error))".contains("unfinished restore"))
        }
    }

    /// Each object of the first archive in turn is missing or damaged.
    @Test func whatIsBadInOneArchiveIsTakenFromTheOtherAndNamed() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store, count: 120) { directory, records, _ in
            let (second, _) = try await mirror(directory)
            for (key, bytes) in store.contents where key.path.hasSuffix(".zst") {
                for bad in [nil, Array(bytes.dropLast()), bytes.enumerated().map { $0.offset == bytes.count - 9 ? $0.element ^ 1 : $0.element }] as [[UInt8]?] {
                    store.plant(key, bad)
                    let group = try ArchiveGroup([try await SampleArchive.open(store), try await SampleArchive.open(second)])
                    let summary = try await Restore(group).run(into: "\(directory)/restored")
                    #expect(try isWhole(directory, records), "\(key)")
                    // A tail that others repeat is not looked at.
                    if key.path.contains("/segments/") {
                        #expect(summary.problems.contains { $0.archive == 0 && $0.error.key == key }, "\(key): \(summary.problems)")
                    }
                    try FileManager.default.removeItem(atPath: "\(directory)/restored")
                }
                store.plant(key, bytes)
            }
        }
    }

    /// Objects that nobody here can open are had from the archive that has them open.
    @Test func whatIsEncryptedWithAKeyThatIsNotHereIsTakenFromTheOther() async throws {
        let (store, sealed) = (MemoryObjectStore(), MemoryObjectStore())
        try await withArchive(store, count: 120) { directory, records, _ in
            let master = MasterKey(bytes: [UInt8](repeating: 7, count: 32))
            let builder = try await ArchiveBuilder(store: sealed, directory: "\(directory)/log", sealing: master, id: 77)
            try await builder.ship()
            let readers = [try await SampleArchive.open(sealed), try await SampleArchive.open(store)]
            let error = await #expect(throws: ArchiveError.self) { try await Restore(readers[0]).run(into: "\(directory)/restored") }
            #expect(error?.code == .keyMissing)
            let summary = try await Restore(try ArchiveGroup(readers)).run(into: "\(directory)/restored")
            #expect(try isWhole(directory, records))
            #expect(summary.problems.allSatisfy { $0.archive == 0 && $0.error.code == .keyMissing } && !summary.problems.isEmpty)
        }
    }

    /// An archive that was begun under the second epoch knows nothing of the first. Whichever is named first, both are one history.
    @Test func archivesThatBeganUnderDifferentEpochsAreOneHistoryInAnyOrder() async throws {
        let (first, second) = (MemoryObjectStore(), MemoryObjectStore())
        try await withArchive(first, count: 100) { directory, _, _ in
            try await SampleArchive.restore(first, into: "\(directory)/second")
            try await promote("\(directory)/second", first)
            let records = try SampleArchive.write("\(directory)/second", count: 200, seed: 2, segmentSize: nil)
            let whole = try await ArchiveBuilder(store: first, directory: "\(directory)/second")
            try await whole.ship()
            let late = try await ArchiveBuilder(store: second, directory: "\(directory)/second", start: whole.epochStart, id: 77)
            try await late.put(
                StartDocument(parent: nil, epochs: [.init(epoch: late.epoch, fork: late.epochStart, start: late.epochStart)]), late.layout.start(2))
            try await late.ship(tailBytes: 333)
            // What only the second one has.
            let key = whole.layout.segment(whole.epoch, start: LSN((whole.epochStart.rawValue / 4096 + 2) * 4096))
            #expect(first.contents[key] != nil)
            first.plant(key, nil)
            for stores in [[first, second], [second, first]] {
                var readers: [ArchiveReader] = []
                for store in stores { readers.append(try await SampleArchive.open(store)) }
                let summary = try await Restore(try ArchiveGroup(readers)).run(into: "\(directory)/restored")
                #expect(try isWhole(directory, records) && summary.head == .zero)
                let restored = try LogReader.open(directory: "\(directory)/restored")
                #expect(try restored.epochs == whole.reader.epochs)
                restored.close()
                try FileManager.default.removeItem(atPath: "\(directory)/restored")
            }
        }
    }

    @discardableResult
    private func promote(_ directory: String, _ store: MemoryObjectStore, fork: LSN? = nil) async throws -> Promotion.Outcome {
        try await Promotion(
            directory: directory, destinations: [.init(store: store, log: SampleArchive.name)], fork: fork, host: "test",
            patience: { SampleArchive.NoPatience() }, settle: 0, sleep: { _ in }, now: { 1 }
        ).run()
    }

    /// The archive was opened before another writer took over, and left behind what the old one had archived past the fork: that is no part of what is restored.
    @Test(arguments: [20, 300]) func aRestoreBesideAPromotionHasTheLineThatGoesOn(count: Int) async throws {
        let store = MemoryObjectStore()
        try await withArchive(store, count: count) { directory, _, builder in
            let fork = try builder.reader.durableLSN
            try await SampleArchive.restore(store, into: "\(directory)/second")
            _ = try SampleArchive.write("\(directory)/log", count: 200, seed: 3)
            try await builder.ship()
            let before = Restore(try await SampleArchive.open(store))
            let upToTheFork = Restore(try await SampleArchive.open(store), target: .before(fork))
            #expect(try await before.plan().end > fork)
            try await promote("\(directory)/second", store, fork: fork)
            let records = try SampleArchive.write("\(directory)/second", count: 100, seed: 2, segmentSize: nil)
            try await ArchiveBuilder(store: store, directory: "\(directory)/second").ship()
            let summary = try await before.run(into: "\(directory)/restored")
            #expect(try isWhole(directory, records) && summary.records == UInt64(records.count))
            let gets = store.count(of: .get)
            #expect(try await upToTheFork.run(into: "\(directory)/below").end == fork)
            #expect(store.count(of: .get) - gets < 40, "it was not begun again")
        }
    }

    /// While a restore is planned, or runs, the open segment is closed, and its tails go: the segment is fetched once, not once for each of them.
    @Test(arguments: [true, false]) func tailsThatMadeWayForTheirSegmentCostItOnce(whilePlanned: Bool) async throws {
        let store = MemoryObjectStore()
        try await withTemporaryDirectory { directory in
            let records = try SampleArchive.write("\(directory)/log", count: 200)
            let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            let end = try builder.reader.durableLSN
            let checkpoint = try await builder.shipSegments(upTo: end)
            // The last closed segment as it was before it was closed.
            let open = LSN(checkpoint.rawValue - 4096)
            let segment = builder.layout.segment(builder.epoch, start: open)
            let bytes = try #require(store.contents[segment])
            store.plant(segment, nil)
            try await builder.shipTails(from: open, to: checkpoint, bytes: 100)
            try await builder.head(archived: checkpoint, checkpoint: open)
            let tails = store.contents.keys.filter { $0.path.contains("/tail/") }
            let fetched = Mutex<[ObjectKey: Int]>([:])
            let first = builder.layout.segment(builder.epoch, start: .zero)
            let watched = WatchedStore(store) { (_, _, key) throws(ArchiveError) in
                fetched.withLock { $0[key, default: 0] += 1 }
                guard whilePlanned ? key.path.contains("/tail/") && key.path.hasSuffix(".zst") : key == first else { return }
                store.plant(segment, bytes)
                for tail in tails { store.plant(tail, nil) }
            }
            let summary = try await Restore(try await SampleArchive.open(watched)).run(into: "\(directory)/restored")
            #expect(summary.end <= checkpoint && summary.end.distance(from: open) > 3000)
            let restored = try SampleArchive.records("\(directory)/restored")
            #expect(SampleArchive.isSame(restored, Array(records[..<restored.count])))
            // Where it is found while planning, its beginning says where it ends.
            #expect(fetched.withLock { $0[segment] } == (whilePlanned ? 2 : 1) && tails.count > 40)
        }
    }

    @Test func whatBothLackIsAGap() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, _, builder in
            let (second, other) = try await mirror(directory)
            store.plant(builder.layout.segment(builder.epoch, start: LSN(8192)), nil)
            second.plant(other.layout.segment(other.epoch, start: LSN(8192)), nil)
            let group = try ArchiveGroup([try await SampleArchive.open(store), try await SampleArchive.open(second)])
            let error = await #expect(throws: ArchiveError.self) { try await Restore(group).run(into: "\(directory)/restored") }
            #expect(error?.code == .gap && error?.lsn == LSN(8192))
            #expect(!FileManager.default.fileExists(atPath: "\(directory)/restored"))
        }
    }

    @Test func anArchiveThatGoesAwayIsLeftForTheOther() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, records, _ in
            let (second, _) = try await mirror(directory)
            let group = try ArchiveGroup([try await SampleArchive.open(store), try await SampleArchive.open(second)])
            for operation in [MemoryObjectStore.Operation.get, .list] {
                for _ in 0..<1000 { store.inject(.fail(ArchiveError(.unreachable, "nobody answers")), into: operation) }
            }
            let summary = try await Restore(group).run(into: "\(directory)/restored")
            #expect(try isWhole(directory, records))
            #expect(summary.problems.contains { $0.archive == 0 && $0.error.code == .unreachable })
        }
    }

    @Test func archivesOfOtherLogsAreRefused() async throws {
        let (store, other) = (MemoryObjectStore(), MemoryObjectStore())
        try await withArchive(other) { _, _, _ in }
        try await withArchive(store) { _, _, _ in
            let readers = [try await SampleArchive.open(store), try await SampleArchive.open(other)]
            #expect { try ArchiveGroup(readers) } throws: { ($0 as? ArchiveError)?.code == .diverged }
        }
    }

    /// Where something is missing, what precedes it can be had: all of it, by the words of the error.
    @Test func whatPrecedesAMissingObjectIsRestoredAsTheErrorSays() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, records, builder in
            store.plant(builder.layout.segment(builder.epoch, start: LSN(8192)), nil)
            let reader = try await SampleArchive.open(store)
            let error = await #expect(throws: ArchiveError.self) { try await Restore(reader).run(into: "\(directory)/restored") }
            #expect(error?.hint?.contains("--before 8192") == true, "\(String(describing: error))")
            let summary = try await Restore(reader, target: .before(LSN(8192))).run(into: "\(directory)/restored")
            let whole = zip(records, records.dropFirst()).filter { $1.lsn <= LSN(8192) }.map(\.0)
            #expect(try isWhole(directory, whole) && summary.end <= LSN(8192))
        }
    }

    /// A time in an archive of two thousand segments: two listings and a few beginnings of objects.
    @Test func aTimeIsFoundWithFewRequests() async throws {
        let store = MemoryObjectStore()
        try await withTemporaryDirectory { directory in
            let log = try SegmentedLog.open(directory: "\(directory)/log", segmentSize: 4096)
            let record = [UInt8](repeating: 7, count: 4088)
            for _ in 0..<2000 { try log.append(record) }
            try log.close()
            let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            // Each segment a minute, and everything durable at its end.
            builder.times = { [.init(time: $0.upperBound.rawValue / 4096 * 60_000_000_000, lsn: $0.upperBound)] }
            try await builder.ship()
            for minute in [1, 2, 1000, 1999] as [UInt64] {
                let reader = try await SampleArchive.open(store)
                let before = (store.count(of: .get), store.count(of: .list))
                let plan = try await Restore(reader, target: .time(minute * 60_000_000_000 + 59_999_999_999)).plan()
                #expect(plan.end == LSN(minute * 4096) && plan.target == .before(LSN(minute * 4096)))
                #expect(store.count(of: .get) - before.0 <= 80, "\(store.count(of: .get) - before.0) requests for minute \(minute)")
                #expect(store.count(of: .list) - before.1 == 2)
            }
            let reader = try await SampleArchive.open(store)
            let summary = try await Restore(reader, target: .time(3 * 60_000_000_000)).run(into: "\(directory)/restored")
            #expect(summary.records == 3 && summary.end == LSN(3 * 4096))
            for time in [0, 59_999_999_999, 2_000_000_000_000_000_000] as [UInt64] {
                let error = await #expect(throws: ArchiveError.self) { try await Restore(reader, target: .time(time)).plan() }
                #expect(error?.code == .notFound, "\(time)")
            }
        }
    }

    @Test func aTimeThatWasTwiceListsBoth() async throws {
        let store = MemoryObjectStore()
        try await withTemporaryDirectory { directory in
            _ = try SampleArchive.write("\(directory)/log", count: 600)
            let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            builder.times = { range in
                let segment = range.lowerBound.rawValue / 4096
                return [.init(time: (segment < 10 ? segment + 100 : segment + 95) * 1_000_000_000, lsn: range.upperBound)]
            }
            try await builder.ship()
            let reader = try await SampleArchive.open(store)
            let error = await #expect(throws: AmbiguousTime.self) { try await Restore(reader, target: .time(107 * 1_000_000_000)).plan() }
            #expect(error?.candidates.map(\.lsn) == [LSN(8 * 4096), LSN(13 * 4096)])
            #expect(error?.description.contains("LSN \(8 * 4096), LSN \(13 * 4096); say which one is meant with --before") == true)
        }
    }
}
