import Archive
import Foundation
import Synchronization
import TestSupport
import Testing
import WAL

@testable import Follower

@Suite struct PromotionTests {
    typealias Entry = SampleArchive.Entry

    /// A log of `count` records, its archive, and a directory to work in.
    private func withArchive(
        _ store: MemoryObjectStore = MemoryObjectStore(), count: Int = 120,
        _ body: (String, [Entry], ArchiveBuilder, MemoryObjectStore) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            let records = try SampleArchive.write("\(directory)/log", count: count)
            let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            try await builder.ship()
            try await body(directory, records, builder, store)
        }
    }

    @discardableResult
    private func promote(
        _ directory: String, _ stores: [any ObjectStore], fork: LSN? = nil, meanwhile: @escaping @Sendable () async -> Void = {}
    ) async throws -> Promotion.Outcome {
        try await Promotion(
            directory: directory, destinations: stores.map { .init(store: $0, log: SampleArchive.name) }, fork: fork, host: "test",
            patience: { SampleArchive.NoPatience() }, settle: 0, sleep: { _ in await meanwhile() }, now: { 1 }
        ).run()
    }

    /// Appends to a promoted log and returns what it holds then.
    private func append(_ directory: String, count: Int, seed: UInt64) throws -> [Entry] {
        try SampleArchive.write(directory, count: count, seed: seed, segmentSize: nil)
    }

    private func start(_ store: MemoryObjectStore, _ number: UInt64) throws -> StartDocument? {
        let key = Layout(log: SampleArchive.name).start(number)
        return try store.contents[key].map { try StartDocument(decoding: $0, key: key) }
    }

    @Test func aPromotedLogIsWrittenShippedAndRestoredAcrossTheFork() async throws {
        try await withArchive { directory, records, builder, store in
            let fork = try builder.reader.durableLSN
            try await SampleArchive.restore(store, into: "\(directory)/second")
            let outcome = try await promote("\(directory)/second", [store])
            #expect(outcome.epoch.number == 2 && outcome.epoch.start == fork && outcome.takenIn == 0 && outcome.hasBegunEverywhere)
            let document = try #require(try start(store, 2))
            #expect(document.parent == builder.epoch && document.epoch.fork == fork && document.epoch.start == fork)
            let both = try append("\(directory)/second", count: 80, seed: 2)
            #expect(both.count == 200 && SampleArchive.isSame(Array(both[..<120]), records))
            let second = try await ArchiveBuilder(store: store, directory: "\(directory)/second")
            #expect(second.epochStart == fork && fork.rawValue % 4096 != 0)
            try await second.ship()
            try await SampleArchive.restore(store, into: "\(directory)/third")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/third"), both))
            let reader = try LogReader.open(directory: "\(directory)/third")
            #expect(try reader.epochs == second.reader.epochs)
            reader.close()
            // And once more, so that a line has three epochs.
            let third = try await promote("\(directory)/third", [store])
            #expect(third.epoch.number == 3)
            let all = try append("\(directory)/third", count: 30, seed: 3)
            try await ArchiveBuilder(store: store, directory: "\(directory)/third").ship()
            try await SampleArchive.restore(store, into: "\(directory)/fourth")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/fourth"), all))
        }
    }

    /// The old writer ships on after the fork, before it notices: its objects past the child's start are clipped.
    @Test func whatTheParentArchivedPastTheForkIsNotRead() async throws {
        try await withArchive { directory, records, builder, store in
            try await SampleArchive.restore(store, into: "\(directory)/second")
            try await promote("\(directory)/second", [store])
            _ = try append("\(directory)/log", count: 60, seed: 9)
            try await builder.ship()
            let both = try append("\(directory)/second", count: 40, seed: 2)
            try await ArchiveBuilder(store: store, directory: "\(directory)/second").ship()
            try await SampleArchive.restore(store, into: "\(directory)/third")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/third"), both))
        }
    }

    /// A claim fences whoever writes: a copy of the old writer, which has gone on past the fork, must not fence the new one.
    @Test(arguments: [false, true]) func aPromotionThatCannotSucceedClaimsNothing(namesTheFork: Bool) async throws {
        try await withArchive { directory, records, builder, store in
            try await SampleArchive.restore(store, into: "\(directory)/second")
            try await promote("\(directory)/second", [store])
            _ = try append("\(directory)/log", count: 5, seed: 9)
            try FileManager.default.copyItem(atPath: "\(directory)/log", toPath: "\(directory)/copy")
            let end = try LogReader.open(directory: "\(directory)/copy").durableLSN
            let before = store.contents
            let error = await #expect(throws: ArchiveError.self) { try await promote("\(directory)/copy", [store], fork: namesTheFork ? end : nil) }
            #expect(error?.code == .diverged && error?.hint?.contains("nothing was claimed") == true, "\(String(describing: error))")
            #expect(store.contents == before)
            // The new writer is not disturbed.
            let all = try append("\(directory)/second", count: 10, seed: 2)
            try await ArchiveBuilder(store: store, directory: "\(directory)/second").ship()
            try await SampleArchive.restore(store, into: "\(directory)/third")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/third"), all))
        }
    }

    @Test func whatTheArchiveHoldsAndTheReplicaLacksIsTakenIn() async throws {
        try await withArchive { directory, records, builder, store in
            for index in [0, 3, 60, 118] {
                let replica = "\(directory)/replica-\(index)"
                try await SampleArchive.restore(store, into: replica, .through(records[index].lsn))
                let outcome = try await promote(replica, [store])
                #expect(outcome.takenIn == outcome.epoch.start.distance(from: records[index + 1].lsn))
                #expect(SampleArchive.isSame(try SampleArchive.records(replica), records))
                #expect(try append(replica, count: 1, seed: 1).count == records.count + 1)
            }
        }
    }

    /// A replica of the first epoch is promoted after a second one was written and archived: its records are taken in too.
    @Test func aReplicaThatIsAnEpochBehindTakesInTheEpoch() async throws {
        try await withArchive { directory, records, builder, store in
            try await SampleArchive.restore(store, into: "\(directory)/behind", .through(records[70].lsn))
            try await SampleArchive.restore(store, into: "\(directory)/second")
            try await promote("\(directory)/second", [store])
            let both = try append("\(directory)/second", count: 50, seed: 2)
            try await ArchiveBuilder(store: store, directory: "\(directory)/second").ship()
            let outcome = try await promote("\(directory)/behind", [store])
            #expect(outcome.epoch.number == 3)
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/behind"), both))
        }
    }

    @Test func aNamedForkLeavesOutWhatIsPastIt() async throws {
        try await withArchive { directory, records, builder, store in
            try await SampleArchive.restore(store, into: "\(directory)/past", .through(records[50].lsn))
            let wrong = await #expect(throws: ArchiveError.self) {
                try await promote("\(directory)/past", [store], fork: records[50].lsn)
            }
            #expect(wrong?.code == .invalid)
            let outcome = try await promote("\(directory)/past", [store], fork: records[51].lsn)
            #expect(outcome.epoch.start == records[51].lsn && outcome.takenIn == 0)
            let kept = try append("\(directory)/past", count: 10, seed: 5)
            #expect(SampleArchive.isSame(Array(kept[..<51]), Array(records[..<51])))
            try await ArchiveBuilder(store: store, directory: "\(directory)/past").ship()
            try await SampleArchive.restore(store, into: "\(directory)/again")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/again"), kept))
            // What the first epoch went on to is of another line now.
            let log = try SegmentedLog.open(directory: "\(directory)/log")
            try log.close()
            try await copy("\(directory)/log", "\(directory)/copy")
            let error = await #expect(throws: ArchiveError.self) { try await promote("\(directory)/copy", [store]) }
            #expect(error?.code == .diverged && error?.lsn == records[51].lsn)
        }
    }

    /// Where nothing is replaced there are no heads: neither where that is said, nor where the parent has none.
    @Test(arguments: [true, false]) func anImmutableArchiveGetsNoHead(isSaid: Bool) async throws {
        try await withArchive { directory, _, builder, store in
            try await SampleArchive.restore(store, into: "\(directory)/second")
            let layout = Layout(log: SampleArchive.name)
            if !isSaid { store.plant(layout.head(builder.epoch), nil) }
            let before = store.contents
            let counts = (store.count(of: .replace), store.count(of: .delete))
            let outcome = try await Promotion(
                directory: "\(directory)/second", destinations: [.init(store: store, log: SampleArchive.name, isImmutable: isSaid)], fork: nil, host: "test",
                patience: { SampleArchive.NoPatience() }, settle: 0, sleep: { _ in }, now: { 1 }
            ).run()
            #expect(outcome.epoch.number == 2 && outcome.hasBegunEverywhere)
            #expect(counts == (store.count(of: .replace), store.count(of: .delete)))
            for (key, bytes) in before { #expect(store.contents[key] == bytes) }
            #expect(Set(store.contents.keys).subtracting(before.keys) == [layout.claim(2), layout.start(2)])
            #expect(try append("\(directory)/second", count: 5, seed: 1).count == 125)
        }
    }

    @Test func withoutAnArchiveTheEpochBeginsInTheLogAlone() async throws {
        try await withArchive { directory, records, builder, store in
            try await SampleArchive.restore(store, into: "\(directory)/second")
            let before = store.contents
            let outcome = try await promote("\(directory)/second", [])
            #expect(outcome.epoch.number == 2 && store.contents == before)
            #expect(try append("\(directory)/second", count: 5, seed: 1).count == 125)
            let again = try await promote("\(directory)/second", [])
            #expect(!again.wasReplica && again.epoch == outcome.epoch)
            // Asked with the archive afterwards: the claim is the shipper's.
            let later = try await promote("\(directory)/second", [store])
            #expect(!later.hasBegunEverywhere)
            #expect(store.contents == before)
        }
    }

    private func copy(_ from: String, _ to: String) async throws {
        try FileManager.default.copyItem(atPath: from, toPath: to)
    }

    @Test func aCopiedDirectoryAheadOfTheArchiveIsPromotedAndShippedFromWhereTheArchiveEnds() async throws {
        try await withArchive { directory, _, builder, store in
            let archived = try builder.reader.durableLSN
            let ahead = try append("\(directory)/log", count: 40, seed: 4)
            try await copy("\(directory)/log", "\(directory)/copy")
            let outcome = try await promote("\(directory)/copy", [store])
            #expect(outcome.epoch.start > archived)
            let begun = try start(store, 2)
            #expect(begun?.epoch.start == archived)
            let kept = try append("\(directory)/copy", count: 40, seed: 5)
            #expect(SampleArchive.isSame(Array(kept[..<160]), ahead))
            try await ArchiveBuilder(store: store, directory: "\(directory)/copy").ship()
            try await SampleArchive.restore(store, into: "\(directory)/again")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/again"), kept))
        }
    }

    /// A copy has the original's live page: once promoted it says how far the promoted log is durable, with all that was taken in.
    @Test func aCopiedDirectoryBehindTheArchiveHasAllThatWasTakenInAtOnce() async throws {
        try await withArchive { directory, _, builder, store in
            try await copy("\(directory)/log", "\(directory)/copy")
            let all = try append("\(directory)/log", count: 60, seed: 4)
            try await builder.ship()
            let outcome = try await promote("\(directory)/copy", [store])
            #expect(outcome.takenIn > 0)
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/copy"), all))
            let reader = try LogReader.open(directory: "\(directory)/copy")
            #expect(try reader.durableLSN == outcome.epoch.start)
            reader.close()
        }
    }

    @Test func aCopyWhoseRecordsAreNotTheArchivesHasDiverged() async throws {
        try await withTemporaryDirectory { directory in
            let store = MemoryObjectStore()
            let log = try SegmentedLog.open(directory: "\(directory)/log", segmentSize: 4096)
            for index in 0..<50 { try log.append(Array("record \(index)".utf8)) }
            try log.close()
            try await copy("\(directory)/log", "\(directory)/base")
            // Two histories of one epoch, as a writer makes that lost unsynced records.
            try await copy("\(directory)/base", "\(directory)/lost")
            let first = try SegmentedLog.open(directory: "\(directory)/log")
            for _ in 0..<5 { try first.append(Array("archived".utf8)) }
            try first.close()
            try await ArchiveBuilder(store: store, directory: "\(directory)/log").ship()
            let end = try LogReader.open(directory: "\(directory)/base").durableLSN
            // The same epoch, by a copy that passes for the original: its control file is told its own inode.
            try SampleArchive.adopt("\(directory)/lost")
            let second = try SegmentedLog.open(directory: "\(directory)/lost")
            for _ in 0..<5 { try second.append(Array("replaced".utf8)) }
            try second.close()
            try await copy("\(directory)/lost", "\(directory)/copy")
            let error = await #expect(throws: ArchiveError.self) { try await promote("\(directory)/copy", [store]) }
            #expect(error?.code == .diverged)
            #expect((error?.lsn).map { $0 >= end } == true)
        }
    }

    @Test func ofTwoPromotionsAtOnceOneIsFenced() async throws {
        try await withArchive { directory, records, builder, store in
            for name in ["a", "b"] { try await SampleArchive.restore(store, into: "\(directory)/\(name)") }
            // The rival claims while ours settles.
            let rival = EpochName(number: 2, id: EpochID(rawValue: 77))
            let error = await #expect(throws: ArchiveError.self) {
                try await promote("\(directory)/a", [store]) {
                    let key = Layout(log: SampleArchive.name).claim(2)
                    store.plant(key, try? ClaimDocument(epoch: rival, host: "rival", time: 0).encoded(for: key))
                }
            }
            #expect(error?.code == .fenced)
            let reader = try LogReader.open(directory: "\(directory)/a")
            #expect(try reader.isReplica)
            reader.close()
            // The rival died: the next promotion takes the next number, and its history knows the one between.
            let outcome = try await promote("\(directory)/b", [store])
            #expect(outcome.epoch.number == 3)
            let begun = try start(store, 3)
            #expect(begun?.epochs.map(\.epoch) == [builder.epoch, rival, EpochName(outcome.epoch)])
            let kept = try append("\(directory)/b", count: 20, seed: 6)
            try await ArchiveBuilder(store: store, directory: "\(directory)/b").ship()
            try await SampleArchive.restore(store, into: "\(directory)/again")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/again"), kept))
        }
    }

    @Test func aLogWhoseEpochIsAnothersIsFencedAndOneThatWasSupersededToo() async throws {
        try await withArchive { directory, _, builder, store in
            for name in ["a", "b"] { try await SampleArchive.restore(store, into: "\(directory)/\(name)") }
            try await promote("\(directory)/a", [])
            try await promote("\(directory)/b", [store])
            let error = await #expect(throws: ArchiveError.self) { try await promote("\(directory)/a", [store]) }
            #expect(error?.code == .fenced)
            try await SampleArchive.restore(store, into: "\(directory)/c")
            try await promote("\(directory)/c", [store])
            let superseded = await #expect(throws: ArchiveError.self) { try await promote("\(directory)/b", [store]) }
            #expect(superseded?.code == .fenced)
        }
    }

    @Test func anArchiveOfAnotherLogIsDiverged() async throws {
        try await withArchive { directory, _, builder, store in
            try await SampleArchive.restore(store, into: "\(directory)/a")
            let other = MemoryObjectStore()
            try await withArchive(other) { _, _, _, _ in }
            let before = other.contents
            let error = await #expect(throws: ArchiveError.self) { try await promote("\(directory)/a", [other]) }
            #expect(error?.code == .diverged && other.contents == before)
        }
    }

    /// Two promotions, and an upload of the old writer that lands between their readings: the one that is superseded begins its epoch after the other has claimed and read.
    /// It never archives anything, so the other goes on from what both have read.
    @Test func anEpochThatBeginsAfterTheNextWasClaimedIsPassedOver() async throws {
        try await withArchive { directory, records, builder, store in
            try await SampleArchive.restore(store, into: "\(directory)/second", .through(records[90].lsn))
            let first = EpochName(number: 2, id: EpochID(rawValue: 22))
            try await builder.claim(first)
            let entries = [
                StartDocument.Entry(epoch: builder.epoch, fork: .zero, start: .zero),
                StartDocument.Entry(epoch: first, fork: records[60].lsn, start: records[60].lsn),
            ]
            let layout = builder.layout
            let start = try StartDocument(parent: builder.epoch, epochs: entries).encoded(for: layout.start(2))
            let hasRead = Mutex(false)
            let watched = WatchedStore(store) { (_, _, key) throws(ArchiveError) in
                guard store.contents[layout.claim(3)] != nil else { return }
                if key.path.contains("segments/") || key.path.contains("tail/") { hasRead.withLock { $0 = true } }
                // The look at the claim after the parent was read.
                if key == layout.claim(4), hasRead.withLock({ $0 }) { store.plant(layout.start(2), start) }
            }
            let outcome = try await promote("\(directory)/second", [watched])
            #expect(store.contents[layout.start(2)] == start)
            #expect(outcome.epoch.number == 3 && outcome.hasBegunEverywhere)
            let kept = try append("\(directory)/second", count: 30, seed: 6)
            #expect(SampleArchive.isSame(Array(kept[..<120]), records))
            try await ArchiveBuilder(store: store, directory: "\(directory)/second").ship()
            try await SampleArchive.restore(store, into: "\(directory)/again")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/again"), kept))
        }
    }

    /// The power goes at every request: whatever was reached, promoting again works, and everything is there.
    @Test func promotionInterruptedAnywhereIsDoneAgain() async throws {
        try await withArchive(count: 60) { directory, records, builder, store in
            try await interruptAnywhere(directory, store, replicaOf: records, [.get, .create, .replace, .makeCollection])
        }
    }

    /// The same with a fork below the one where the archive's newest epoch began: in the log that one is lowered to the fork, in the archive it is as it was.
    @Test func promotionBelowAnOlderForkInterruptedAnywhereIsDoneAgain() async throws {
        try await withArchive(count: 60) { directory, records, builder, store in
            try await SampleArchive.restore(store, into: "\(directory)/second")
            try await promote("\(directory)/second", [store])
            _ = try append("\(directory)/second", count: 20, seed: 2)
            try await ArchiveBuilder(store: store, directory: "\(directory)/second").ship()
            try await interruptAnywhere(directory, store, replicaOf: records, fork: records[41].lsn, [.create, .replace])
        }
    }

    /// Promotes a replica of the first 41 records, interrupted at each operation in turn, and again.
    private func interruptAnywhere(
        _ directory: String, _ store: MemoryObjectStore, replicaOf records: [Entry], fork: LSN? = nil, _ operations: [MemoryObjectStore.Operation]
    ) async throws {
        let original = store.contents
        let expected = fork.map { fork in records.filter { $0.lsn < fork } } ?? records
        for operation in operations {
            var step = 0
            var isThrough = false
            while !isThrough {
                for loses in [false, true] {
                    let broken = MemoryObjectStore()
                    for (key, bytes) in original { broken.plant(key, bytes) }
                    let replica = "\(directory)/replica"
                    try await SampleArchive.restore(broken, into: replica, .through(records[40].lsn))
                    for _ in 0..<step { broken.inject(.delay {}, into: operation) }
                    let error = ArchiveError(.refused(status: 400), "power")
                    broken.inject(loses ? .loseReply(error) : .fail(error), into: operation)
                    do {
                        try await promote(replica, [broken], fork: fork)
                        isThrough = true
                    } catch let error as ArchiveError {
                        #expect(error.message == "power")
                    }
                    let cleaned = clean(broken).0
                    let again = try await promote(replica, [cleaned], fork: fork)
                    let survivors = try append(replica, count: 10, seed: 8)
                    #expect(SampleArchive.isSame(Array(survivors[..<expected.count]), expected), "\(operation) \(step)")
                    #expect(again.hasBegunEverywhere)
                    if fork != nil {
                        try await ArchiveBuilder(store: cleaned, directory: replica).ship()
                        try await SampleArchive.restore(cleaned, into: "\(directory)/again")
                        #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/again"), survivors), "\(operation) \(step)")
                        try FileManager.default.removeItem(atPath: "\(directory)/again")
                    }
                    try FileManager.default.removeItem(atPath: replica)
                }
                step += 1
                try #require(step < 200)
            }
        }
    }

    /// It was away when the log was promoted: where the log cannot go on from what somebody else has begun there since, he is not fenced.
    @Test func anArchiveOfAnotherLineIsNotClaimedAfterwards() async throws {
        try await withArchive { directory, records, builder, store in
            let away = clean(store).0
            for name in ["a", "b"] { try await SampleArchive.restore(store, into: "\(directory)/\(name)") }
            try await promote("\(directory)/a", [store])
            try await ArchiveBuilder(store: store, directory: "\(directory)/a").ship()
            try await SampleArchive.restore(store, into: "\(directory)/c")
            let outcome = try await promote("\(directory)/c", [store])
            #expect(outcome.epoch.number == 3)
            try await promote("\(directory)/b", [away])
            let before = away.contents
            let error = await #expect(throws: ArchiveError.self) { try await promote("\(directory)/c", [away], fork: outcome.epoch.start) }
            #expect(error?.code == .diverged && away.contents == before, "\(String(describing: error))")
        }
    }

    /// The same objects in a store without faults queued.
    private func clean(_ store: MemoryObjectStore) -> (MemoryObjectStore, Void) {
        let copy = MemoryObjectStore()
        for (key, bytes) in store.contents { copy.plant(key, bytes) }
        return (copy, ())
    }

    @Test func twoArchivesGetOneIdAndNoNumberIsSkipped() async throws {
        try await withArchive { directory, records, builder, store in
            let second = MemoryObjectStore()
            try await ArchiveBuilder(store: second, directory: "\(directory)/log").ship()
            // On the first archive somebody claimed and died.
            try await builder.claim(EpochName(number: 2, id: EpochID(rawValue: 5)))
            try await SampleArchive.restore(store, into: "\(directory)/a", .through(records[100].lsn))
            let outcome = try await promote("\(directory)/a", [store, second])
            #expect(outcome.epoch.number == 3)
            let layout = Layout(log: SampleArchive.name)
            for number in [2, 3] as [UInt64] {
                let claims = try [store, second].map { try ClaimDocument(decoding: $0.contents[layout.claim(number)]!, key: layout.claim(number)) }
                #expect(claims[0].epoch == claims[1].epoch)
            }
            let kept = try append("\(directory)/a", count: 30, seed: 2)
            for archive in [store, second] {
                try await ArchiveBuilder(store: archive, directory: "\(directory)/a").ship()
                try await SampleArchive.restore(archive, into: "\(directory)/again")
                #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/again"), kept))
                try FileManager.default.removeItem(atPath: "\(directory)/again")
            }
        }
    }

    @Test func anEpochThatWasClaimedAndHasNotBegunIsNotFollowed() async throws {
        try await withArchive { directory, records, builder, store in
            try await builder.claim(EpochName(number: 2, id: EpochID(rawValue: 5)))
            let reader = try await SampleArchive.open(store)
            #expect(reader.highestClaim?.epoch.number == 2 && reader.line?.document.epoch.epoch == builder.epoch)
            try await SampleArchive.restore(store, into: "\(directory)/again")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/again"), records))
        }
    }
}
