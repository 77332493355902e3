import Archive
import Follower
import Foundation
import TestSupport
import Testing
import WAL

/// What an archive says about itself: epochs, gaps, where it begins and ends, and how sure that is.
@Suite struct ArchiveStatusTests {
    private func status(_ store: any ObjectStore) async throws -> ArchiveStatus {
        try await ArchiveStatus.read(store: store, log: SampleArchive.name, patience: { SampleArchive.NoPatience() })
    }

    private func withArchive(
        _ store: MemoryObjectStore = MemoryObjectStore(), head: Bool = true, _ body: (MemoryObjectStore, ArchiveBuilder) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { scratch in
            try SampleArchive.write("\(scratch)/log", count: 120)
            let builder = try await ArchiveBuilder(store: store, directory: "\(scratch)/log")
            try await builder.ship(head: head)
            try await body(store, builder)
        }
    }

    private static let cannotList = MemoryObjectStore.everything.subtracting(.list)

    @Test func theEndIsFoundPastTheHeadAndNothingIsWritten() async throws {
        try await withArchive { store, builder in
            let end = try builder.reader.durableLSN
            try await builder.head(archived: LSN(4096), checkpoint: LSN(4096))
            let before = store.contents
            let status = try await status(store)
            #expect(status.archived == LSN(4096) && status.end == .init(lsn: end, certainty: .proven))
            #expect(status.gaps == [] && status.lists == true && status.floor == nil && status.firstRecord == .zero)
            #expect(status.epochs.map(\.state) == [.current] && status.epochs[0].start == .zero && status.epochs[0].claim?.host == "test")
            #expect(store.contents == before)
            // The head and the few tails behind it: not the whole archive.
            let reads = store.count(of: .get)
            _ = try await self.status(store)
            #expect(store.count(of: .get) - reads < 100)
        }
    }

    @Test func withoutAHeadAListingProvesTheEndAndWithoutBothItIsUnproven() async throws {
        try await withArchive(head: false) { store, builder in
            let status = try await status(store)
            #expect(try status.end == .init(lsn: builder.reader.durableLSN, certainty: .proven) && status.headTime == nil)
        }
        try await withArchive(MemoryObjectStore(capabilities: Self.cannotList), head: false) { store, builder in
            let status = try await status(store)
            #expect(status.end?.certainty == .unproven && status.gaps == nil && status.lists == false)
        }
        try await withArchive(MemoryObjectStore(capabilities: Self.cannotList)) { store, builder in
            let status = try await status(store)
            #expect(try status.end == .init(lsn: builder.reader.durableLSN, certainty: .proven) && status.gaps == nil)
        }
    }

    @Test func anEndThatTheHeadDeniesIsBroken() async throws {
        try await withArchive { store, builder in
            let end = try builder.reader.durableLSN
            for key in store.contents.keys where key.path.contains("/tail/") { store.plant(key, nil) }
            let status = try await status(store)
            // The head is believed for what lies below it; past it nothing is found, which is no contradiction.
            #expect(status.end == .init(lsn: end, certainty: .proven))
            // Without it, the listing leads to the last object, and a damaged one is said to be.
            store.plant(builder.layout.head(builder.epoch), nil)
            let last = try #require(store.contents.keys.filter { $0.path.contains("/segments/") }.max())
            let intact = try #require(store.contents[last])
            store.plant(last, Array(intact.prefix(100)))
            guard case .broken(let error)? = try await self.status(store).end?.certainty else {
                Issue.record("not broken")
                return
            }
            #expect(error.code == .damaged && error.key == last)
        }
    }

    @Test func gapsAreListedOnceWithTheirReasons() async throws {
        try await withArchive { store, builder in
            for start in [4096, 8192] as [UInt64] { store.plant(builder.layout.segment(builder.epoch, start: LSN(start)), nil) }
            try await builder.gap(LSN(4096)..<LSN(12288), reason: "the disk was full")
            // A second document about the same range, for those who come to the middle of it.
            try await builder.gap(LSN(8192)..<LSN(12288), reason: "the disk was full")
            let status = try await status(store)
            let gap = try #require(status.gaps?.first)
            #expect(status.gaps?.count == 1 && gap.isOnLine && gap.document.start == LSN(4096) && gap.document.end == LSN(12288))
            #expect(gap.document.reason == "the disk was full" && gap.epoch == builder.epoch)
            #expect(status.end?.certainty == .proven)
        }
    }

    @Test func aPrunedArchiveSaysWhereItBegins() async throws {
        try await withArchive { store, builder in
            let first = try builder.reader.verifiedRange(LSN(4096)..<LSN(8192)).firstRecord!
            try await builder.floor(lsn: first, objectStart: LSN(4096))
            store.plant(builder.layout.segment(builder.epoch, start: .zero), nil)
            let status = try await status(store)
            #expect(status.firstRecord == first && status.floor?.lsn == first && status.end?.certainty == .proven)
        }
    }

    /// A promoted log: the old writer's gap past the fork is nobody's way, its epoch an ancestor; a promotion that was not finished is a claim.
    @Test func everyEpochHasItsPlace() async throws {
        try await withTemporaryDirectory { scratch in
            let store = MemoryObjectStore()
            try SampleArchive.write("\(scratch)/log", count: 60)
            do { try await ArchiveBuilder(store: store, directory: "\(scratch)/log").ship() }
            try await SampleArchive.restore(store, into: "\(scratch)/replica")
            _ = try await Promotion(
                directory: "\(scratch)/replica", destinations: [.init(store: store, log: SampleArchive.name)], fork: nil, settle: 0.001
            ).run()
            try SampleArchive.write("\(scratch)/replica", count: 60, seed: 2)
            let builder = try await ArchiveBuilder(store: store, directory: "\(scratch)/replica")
            try await builder.ship()
            let claimed = EpochName(number: 3, id: EpochID(rawValue: 77))
            try await builder.claim(claimed)
            let old = try #require(builder.reader.epochs.epochs.first)
            let late = builder.layout.gap(EpochName(old), start: LSN(1 << 20))
            try await builder.put(GapDocument(start: LSN(1 << 20), end: LSN(1 << 21), reason: "late", time: 5), late)

            let status = try await status(store)
            let fork = try #require(status.epochs.dropFirst().first?.start)
            #expect(status.epochs.map(\.state) == [.ancestor, .current, .claimed])
            #expect(status.epochs.map(\.successorStart) == [fork, nil, nil])
            #expect(status.epochs[2].name == claimed && status.epochs[2].start == nil && status.claimed?.epoch == claimed)
            #expect(status.epochs[1].name == status.epoch && status.epoch == builder.epoch)
            #expect(status.gaps?.map(\.isOnLine) == [false])
            #expect(try status.end == .init(lsn: builder.reader.durableLSN, certainty: .proven))

            // An epoch that the current one does not go on from, and one whose claim was cut short.
            store.plant(builder.layout.claim(3), [])
            func entry(_ epoch: EpochName, _ fork: UInt64, start: LSN?) -> StartDocument.Entry { .init(epoch: epoch, fork: LSN(fork), start: start) }
            let (third, fourth) = (EpochName(number: 3, id: EpochID(rawValue: 3)), EpochName(number: 4, id: EpochID(rawValue: 4)))
            let before = [entry(EpochName(old), 0, start: .zero), entry(builder.epoch, 100, start: nil)]
            for epoch in [third, fourth] { try await builder.claim(epoch) }
            try await builder.put(StartDocument(parent: builder.epoch, epochs: before + [entry(third, 100, start: LSN(100))]), builder.layout.start(3))
            try await builder.put(
                StartDocument(parent: third, epochs: before + [entry(third, 100, start: nil), entry(fourth, 100, start: LSN(100))]), builder.layout.start(4))
            store.plant(builder.layout.claim(2), Array("{".utf8))
            let forked = try await self.status(store)
            #expect(forked.epochs.map(\.state) == [.ancestor, .unreadable, .abandoned, .current])
            #expect(forked.epochs[2].start == LSN(100) && forked.epochs[0].successorStart == LSN(100))
        }
    }

    @Test func anArchiveInWhichNothingHasBegunHasNoEnd() async throws {
        let store = MemoryObjectStore()
        let layout = Layout(log: SampleArchive.name)
        var random = SeededGenerator(seed: 1)
        let document = LogDocument(logID: .random(using: &random), archiveID: ArchiveID(high: 1, low: 2), segmentSize: 4096)
        store.plant(layout.logDocument, try document.encoded(for: layout.logDocument))
        let status = try await status(store)
        #expect(status.end == nil && status.epochs.isEmpty && status.lists == nil && status.firstRecord == nil && status.claimed == nil)
    }
}
