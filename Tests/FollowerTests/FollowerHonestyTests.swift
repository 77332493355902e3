import Archive
import Logging
import Synchronization
import TestSupport
import Testing
import WAL

@testable import Follower

/// That a follower which does not follow does not look as if it did.
@Suite struct FollowerHonestyTests {
    private func withArchive(count: Int = 80, _ body: (String, ArchiveBuilder, MemoryObjectStore) async throws -> Void) async throws {
        try await withTemporaryDirectory { directory in
            let store = MemoryObjectStore()
            try SampleArchive.write("\(directory)/log", count: count)
            let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            try await builder.ship()
            try await body(directory, builder, store)
        }
    }

    private func promote(_ directory: String, _ store: any ObjectStore, fork: LSN? = nil) async throws {
        _ = try await Promotion(
            directory: directory, destinations: [.init(store: store, log: SampleArchive.name)], fork: fork, host: "test",
            patience: { SampleArchive.NoPatience() }, settle: 0, sleep: { _ in }, now: { 1 }
        ).run()
    }

    /// Another directory in its place, a bucket that was emptied: nothing comes, and nothing ever will.
    @Test func anArchiveThatIsGoneIsNotTakenForOneInWhichNothingComes() async throws {
        try await withArchive { directory, builder, store in
            for target in [LogFollower.Target.replica(directory: "\(directory)/replica"), .consumer(from: nil) { _ in }] {
                let full = store.contents
                let follower = LogFollower(sample: store, to: target)
                let running = Task { try await follower.run() }
                try await follower.reaches(try builder.reader.durableLSN)
                // Not for a moment only.
                for key in full.keys { store.plant(key, nil) }
                try await waitUntil("it is shown: \(follower.status)") { follower.status.lastError?.contains("not here any more") == true }
                for (key, bytes) in full { store.plant(key, bytes) }
                try await waitUntil("it is there again: \(follower.status)") { follower.status.lastError == nil && follower.status.state == .following }
                for key in full.keys { store.plant(key, nil) }
                let error = await #expect(throws: ArchiveError.self) { try await running.value }
                #expect(error?.code == .damaged && error?.message.contains("not here any more") == true, "\(String(describing: error))")
                #expect(follower.status.state == .stopped)
                for (key, bytes) in full { store.plant(key, bytes) }
            }
        }
    }

    @Test func aSecondFollowerOfOneReplicaSaysNothingInItsName() async throws {
        try await withArchive { directory, builder, store in
            let first = LogFollower(sample: store, to: .replica(directory: "\(directory)/replica"))
            try await first.running {
                try await first.reaches(try builder.reader.durableLSN)
                try await waitUntil("it is noted") { try FollowerDocument.read(directory: "\(directory)/replica")?.state == "following" }
                let second = LogFollower(sample: store, to: .replica(directory: "\(directory)/replica"))
                await #expect(throws: WALError.self) { try await second.run() }
                #expect(second.status.state == .stopped && second.status.lastError != nil)
                let note = try #require(try FollowerDocument.read(directory: "\(directory)/replica"))
                #expect(note.state == "following" && note.lastError == nil)
            }
            // A log that is no replica gets none at all.
            let wrong = LogFollower(sample: store, to: .replica(directory: "\(directory)/log"))
            await #expect(throws: ArchiveError.self) { try await wrong.run() }
            #expect(try FollowerDocument.read(directory: "\(directory)/log") == nil)
        }
    }

    @Test func theLagOfAnEpochThatIsLeftIsForgotten() async throws {
        try await withArchive { directory, builder, store in
            let end = try builder.reader.durableLSN
            // The old primary had more than it archived.
            try await builder.put(
                HeadDocument(epoch: builder.epoch, archived: end, checkpoint: .zero, durable: end.advanced(by: 1 << 30), time: 1), builder.layout.head(builder.epoch))
            try await SampleArchive.restore(store, into: "\(directory)/second")
            let follower = LogFollower(sample: store, to: .replica(directory: "\(directory)/replica"))
            try await follower.running {
                try await waitUntil("the lag is known: \(follower.status)") { follower.status.lagBytes == 1 << 30 }
                // It is noted without anything that is applied.
                try await waitUntil("it is noted") { try FollowerDocument.read(directory: "\(directory)/replica")?.lagBytes == 1 << 30 }
                try await promote("\(directory)/second", store)
                try SampleArchive.write("\(directory)/second", count: 20, seed: 9, segmentSize: nil)
                let second = try await ArchiveBuilder(store: store, directory: "\(directory)/second")
                try await second.ship()
                try await follower.reaches(try second.reader.durableLSN)
                #expect(follower.status.lagBytes == 0 && follower.status.epoch == 2)
            }
        }
    }

    @Test func whoDoesNotFollowFallsBehind() throws {
        let second: UInt64 = 1_000_000_000
        var status = FollowerStatus(url: "memory/orders")
        (status.applied, status.known, status.seen) = (LSN(100), LSN(100), 50 * second)
        for state in FollowerStatus.State.allCases {
            status.state = state
            #expect(status.lagSeconds(now: 80 * second) == (state == .following ? 0 : 30))
        }
        status.state = .following
        status.known = LSN(300)
        #expect(status.lagSeconds(now: 80 * second) == 30)
        status.asOf = 45 * second
        #expect(status.lagSeconds(now: 80 * second) == 35)
        // As it is shown later, from the note that it left.
        var idle = status
        idle.known = idle.applied
        let (behind, current) = (FollowerDocument(status, now: 80 * second), FollowerDocument(idle, now: 80 * second))
        #expect(behind.aged(now: 90 * second, isRunning: true).lagSeconds == 45)
        #expect(current.aged(now: 90 * second, isRunning: true).lagSeconds == 0)
        #expect(current.aged(now: 90 * second, isRunning: false).lagSeconds == 10)
        // A process that hangs is not heard from.
        #expect(current.aged(now: 1080 * second, isRunning: true).lagSeconds == 1000)
    }

    /// The line is another all of a sudden, and the replica has more: with leave to rewind it does, without it it ends; also while it runs.
    @Test(arguments: [true, false]) func aForkBelowWhatARunningFollowerHasIsRewoundToOrEndsIt(rewinds: Bool) async throws {
        try await withArchive { directory, builder, store in
            let records = try SampleArchive.records("\(directory)/log")
            try await SampleArchive.restore(store, into: "\(directory)/second", .through(records[50].lsn))
            let fork = records[51].lsn
            let follower = LogFollower(sample: store, to: .replica(directory: "\(directory)/replica", rewinds: rewinds))
            let running = Task { try await follower.run() }
            try await follower.reaches(try builder.reader.durableLSN)
            try await promote("\(directory)/second", store, fork: fork)
            try SampleArchive.write("\(directory)/second", count: 50, seed: 9, segmentSize: nil)
            let second = try await ArchiveBuilder(store: store, directory: "\(directory)/second")
            try await second.ship()
            let kept = "\(directory)/replica/diverged-1-\(fork)"
            if rewinds {
                try await waitUntil("it goes on: \(follower.status)") {
                    guard follower.status.state != .stopped else { throw ServerError("stopped: \(follower.status)") }
                    return try follower.status.applied == second.reader.durableLSN && follower.status.epoch == 2
                }
                running.cancel()
                try await running.value
                #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/replica"), try SampleArchive.records("\(directory)/second")))
                #expect(SampleArchive.isSame(try SampleArchive.records(kept), Array(records[51...])))
            } else {
                let error = await #expect(throws: ArchiveError.self) { try await running.value }
                #expect(error?.code == .diverged && error?.lsn == fork)
                let note = try #require(try FollowerDocument.read(directory: "\(directory)/replica"))
                #expect(note.state == "stopped" && note.lastError?.contains("\(fork)") == true)
                // Tried again, it says so again.
                await #expect(throws: ArchiveError.self) { try await LogFollower(sample: store, to: .replica(directory: "\(directory)/replica")).run() }
                #expect(try FollowerDocument.read(directory: "\(directory)/replica")?.lastError == note.lastError)
                // Somebody reads it: then it cannot be cut, and that is said.
                let reader = try LogReader.open(directory: "\(directory)/replica")
                let locked = await #expect(throws: ArchiveError.self) {
                    try await LogFollower(sample: store, to: .replica(directory: "\(directory)/replica", rewinds: true)).run()
                }
                #expect(locked?.code == .diverged && locked?.lsn == fork && locked?.message.contains("reader") == true, "\(String(describing: locked))")
                reader.close()
                #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/replica"), records))
            }
        }
    }

    @Test func aReplicaKeepsAsMuchAsItIsTold() async throws {
        try await withArchive(count: 300) { directory, builder, store in
            let records = try SampleArchive.records("\(directory)/log")
            let end = try builder.reader.durableLSN
            try await SampleArchive.restore(store, into: "\(directory)/replica", .through(records[20].lsn))
            let follower = LogFollower(sample: store, to: .replica(directory: "\(directory)/replica"), retain: 10_000)
            try await follower.running { try await follower.reaches(end) }
            let kept = try SampleArchive.records("\(directory)/replica")
            let head = try #require(kept.first?.lsn)
            #expect(end.distance(from: head) >= 10_000 && end.distance(from: head) < 10_000 + 2 * 4096)
            #expect(SampleArchive.isSame(kept, records.filter { $0.lsn >= head }))
            // It is a replica as before: followed into, and promoted.
            try SampleArchive.write("\(directory)/log", count: 30, seed: 4, segmentSize: nil)
            try await builder.ship()
            let again = LogFollower(sample: store, to: .replica(directory: "\(directory)/replica"))
            try await again.running { try await again.reaches(try builder.reader.durableLSN) }
            try await promote("\(directory)/replica", store)
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/replica"), try SampleArchive.records("\(directory)/log").filter { $0.lsn >= head }))
        }
    }

    /// Nothing comes that would be applied: what it had before it was told goes all the same.
    @Test func aReplicaOfAnIdleArchiveKeepsAsMuchAsItIsTold() async throws {
        try await withArchive(count: 300) { directory, builder, store in
            let end = try builder.reader.durableLSN
            try await SampleArchive.restore(store, into: "\(directory)/replica")
            let follower = LogFollower(sample: store, to: .replica(directory: "\(directory)/replica"), retain: 10_000)
            try await follower.running { try await waitUntil("it follows") { follower.status.state == .following } }
            let head = try #require(try SampleArchive.records("\(directory)/replica").first?.lsn)
            #expect(end.distance(from: head) >= 10_000 && end.distance(from: head) < 10_000 + 2 * 4096)
        }
    }

    /// Storage is away when it starts again: it stands where it stood, and time goes by.
    @Test func aFollowerThatStartsAgainInAnOutageStandsWhereItStood() async throws {
        try await withArchive { directory, builder, store in
            let end = try builder.reader.durableLSN
            let replica = LogFollower.Target.replica(directory: "\(directory)/replica")
            let first = LogFollower(sample: store, to: replica)
            try await first.running { try await first.reaches(end) }
            let note = try #require(try FollowerDocument.read(directory: "\(directory)/replica"))
            let away = WatchedStore(store) { (_, _, _) throws(ArchiveError) in throw ArchiveError(.unreachable, "away") }
            for known in [end, end.advanced(by: 5000)] {
                var left = note
                (left.knownLSN, left.lagBytes, left.lagSeconds) = ("\(known)", known.distance(from: end), 99)
                try left.write(directory: "\(directory)/replica")
                let second = LogFollower(sample: away, to: replica)
                try await second.running { try await waitUntil("it is away") { second.status.state == .unreachable } }
                let status = second.status
                #expect(status.applied == end && status.known == known && status.epoch == note.epoch)
                let time = try #require(UInt64(note.time))
                #expect(status.lagSeconds(now: time).map { $0 >= 99 } == true, "\(status)")
                let again = try #require(try FollowerDocument.read(directory: "\(directory)/replica"))
                #expect(again.appliedLSN == "\(end)" && again.knownLSN == "\(known)" && again.lagSeconds != nil)
            }
            // What another archive was known to have says nothing of this one.
            var other = note
            (other.archive, other.knownLSN) = ("memory/other", "\(end.advanced(by: 5000))")
            try other.write(directory: "\(directory)/replica")
            let third = LogFollower(sample: away, to: replica)
            try await third.running { try await waitUntil("it is away") { third.status.state == .unreachable } }
            #expect(third.status.applied == end && third.status.known == end && third.status.seen == nil)
        }
    }
}
