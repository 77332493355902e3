import Archive
import Follower
import Foundation
import TestSupport
import Testing
import WAL

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
            #expect(error?.description.contains("--at \(8 * 4096 - 1)") == true)
        }
    }
}
