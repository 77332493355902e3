import Archive
import Foundation
import Logging
import Shipper
import Synchronization
import TestSupport
import Testing
import WAL

@testable import Follower

/// A follower beside a log that is shipped.
@Suite struct LogFollowerTests {
    typealias Entry = SampleArchive.Entry
    private func follower(
        _ store: any ObjectStore, to target: LogFollower.Target, keys: KeyRing = .none, interval: Double = 0.01
    ) -> LogFollower {
        var settings = FollowerSettings()
        settings.interval = interval
        settings.retryDelayMax = 0.05
        return LogFollower(store: store, log: SampleArchive.name, keys: keys, url: "memory/orders", to: target, settings: settings, logger: LogFollower.quiet)
    }

    /// Waits for the error that ends it.
    private func end(of follower: LogFollower) async throws -> ArchiveError {
        let running = Task { try await follower.run() }
        try await waitUntil("it ends: \(follower.status)") { follower.status.state == .stopped }
        let error = await #expect(throws: ArchiveError.self) { try await running.value }
        return try #require(error)
    }

    /// A log of `count` records with a builder of its archive.
    private func withArchive(
        _ store: MemoryObjectStore = MemoryObjectStore(), count: Int = 80,
        _ body: (String, ArchiveBuilder, MemoryObjectStore) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            try SampleArchive.write("\(directory)/log", count: count)
            let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            try await body(directory, builder, store)
        }
    }

    private func expectSame(_ directory: String, _ other: String) throws {
        #expect(SampleArchive.isSame(try SampleArchive.records(directory), try SampleArchive.records(other)))
    }

    // MARK: Growing

    @Test(arguments: [false, true]) func aReplicaGrowsAsItsLogIsShippedAndIsReadMeanwhile(isEncrypted: Bool) async throws {
        let keys = isEncrypted ? KeyRing(current: MasterKey(bytes: [UInt8](repeating: 7, count: 32)), others: []) : .none
        let store = MemoryObjectStore()
        try await withTemporaryDirectory { directory in
            let log = try SegmentedLog.open(directory: "\(directory)/log", segmentSize: 8192)
            // The log's own beginning is truncated when it is archived.
            var expected = [Array("the first".utf8)]
            try log.append(expected[0])
            _ = try await log.sync()
            var settings = ShipperSettings()
            settings.keys = keys
            settings.claimSettle = .milliseconds(1)
            settings.tailInterval = .milliseconds(10)
            let shipper = LogShipper(
                directory: "\(directory)/log", name: SampleArchive.name, slot: "d-1", url: store.name, store: store, settings: settings, logger: LogFollower.quiet)
            let shipping = Task { try await shipper.run() }
            try await waitUntil("something is archived") { shipper.status.archived > .zero }
            let follower = follower(store, to: .replica(directory: "\(directory)/replica"), keys: keys)
            try await follower.running {
                try await waitUntil("the replica is there: \(follower.status)") { follower.status.state == .following }
                let reader = try LogReader.open(directory: "\(directory)/replica")
                var generator = SeededGenerator(seed: 5)
                for round in 0..<12 {
                    for _ in 0..<Int.random(in: 1...20, using: &generator) {
                        let size = round == 6 ? 20_000 : Int.random(in: 0...400, using: &generator)
                        let record = (0..<size).map { _ in UInt8.random(in: 0...255, using: &generator) }
                        try log.append(record)
                        expected.append(record)
                    }
                    var batch = RecordBatch()
                    for part in 0..<6 {
                        expected.append([UInt8](repeating: UInt8(part), count: 700))
                        batch.append(expected[expected.count - 1])
                    }
                    try log.append(batch: batch)
                    let durable = try await log.sync()
                    // Whoever waits at the replica is woken.
                    try await reader.waitUntilDurable(durable)
                    let isSame = try reader.iter().map { try $0.get().data } == expected
                    #expect(isSame)
                }
                reader.close()
                try await follower.reaches(log.durableLSN)
                #expect(follower.status.lagBytes == 0 && follower.status.lagSeconds(now: .max) == 0)
            }
            shipping.cancel()
            _ = await shipping.result
            try log.close()
            let said = try #require(try FollowerDocument.read(directory: "\(directory)/replica"))
            #expect(said.state == "ended" && said.appliedLSN == "\(follower.status.applied)" && said.archive == "memory/orders")
        }
    }

    /// Killed while it made its replica, at any place: what had come to the disk is not fetched again, and nothing has to be removed by hand.
    @Test func aFollowerKilledWhileItMakesItsReplicaGoesOn() async throws {
        try await withArchive(count: 300) { directory, builder, store in
            try await builder.ship()
            let end = try builder.reader.durableLSN
            let segments = (0..<6).map { builder.layout.segment(builder.epoch, start: LSN(UInt64($0) * 4096)) }
            let bytes = try #require(store.contents[segments[5]])
            // As kill -9 leaves it: a mark, and whole segments that are synced.
            store.plant(segments[5], [0])
            await #expect(throws: RestoreError.self) { try await Restore(try await SampleArchive.open(store)).run(into: "\(directory)/replica") }
            store.plant(segments[5], bytes)
            for key in segments[..<5] { store.plant(key, [0]) }
            let first = follower(store, to: .replica(directory: "\(directory)/replica"))
            try await first.running { try await first.reaches(end) }
            try expectSame("\(directory)/replica", "\(directory)/log")
            // Killed between the control file and the end of the mark.
            let mark = ReplicaMark(logID: builder.reader.logID, segmentSize: 4096, head: .zero, end: .everything, synced: .zero)
            try Data(mark.encode()).write(to: URL(filePath: "\(directory)/replica/\(ReplicaMark.fileName)"))
            let second = follower(store, to: .replica(directory: "\(directory)/replica"))
            try await second.running { try await second.reaches(end) }
            try expectSame("\(directory)/replica", "\(directory)/log")
        }
    }

    /// Ended again and again, at any moment; each time it goes on.
    @Test func aFollowerThatIsEndedAnywhereGoesOn() async throws {
        try await withArchive(count: 300) { directory, builder, store in
            try await builder.ship(tailBytes: 300)
            let end = try builder.reader.durableLSN
            for round in 0..<30 {
                let follower = follower(store, to: .replica(directory: "\(directory)/replica"))
                let running = Task { try await follower.run() }
                try await Task.sleep(for: .milliseconds(round))
                running.cancel()
                try await running.value
            }
            let follower = follower(store, to: .replica(directory: "\(directory)/replica"))
            try await follower.running { try await follower.reaches(end) }
            try expectSame("\(directory)/replica", "\(directory)/log")
        }
    }

    @Test func outagesOfStorageAreWaitedForAndShown() async throws {
        try await withArchive { directory, builder, store in
            try await builder.ship()
            let end = try builder.reader.durableLSN
            let follower = follower(store, to: .replica(directory: "\(directory)/replica"))
            try await follower.running {
                try await follower.reaches(end)
                let isAway = Mutex(true)
                // Every request fails for a while.
                let outage = Task {
                    while isAway.withLock({ $0 }) {
                        store.inject(.fail(ArchiveError(.unreachable, "away")), into: .get)
                        try? await Task.sleep(for: .milliseconds(1))
                    }
                }
                try await waitUntil("the outage is shown") { follower.status.state == .unreachable && follower.status.lastError?.contains("away") == true }
                try SampleArchive.write("\(directory)/log", count: 50, seed: 2, segmentSize: nil)
                isAway.withLock { $0 = false }
                _ = await outage.value
                try await builder.ship()
                try await follower.reaches(try builder.reader.durableLSN)
                #expect(follower.status.lastError == nil)
            }
            try expectSame("\(directory)/replica", "\(directory)/log")
        }
    }

    // MARK: What ends it

    /// Lesson 13 of shipping.
    @Test func aFollowerNeverStaysAtAGapSilently() async throws {
        try await withArchive(count: 200) { directory, builder, store in
            let end = try await builder.shipSegments(upTo: try builder.reader.durableLSN)
            #expect(end >= LSN(4 * 4096))
            try await builder.head(archived: end, checkpoint: end)
            // A segment that is missing.
            let missing = builder.layout.segment(builder.epoch, start: LSN(2 * 4096))
            let bytes = try await store.get(missing, range: nil, limit: 1 << 20)
            try await SampleArchive.restore(store, into: "\(directory)/replica", .through(.zero))
            try await store.delete(missing)
            var follower = follower(store, to: .replica(directory: "\(directory)/replica"))
            var error = try await self.end(of: follower)
            #expect(error.code == .gap && error.lsn == LSN(2 * 4096), "\(error)")
            #expect(follower.status.state == .stopped && follower.status.lastError?.contains("LSN 8192") == true)
            var said = try #require(try FollowerDocument.read(directory: "\(directory)/replica"))
            #expect(said.state == "stopped" && said.lastError?.contains("LSN 8192") == true)
            // Brought back, it goes on.
            _ = try await store.create(missing, bytes)
            follower = self.follower(store, to: .replica(directory: "\(directory)/replica"))
            try await follower.running { try await follower.reaches(LSN(3 * 4096)) }
            // A range that was given up.
            let next = end.advanced(by: 4096)
            try await builder.gap(end..<next, reason: "no space")
            try await builder.head(archived: next, checkpoint: next)
            follower = self.follower(store, to: .replica(directory: "\(directory)/replica"))
            error = try await self.end(of: follower)
            #expect(error.code == .gap && error.lsn == end && error.description.contains("--from"), "\(error)")
            said = try #require(try FollowerDocument.read(directory: "\(directory)/replica"))
            #expect(said.state == "stopped" && said.lastError?.contains("given up") == true)
        }
    }

    @Test func anArchiveThatWasPrunedPastTheReplicaIsSaid() async throws {
        try await withArchive(count: 200) { directory, builder, store in
            try await builder.ship()
            try await SampleArchive.restore(store, into: "\(directory)/replica", .through(.zero))
            let floor = LSN(3 * 4096)
            try await builder.floor(lsn: try builder.reader.recordBoundary(atOrBelow: LSN(3 * 4096 + 2000)), objectStart: floor)
            for index in 0..<3 { try await store.delete(builder.layout.segment(builder.epoch, start: LSN(UInt64(index) * 4096))) }
            let error = try await end(of: follower(store, to: .replica(directory: "\(directory)/replica")))
            #expect(error.code == .notFound && error.description.contains("pruned"), "\(error)")
        }
    }

    /// The same log, gone another way under the same epoch: a machine that was set back, and whose copy is followed into.
    @Test func bytesThatAreNotTheArchivesEndItAndLeaveTheReplicaAsItWas() async throws {
        try await withArchive { directory, builder, store in
            let common = try builder.reader.durableLSN
            try SampleArchive.copy("\(directory)/log", "\(directory)/back")
            try SampleArchive.adopt("\(directory)/back")
            try SampleArchive.write("\(directory)/back", count: 5, seed: 31, segmentSize: nil)
            try SampleArchive.copy("\(directory)/back", "\(directory)/replica")
            let before = try SampleArchive.records("\(directory)/replica")
            try SampleArchive.write("\(directory)/log", count: 60, seed: 32, segmentSize: nil)
            try await builder.ship()
            let error = try await end(of: follower(store, to: .replica(directory: "\(directory)/replica")))
            #expect(error.code == .diverged && error.lsn.map { $0 >= common } ?? false, "\(error)")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/replica"), before))
        }
    }

    @Test func aLogThatNobodyHasTakenOverFromIsNotMadeAReplica() async throws {
        try await withArchive { directory, builder, store in
            try await builder.ship()
            for rewinds in [false, true] {
                let error = try await end(of: follower(store, to: .replica(directory: "\(directory)/log", rewinds: rewinds)))
                #expect(error.code == .diverged && error.description.contains("nobody has taken over"), "\(error)")
            }
            #expect(try !builder.reader.isReplica)
        }
    }

    // MARK: Another epoch

    private func promote(_ directory: String, _ store: any ObjectStore, fork: LSN? = nil) async throws -> Epoch {
        try await Promotion(
            directory: directory, destinations: [.init(store: store, log: SampleArchive.name)], fork: fork, host: "test",
            patience: { SampleArchive.NoPatience() }, settle: 0, sleep: { _ in }, now: { 1 }
        ).run().epoch
    }

    /// The fork lies inside a segment, and the parent's tails go on past it.
    @Test func aPromotionElsewhereIsFollowed() async throws {
        try await withArchive { directory, builder, store in
            try await builder.ship()
            let fork = try builder.reader.durableLSN
            try await SampleArchive.restore(store, into: "\(directory)/second")
            let follower = follower(store, to: .replica(directory: "\(directory)/replica"))
            try await follower.running {
                try await follower.reaches(fork)
                _ = try await promote("\(directory)/second", store)
                // The old writer goes on for a while, and nothing of it counts.
                try SampleArchive.write("\(directory)/log", count: 30, seed: 8, segmentSize: nil)
                try await builder.ship()
                try SampleArchive.write("\(directory)/second", count: 60, seed: 9, segmentSize: nil)
                let second = try await ArchiveBuilder(store: store, directory: "\(directory)/second")
                try await second.ship()
                try await follower.reaches(try second.reader.durableLSN)
                #expect(follower.status.epoch == 2)
            }
            try expectSame("\(directory)/replica", "\(directory)/second")
            // The old writer is told, and follows when it is asked to, with what it had kept aside.
            let old = try SampleArchive.records("\(directory)/log")
            builder.reader.close()
            let refused = try await end(of: self.follower(store, to: .replica(directory: "\(directory)/log")))
            #expect(refused.code == .diverged && refused.lsn == fork && refused.description.contains("--rewind"), "\(refused)")
            let rejoined = self.follower(store, to: .replica(directory: "\(directory)/log", rewinds: true))
            let end = follower.status.applied
            try await rejoined.running { try await rejoined.reaches(end) }
            try expectSame("\(directory)/log", "\(directory)/second")
            let kept = try SampleArchive.records("\(directory)/log/diverged-1-\(fork)")
            #expect(!kept.isEmpty && SampleArchive.isSame(kept, old.filter { $0.lsn >= fork }))
        }
    }

    @Test func aReplicaPastTheForkHasDivergedAndRewinds() async throws {
        try await withArchive { directory, builder, store in
            try await builder.ship()
            let records = try SampleArchive.records("\(directory)/log")
            try await SampleArchive.restore(store, into: "\(directory)/second", .through(records[50].lsn))
            try await SampleArchive.restore(store, into: "\(directory)/replica")
            let fork = records[51].lsn
            _ = try await promote("\(directory)/second", store, fork: fork)
            try SampleArchive.write("\(directory)/second", count: 20, seed: 3, segmentSize: nil)
            let second = try await ArchiveBuilder(store: store, directory: "\(directory)/second")
            try await second.ship()
            let error = try await end(of: follower(store, to: .replica(directory: "\(directory)/replica")))
            #expect(error.code == .diverged && error.lsn == fork, "\(error)")
            let again = follower(store, to: .replica(directory: "\(directory)/replica", rewinds: true))
            try await again.running { try await again.reaches(try second.reader.durableLSN) }
            try expectSame("\(directory)/replica", "\(directory)/second")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/replica/diverged-1-\(fork)"), Array(records[51...])))
        }
    }

    /// A promotion reads its parent to the end after it has claimed: what is archived beside that may not be of the line.
    @Test func whatIsFetchedBesideAClaimIsNotAppliedBeforeTheEpochHasBegun() async throws {
        try await withArchive { directory, builder, store in
            try await builder.ship()
            let fork = try builder.reader.durableLSN
            try await SampleArchive.restore(store, into: "\(directory)/second")
            let follower = follower(store, to: .replica(directory: "\(directory)/replica"))
            try await follower.running {
                try await follower.reaches(fork)
                let claimed = EpochName(number: 2, id: EpochID(rawValue: 77))
                try await builder.claim(claimed)
                try SampleArchive.write("\(directory)/log", count: 60, seed: 8, segmentSize: nil)
                try await builder.ship()
                try await waitUntil("it holds: \(follower.status)") { follower.status.state == .holding }
                #expect(follower.status.applied == fork)
                // That promotion came to nothing; another one begins its epoch.
                _ = try await promote("\(directory)/second", store, fork: fork)
                try SampleArchive.write("\(directory)/second", count: 20, seed: 9, segmentSize: nil)
                let second = try await ArchiveBuilder(store: store, directory: "\(directory)/second")
                try await second.ship()
                try await follower.reaches(try second.reader.durableLSN)
            }
            try expectSame("\(directory)/replica", "\(directory)/second")
        }
    }

    // MARK: Consumers

    /// A consumer that stores the position with what it made of the record, and dies anywhere.
    @Test func aConsumerThatStoresItsPositionHasEachRecordOnce() async throws {
        struct Died: Error {}
        try await withArchive(count: 150) { directory, builder, store in
            try await builder.ship(tailBytes: 400)
            let expected = try SampleArchive.records("\(directory)/log")
            struct Stored { var position: LogPosition?; var records: [Entry] = [] }
            let stored = Mutex(Stored())
            var generator = SeededGenerator(seed: 3)
            var rounds = 0
            while stored.withLock({ $0.records.count }) < expected.count {
                rounds += 1
                let life = Mutex(Int.random(in: 1...25, using: &generator))
                let follower = follower(store, to: .consumer(from: stored.withLock(\.position)) { records in
                    for record in records {
                        let dies = life.withLock { $0 -= 1; return $0 < 0 }
                        if dies { throw Died() }
                        stored.withLock { stored in
                            stored.records.append((record.lsn, record.data))
                            stored.position = record.next
                        }
                    }
                })
                let running = Task { try await follower.run() }
                try await waitUntil("it dies, or has all: \(follower.status)") {
                    follower.status.state == .stopped || stored.withLock { $0.records.count } == expected.count
                }
                running.cancel()
                _ = await running.result
            }
            #expect(rounds > 5)
            #expect(SampleArchive.isSame(stored.withLock(\.records), expected))
        }
    }

    @Test func aConsumerFollowsAcrossAPromotionAndAnOutage() async throws {
        try await withArchive { directory, builder, store in
            try await builder.ship()
            try await SampleArchive.restore(store, into: "\(directory)/second")
            let got = Mutex<[Entry]>([])
            let follower = follower(store, to: .consumer(from: nil) { records in got.withLock { $0 += records.map { ($0.lsn, $0.data) } } })
            try await follower.running {
                try await follower.reaches(try builder.reader.durableLSN)
                _ = try await promote("\(directory)/second", store)
                try SampleArchive.write("\(directory)/second", count: 60, seed: 9, segmentSize: nil)
                let second = try await ArchiveBuilder(store: store, directory: "\(directory)/second")
                try await second.ship()
                // Of the follower: nobody else reads now.
                for _ in 0..<5 { store.inject(.fail(ArchiveError(.unreachable, "away")), into: .get) }
                try await follower.reaches(try second.reader.durableLSN)
            }
            #expect(SampleArchive.isSame(got.withLock { $0 }, try SampleArchive.records("\(directory)/second")))
            let middle = try #require(got.withLock { $0.first })
            let wrong = try await end(of: self.follower(store, to: .consumer(from: LogPosition(LSN(middle.lsn.rawValue + 1))) { _ in }))
            #expect(wrong.code == .notFound && wrong.description.contains("no record begins at LSN"), "\(wrong)")
        }
    }

    @Test func replayHandsOverEachRecordWithThePositionAfterIt() async throws {
        try await withArchive { directory, builder, store in
            try await builder.ship()
            let expected = try SampleArchive.records("\(directory)/log")
            var got: [Entry] = []
            var position = LSN.zero
            let end = try LogReplay.run(log: "\(directory)/log") { lsn, bytes, next in
                #expect(lsn == position && next.epoch == builder.epoch.id)
                position = next.lsn
                got.append((lsn, bytes.withUnsafeBytes { [UInt8]($0) }))
            }
            #expect(end.lsn == position && SampleArchive.isSame(got, expected))
            #expect(try builder.reader.durableLSN == end.lsn)
            got = []
            let part = try LogReplay.run(log: "\(directory)/log", from: LogPosition(expected[10].lsn), to: expected[20].lsn) { lsn, bytes, _ in
                got.append((lsn, bytes.withUnsafeBytes { [UInt8]($0) }))
            }
            #expect(part.lsn == expected[20].lsn && SampleArchive.isSame(got, Array(expected[10..<20])))
            got = []
            let archived = try await LogReplay.run(archive: store, log: SampleArchive.name, from: LogPosition(expected[5].lsn)) { got.append(($0.lsn, $0.data)) }
            #expect(archived == end && SampleArchive.isSame(got, Array(expected[5...])))
        }
    }
}
