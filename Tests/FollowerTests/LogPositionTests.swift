import Archive
import Foundation
import Logging
import Synchronization
import TestSupport
import Testing
import WAL

@testable import Follower

/// Positions of consumers: an LSN, and the epoch of what comes before it.
@Suite struct LogPositionTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @Test func aPositionIsReadBackFromItsTextAndNothingElseIs() throws {
        let epoch = EpochID(rawValue: 0x00f1_e2d3_c4b5_a697)
        for position in [LogPosition(LSN(0)), LogPosition(LSN(30)), LogPosition(LSN(1 << 62)), LogPosition(LSN(30), epoch: epoch)] {
            #expect(LogPosition(position.description) == position)
            let coded = try JSONEncoder().encode([position])
            #expect(try JSONDecoder().decode([LogPosition].self, from: coded) == [position])
        }
        #expect(LogPosition(LSN(30), epoch: epoch).description == "30@00f1e2d3c4b5a697")
        for text in ["", "@", "30@", "@00f1e2d3c4b5a697", "30@00f1e2d3c4b5a69", "30@00F1E2D3C4B5A697", "30@00f1e2d3c4b5a697@", " 30", "-1", "٣", "4611686018427387905"] {
            #expect(LogPosition(text) == nil, "\(text)")
            #expect(throws: DecodingError.self) { try JSONDecoder().decode([LogPosition].self, from: JSONEncoder().encode([text])) }
        }
    }

    private func promote(_ directory: String, _ store: any ObjectStore, fork: LSN?) async throws {
        _ = try await Promotion(
            directory: directory, destinations: [.init(store: store, log: SampleArchive.name)], fork: fork, host: "test",
            patience: { SampleArchive.NoPatience() }, settle: 0, sleep: { _ in }, now: { 1 }
        ).run()
    }

    /// What a follower hands over from a position on, until `count` records came or it ended.
    private func follow(_ store: any ObjectStore, from position: LogPosition?, count: Int) async throws -> [FollowedRecord] {
        var settings = FollowerSettings()
        settings.interval = 0.01
        let got = Mutex<[FollowedRecord]>([])
        let follower = LogFollower(
            store: store, log: SampleArchive.name, url: "memory/orders", to: .consumer(from: position) { records in got.withLock { $0 += records } }, settings: settings,
            logger: Self.quiet)
        let running = Task { try await follower.run() }
        try await waitUntil("it has them, or ends: \(follower.status)") { follower.status.state == .stopped || got.withLock { $0.count } >= count }
        running.cancel()
        try await running.value
        return got.withLock { $0 }
    }

    /// Of an archive, of the log itself, followed and replayed.
    private func everyWay(_ store: any ObjectStore, _ directory: String, from position: LogPosition, count: Int) async throws -> [[FollowedRecord]] {
        var ways = [try await follow(store, from: position, count: count)]
        var replayed: [FollowedRecord] = []
        try await LogReplay.run(archive: store, log: SampleArchive.name, from: position) { replayed.append($0) }
        ways.append(replayed)
        replayed = []
        try LogReplay.run(log: directory, from: position) { lsn, bytes, next in
            replayed.append(FollowedRecord(lsn: lsn, data: bytes.withUnsafeBytes { [UInt8]($0) }, next: next))
        }
        return ways + [replayed]
    }

    /// Somebody named a fork below what a consumer had: whoever restarts it at its position is told, also where a record begins there in the new history.
    @Test func aPositionPastAForkIsNoticedEverywhereAndOneUpToItGoesOn() async throws {
        try await withTemporaryDirectory { directory in
            let store = MemoryObjectStore()
            // Records of one length: every LSN at which one began has one in both histories.
            let log = try SegmentedLog.open(directory: "\(directory)/log", segmentSize: 4096)
            for number in 0..<60 { try log.append([UInt8](repeating: UInt8(number), count: 92)) }
            try log.close()
            let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            try await builder.ship()
            let fork = LSN(3000)
            try await SampleArchive.restore(store, into: "\(directory)/second", .before(fork))
            var old: [FollowedRecord] = []
            try await LogReplay.run(archive: store, log: SampleArchive.name) { old.append($0) }
            #expect(old.count == 60 && old.allSatisfy { $0.next.epoch == builder.epoch.id && $0.next.lsn == $0.lsn.advanced(by: 100) })
            try await promote("\(directory)/second", store, fork: fork)
            let second = try SegmentedLog.open(directory: "\(directory)/second")
            for number in 0..<50 { try second.append([UInt8](repeating: UInt8(100 + number), count: 92)) }
            try second.close()
            let successor = try await ArchiveBuilder(store: store, directory: "\(directory)/second")
            try await successor.ship()
            for record in old {
                let position = record.next
                if position.lsn <= fork {
                    let expected = 80 - Int(position.lsn.rawValue) / 100
                    for way in try await everyWay(store, "\(directory)/second", from: position, count: expected) {
                        #expect(way.count == expected && way.first?.lsn == position.lsn)
                        #expect(way.allSatisfy { $0.next.epoch == ($0.lsn < fork ? builder.epoch.id : successor.epoch.id) })
                    }
                } else if position.lsn.rawValue % 700 == 0 {
                    let followed = await #expect(throws: ArchiveError.self) { try await follow(store, from: position, count: 1) }
                    let replayed = await #expect(throws: ArchiveError.self) { try await LogReplay.run(archive: store, log: SampleArchive.name, from: position) { _ in } }
                    let read = #expect(throws: ArchiveError.self) { try LogReplay.run(log: "\(directory)/second", from: position) { _, _, _ in } }
                    for error in [followed, replayed, read] { #expect(error?.code == .diverged && error?.lsn == fork, "\(position): \(String(describing: error))") }
                    // An LSN alone is taken at its word.
                    let plain = try await everyWay(store, "\(directory)/second", from: LogPosition(position.lsn), count: 1)
                    #expect(plain.allSatisfy { $0.first?.lsn == position.lsn })
                }
            }
            let stranger = LogPosition(LSN(100), epoch: EpochID(rawValue: 3))
            let error = await #expect(throws: ArchiveError.self) { try await follow(store, from: stranger, count: 1) }
            #expect(error?.code == .diverged)
        }
    }

    /// The segment that holds the position closes while somebody looks for it: some of its tails were read, and then they are gone.
    @Test(arguments: [0, 5, 11]) func aSegmentThatClosesWhileAPositionIsLookedForLosesNothing(index: Int) async throws {
        try await withTemporaryDirectory { directory in
            let all = try SampleArchive.write("\(directory)/log", count: 120)
            let (open, closed) = (MemoryObjectStore(), MemoryObjectStore())
            let builder = try await ArchiveBuilder(store: open, directory: "\(directory)/log")
            let (start, end) = (LSN(8192), LSN(12_288))
            for segment in [LSN.zero, LSN(4096)] { try await builder.object(.segment, segment..<segment.advanced(by: 4096)) }
            try await builder.shipTails(from: start, to: end, bytes: 300)
            try await builder.head(archived: end, checkpoint: start)
            let scratch = try await ArchiveBuilder(store: closed, directory: "\(directory)/log")
            let segment = try await scratch.object(.segment, start..<end)
            let bytes = try await closed.get(segment, range: nil, limit: 1 << 20)
            let inside = all.filter { $0.lsn > start && $0.lsn.advanced(by: UInt64(8 + $0.data.count)) <= end }
            let from = inside[index]
            let expected = Array(inside[index...])
            // The archive, in which the segment takes the place of its tails at one request.
            @Sendable func closing(at wanted: Int, _ note: @escaping @Sendable (Int) -> Void = { _ in }) -> WatchedStore {
                let store = MemoryObjectStore()
                for (key, bytes) in open.contents { store.plant(key, bytes) }
                return WatchedStore(store) { (number, _, _) throws(ArchiveError) in
                    note(number)
                    guard number == wanted else { return }
                    store.plant(segment, bytes)
                    for key in store.contents.keys where key.path.contains("tail/") { store.plant(key, nil) }
                }
            }
            var (request, isThrough) = (0, false)
            while !isThrough {
                let seen = Mutex(0)
                let followed = try await follow(closing(at: request) { number in seen.withLock { $0 = number } }, from: LogPosition(from.lsn), count: expected.count)
                #expect(SampleArchive.isSame(followed.map { ($0.lsn, $0.data) }, expected), "request \(request)")
                isThrough = seen.withLock { $0 } < request
                // The same to print it.
                var records: [SampleArchive.Entry] = []
                for try await record in archiveRecords(
                    store: closing(at: request), log: SampleArchive.name, from: from.lsn, patience: { SampleArchive.NoPatience() })
                { records.append(record) }
                #expect(SampleArchive.isSame(records, expected), "request \(request)")
                // And to find the first record from there on.
                let reader = try await SampleArchive.open(closing(at: request))
                #expect(try await FirstRecord.find(atOrAfter: from.lsn, reader, try reader.requireLine().epochs) == from.lsn, "request \(request)")
                request += 1
                try #require(request < 400)
            }
        }
    }
}
