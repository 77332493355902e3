import Archive
import Logging
import Synchronization
import TestSupport
import Testing
import WAL

@testable import Follower

/// An archive is pruned while somebody follows it.
@Suite struct PruningBesideFollowersTests {
    private static func prune(_ store: any ObjectStore, before lsn: LSN) async throws -> FloorDocument? {
        let pruning = try await Pruning.open(store: store, log: SampleArchive.name, now: { 5 }, patience: { SampleArchive.NoPatience() })
        let plan = try await pruning.plan(.before(lsn))
        _ = try await pruning.run(plan)
        return plan.floor
    }

    /// Nil where it reached the end of what is archived; else why it ended.
    private func run(_ follower: LogFollower, upTo end: LSN) async throws -> ArchiveError? {
        let running = Task { try await follower.run() }
        try await waitUntil("it ends, or has all: \(follower.status)") { follower.status.state == .stopped || follower.status.applied == end }
        running.cancel()
        do {
            try await running.value
            return nil
        } catch let error as ArchiveError {
            return error
        }
    }

    /// A replica and a consumer that stand at the archive's beginning, and one that stands above the new floor, each pruned at every one of their requests. They
    /// have everything, or say that it was pruned; what they have is the log's, without a hole.
    @Test func whoFollowsHasEverythingOrSaysThatItWasPruned() async throws {
        try await withTemporaryDirectory { directory in
            let made = try await AuditedArchive.make(in: directory)
            let end = try #require(made.records.last.map { $0.lsn.advanced(by: UInt64(8 + $0.data.count)) })
            var (whole, pruned) = (0, 0)
            for (isReplica, start) in [(true, LSN.zero), (false, LSN.zero), (true, LSN(13_500)), (false, LSN(13_500))] {
                let first = try #require(made.records.firstIndex { $0.lsn >= start })
                let position = made.records[first].lsn
                var (request, isThrough) = (0, false)
                while !isThrough {
                    let store = MemoryObjectStore()
                    for (key, bytes) in made.store.contents { store.plant(key, bytes) }
                    let moment = "\(isReplica ? "replica" : "consumer") at \(position), request \(request)"
                    let place = "\(directory)/replica-\(isReplica)-\(start)-\(request)"
                    if isReplica { try await SampleArchive.restore(store, into: place, position == .zero ? .through(.zero) : .before(position)) }
                    let seen = Mutex(0)
                    let wanted = request
                    let watched = WatchedStore(store) { (number, _, _) throws(ArchiveError) in
                        seen.withLock { $0 = number }
                        guard number == wanted else { return }
                        do { _ = try await Self.prune(store, before: LSN(13_000)) } catch { throw ArchiveError(.invalid, "\(error)") }
                    }
                    let got = Mutex<[SampleArchive.Entry]>([])
                    let target: LogFollower.Target =
                        isReplica
                        ? .replica(directory: place)
                        : .consumer(from: LogPosition(position)) { records in got.withLock { $0 += records.map { ($0.lsn, $0.data) } } }
                    let error = try await run(LogFollower(sample: watched, to: target), upTo: end)
                    isThrough = seen.withLock { $0 } < wanted
                    let has = isReplica ? try SampleArchive.records(place) : got.withLock { $0 }
                    let expected = isReplica ? made.records : Array(made.records[first...])
                    #expect(SampleArchive.isSame(has, Array(expected.prefix(has.count))), "\(moment)")
                    if let error {
                        pruned += 1
                        #expect(start == .zero && error.code == .notFound && error.message.contains("pruned") && error.hint?.contains("new") == true, "\(moment): \(error)")
                    } else {
                        whole += 1
                        #expect(has.count == expected.count, "\(moment)")
                    }
                    request += 1
                    try #require(request < 400)
                }
            }
            #expect(whole > 20 && pruned > 5, "\(whole) \(pruned)")
        }
    }

    /// Pruned again and again up to where it stands, while the log grows: it does not notice.
    @Test func whoStandsAtTheEndDoesNotNotice() async throws {
        try await withTemporaryDirectory { directory in
            let store = MemoryObjectStore()
            try SampleArchive.write("\(directory)/log", count: 60)
            let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            try await builder.ship()
            let replica = LogFollower(sample: store, to: .replica(directory: "\(directory)/replica"))
            let got = Mutex<[SampleArchive.Entry]>([])
            let consumer = LogFollower(sample: store, to: .consumer(from: nil) { records in got.withLock { $0 += records.map { ($0.lsn, $0.data) } } })
            let running = [Task { try await replica.run() }, Task { try await consumer.run() }]
            var floors = 0
            for round in 0..<12 {
                let end = try builder.reader.durableLSN
                try await waitUntil("both have it: \(replica.status) \(consumer.status)") {
                    for one in [replica, consumer] where one.status.state == .stopped { throw ServerError("stopped: \(one.status)") }
                    return replica.status.applied == end && consumer.status.applied == end
                }
                if try await Self.prune(store, before: end) != nil { floors += 1 }
                try SampleArchive.write("\(directory)/log", count: 30, seed: UInt64(round + 2), segmentSize: nil)
                // As a shipper does: only what is new, and tails go with their segment.
                let (from, to) = (LSN(end.rawValue / 4096 * 4096), try builder.reader.durableLSN)
                var position = from
                while position.advanced(by: 4096) <= to {
                    try await builder.object(.segment, position..<position.advanced(by: 4096))
                    position = position.advanced(by: 4096)
                }
                if position > from { for key in store.contents.keys where key.path.contains("tail/") { store.plant(key, nil) } }
                try await builder.shipTails(from: position > from ? position : end, to: to, bytes: 400)
                try await builder.head(archived: to, checkpoint: position)
            }
            for task in running {
                task.cancel()
                try await task.value
            }
            #expect(floors > 8)
            let end = try builder.reader.durableLSN
            let all = try SampleArchive.records("\(directory)/log")
            let kept = try SampleArchive.records("\(directory)/replica")
            #expect(SampleArchive.isSame(kept, Array(all.prefix(kept.count))) && kept.count >= all.count - 30, "\(end)")
            let handed = got.withLock { $0 }
            #expect(SampleArchive.isSame(handed, Array(all.prefix(handed.count))) && handed.count >= all.count - 30)
        }
    }
}
