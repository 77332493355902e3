import Archive
import Follower
import Foundation
import Testing
import TestSupport
import WAL

@testable import Shipper

/// Documents of epochs that are lost, and archives that have grown past a fork: noticed by whoever can notice, before anything is written.
@Suite struct LostDocumentTests {
    private static let layout = ShipBench.layout

    private func promote(_ directory: String, _ stores: [any ObjectStore] = [], fork: LSN? = nil) async throws -> Promotion.Outcome {
        try await Promotion(
            directory: directory, destinations: stores.map { .init(store: $0, log: ShipBench.name) }, fork: fork, settle: 0
        ).run()
    }

    private func restore(_ store: any ObjectStore, into directory: String) async throws {
        _ = try await Restore(ArchiveReader.open(store: store, log: ShipBench.name)).run(into: directory)
    }

    @discardableResult
    private func append(to directory: String, _ count: Int, _ byte: UInt8 = 7) throws -> LSN {
        let log = try SegmentedLog.open(directory: directory)
        for _ in 0..<count { _ = try log.append([UInt8](repeating: byte, count: 300)) }
        let end = try { try log.sync() }()
        try log.close()
        return end
    }

    private func records(_ directory: String) throws -> [[UInt8]] { try LogContents.records(directory).map(\.data) }

    private func shipOnce(_ bench: ShipBench, _ directory: String, to store: any ObjectStore, slot: String = "d-1") async throws {
        try await bench.shipper(to: store, settings: ShipBench.keepAll, slot: slot, directory: directory).runOnce(timeout: .seconds(60))
    }

    /// A log and its archive, and a restored copy.
    private func withRestoredCopy(
        _ store: MemoryObjectStore, _ body: (ShipBench, _ second: String, String) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(40)
            _ = try await bench.shipOnce(to: store, settings: ShipBench.keepAll)
            let second = "\(scratch)/second"
            try await restore(store, into: second)
            try await body(bench, second, scratch)
        }
    }

    /// The copy was promoted with the archive, and shipped as epoch 2.
    private func withTwoEpochs(
        _ store: MemoryObjectStore, _ body: (ShipBench, _ second: String, String) async throws -> Void
    ) async throws {
        try await withRestoredCopy(store) { bench, second, scratch in
            _ = try await promote(second, [store])
            try append(to: second, 30)
            try await shipOnce(bench, second, to: store)
            try await body(bench, second, scratch)
        }
    }

    // MARK: Lost claims and starts

    @Test func theNewestEpochsDocumentsAreMissedByItsNames() async throws {
        let store = MemoryObjectStore()
        try await withTwoEpochs(store) { bench, second, scratch in
            let whole = store.contents
            let heads = whole.keys.filter { $0.path.contains("/heads/0000000002") }
            #expect(heads.count == 1)
            for depth in [EpochTraces.Depth.heads, .objects] {
                for key in [Self.layout.claim(2), Self.layout.start(2)] + (depth == .objects ? heads : []) { store.plant(key, nil) }
                let error = await #expect(throws: ArchiveError.self) {
                    try await ArchiveReader.open(store: store, log: ShipBench.name, traces: depth)
                }
                #expect(error?.code == .damaged && error?.key == Self.layout.claim(2), "\(String(describing: error))")
                for (key, bytes) in whole { store.plant(key, bytes) }
            }
        }
    }

    @Test func aClaimThatWasSkippedIsMissedWithoutAListing() async throws {
        let store = MemoryObjectStore(capabilities: MemoryObjectStore.everything.subtracting(.list))
        try await withTwoEpochs(store) { bench, second, scratch in
            let third = "\(scratch)/third"
            try await restore(store, into: third)
            _ = try await promote(third, [store])
            let fourth = "\(scratch)/fourth"
            try await restore(store, into: fourth)
            _ = try await promote(fourth, [store])
            let whole = store.contents
            // The newest tells of all before it: nothing is missing that is needed.
            for key in [Self.layout.claim(2), Self.layout.start(2)] { store.plant(key, nil) }
            #expect(try await ArchiveReader.open(store: store, log: ShipBench.name).line?.document.epoch.epoch.number == 4)
            for (key, bytes) in whole { store.plant(key, bytes) }
            for lost in [[Self.layout.claim(3), Self.layout.start(3)], [Self.layout.claim(3), Self.layout.start(3), Self.layout.claim(4)]] {
                for key in lost { store.plant(key, nil) }
                #expect(await code { try await ArchiveReader.open(store: store, log: ShipBench.name) } == .damaged)
                for (key, bytes) in whole { store.plant(key, bytes) }
            }
        }
    }

    @Test func anOldPrimaryWhoseSuccessorsClaimWasLostStaysFenced() async throws {
        let store = MemoryObjectStore()
        try await withTwoEpochs(store) { bench, second, scratch in
            for key in [Self.layout.claim(2), Self.layout.start(2)] { store.plant(key, nil) }
            let before = store.contents
            try bench.write(20, seed: 8)
            #expect(await code { try await bench.shipOnce(to: store) } == .fenced)
            #expect(store.contents == before)
            // Its successor, too, finds out that its claim is gone.
            try append(to: second, 3)
            #expect(await code { try await shipOnce(bench, second, to: store) } == .fenced)
            #expect(store.contents == before)
        }
    }

    @Test func aNewLogDoesNotTakeTheNumberOfAnEpochWhoseClaimWasLost() async throws {
        let store = MemoryObjectStore()
        try await withTwoEpochs(store) { bench, second, scratch in
            // Another copy of the first epoch, promoted alone: it would be epoch 2 as well.
            let other = "\(scratch)/other"
            try FileManager.default.copyItem(atPath: bench.directory, toPath: other)
            _ = try await promote(other)
            for key in [Self.layout.claim(2), Self.layout.start(2)] { store.plant(key, nil) }
            let before = store.contents
            #expect(await code { try await shipOnce(bench, other, to: store) } == .fenced)
            #expect(store.contents == before)
        }
    }

    /// Begun again at the local head, the epoch would hide all that was truncated here: a shorter log.
    @Test(arguments: [true, false]) func aLostStartIsWrittenAgainFromTheSlotAndNeverInventedWithoutIt(cut: Bool) async throws {
        for capabilities in [MemoryObjectStore.everything, MemoryObjectStore.everything.subtracting(.list)] {
            try await withTemporaryDirectory { scratch in
                let bench = try ShipBench(scratch)
                defer { try? bench.log.close() }
                let store = MemoryObjectStore(capabilities: capabilities)
                try bench.write(150)
                _ = try await bench.shipOnce(to: store)
                let reader = try LogReader.open(directory: bench.directory)
                #expect(try reader.headLSN > .zero)
                reader.close()
                let start = try #require(store.contents[Self.layout.start(1)])
                store.plant(Self.layout.start(1), cut ? Array(start.prefix(30)) : nil)
                try bench.write(5, seed: 4)
                _ = try await bench.shipOnce(to: store)
                #expect(store.contents[Self.layout.start(1)] == start && store.contents[Self.layout.floor] == nil)
                try await restore(store, into: "\(scratch)/restored")
                // Without the slot nobody knows where it began.
                store.plant(Self.layout.start(1), cut ? Array(start.prefix(30)) : nil)
                let before = store.contents
                let sidecar = try LogSidecar.attach(directory: bench.directory)
                try sidecar.dropSlot("d-1")
                sidecar.detach()
                #expect(await code { try await bench.shipOnce(to: store) } == .gap)
                #expect(store.contents == before)
            }
        }
    }

    @Test func aParentWhoseStartWasLostIsNotTakenForOneThatNeverBegan() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            let store = MemoryObjectStore()
            try bench.write(150)
            _ = try await bench.shipOnce(to: store)
            try bench.log.close()
            let copy = "\(scratch)/copy"
            try FileManager.default.copyItem(atPath: bench.directory, toPath: copy)
            _ = try await promote(copy)
            store.plant(Self.layout.start(1), nil)
            let before = store.contents
            #expect(await code { try await shipOnce(bench, copy, to: store) } == .gap)
            #expect(store.contents == before)
        }
    }

    // MARK: An archive that grew past the fork

    @Test func anArchiveThatGrewPastTheForkIsDivergedAndUntouchedUntilTheForkIsNamed() async throws {
        let store = MemoryObjectStore()
        try await withRestoredCopy(store) { bench, second, scratch in
            let kept = try records(second)
            let fork = try await promote(second).epoch.start
            try append(to: second, 20)
            // Meanwhile the first one goes on: what it archives is promised.
            try bench.write(20, seed: 5)
            let archived = try await bench.shipOnce(to: store, settings: ShipBench.keepAll).archived
            #expect(archived > fork)
            let before = store.contents
            var said: ArchiveError?
            do {
                try await shipOnce(bench, second, to: store)
            } catch ShipperError.archive(let error) {
                said = error
            }
            #expect(said?.code == .diverged && said?.lsn == fork && said?.hint?.contains("--at \(fork)") == true, "\(String(describing: said))")
            // Not even a claim: the first one goes on undisturbed.
            #expect(store.contents == before)
            try bench.write(3, seed: 6)
            _ = try await bench.shipOnce(to: store, settings: ShipBench.keepAll)
            // Named: what lies past the fork is left behind, and the log goes on.
            let wrong = await code { try await promote(second, [store], fork: fork.advanced(by: 1)) }
            #expect(wrong == .invalid)
            #expect(try await promote(second, [store], fork: fork).hasBegunEverywhere)
            try await shipOnce(bench, second, to: store)
            try await restore(store, into: "\(scratch)/third")
            #expect(try records("\(scratch)/third") == kept + [[UInt8]](repeating: [UInt8](repeating: 7, count: 300), count: 20))
            #expect(await code { try await bench.shipOnce(to: store, settings: ShipBench.keepAll) } == .fenced)
        }
    }

    /// The promotion had begun with the archive and was interrupted; then the archive grew by what a fenced writer had under way.
    @Test func promotingAgainDoesNotForkSilentlyEither() async throws {
        let store = MemoryObjectStore()
        try await withRestoredCopy(store) { bench, second, scratch in
            let epoch = try await promote(second).epoch
            try bench.write(20, seed: 5)
            _ = try await bench.shipOnce(to: store, settings: ShipBench.keepAll)
            let key = Self.layout.claim(2)
            store.plant(key, try ClaimDocument(epoch: EpochName(epoch), host: "here", time: 1).encoded(for: key))
            let before = store.contents
            #expect(await code { try await promote(second, [store]) } == .diverged)
            #expect(await code { try await shipOnce(bench, second, to: store) } == .diverged)
            #expect(store.contents == before)
        }
    }

    /// Two promotions without the archive: what it knows is the first epoch, which this log left at the first fork, not at the second.
    @Test func anEpochThatSkippedItsParentHereBeginsWhereTheLogLeftTheArchivesEpoch() async throws {
        let store = MemoryObjectStore()
        try await withRestoredCopy(store) { bench, second, scratch in
            var directory = second
            let first = try await promote(directory).epoch.start
            for (index, records) in [30, 10].enumerated() {
                try append(to: directory, records)
                guard index == 0 else { continue }
                let next = "\(scratch)/third"
                try FileManager.default.copyItem(atPath: directory, toPath: next)
                directory = next
                #expect(try await promote(directory).epoch.number == 3)
            }
            let all = try records(directory)
            let copy = MemoryObjectStore()
            for (key, bytes) in store.contents { copy.plant(key, bytes) }
            try await shipOnce(bench, directory, to: copy, slot: "d-2")
            let document = try StartDocument(decoding: try #require(copy.contents[Self.layout.start(3)]), key: Self.layout.start(3))
            #expect(document.epoch.start == first && document.epochs.map(\.start) == [.zero, nil, first])
            try await restore(copy, into: "\(scratch)/again")
            #expect(try records("\(scratch)/again") == all)
            // And where the archive's epoch goes on past that fork, though not past the second.
            try bench.write(5, seed: 5)
            _ = try await bench.shipOnce(to: store, settings: ShipBench.keepAll)
            let before = store.contents
            #expect(await code { try await shipOnce(bench, directory, to: store) } == .diverged)
            #expect(store.contents == before)
            #expect(try await promote(directory, [store], fork: document.epoch.fork).hasBegunEverywhere)
            try await shipOnce(bench, directory, to: store)
            try await restore(store, into: "\(scratch)/once-more")
            #expect(try records("\(scratch)/once-more") == all)
        }
    }
}
