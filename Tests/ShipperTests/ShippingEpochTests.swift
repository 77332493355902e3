import Archive
import Follower
import Foundation
import Testing
import TestSupport
import WAL

@testable import Shipper

/// A promoted log on an archive that knows its parent, and on one that knows nothing.
@Suite struct ShippingEpochTests {
    /// A copy of the log's directory, promoted to epoch 2.
    private func promoteCopy(of bench: ShipBench, in scratch: String) async throws -> (directory: String, epoch: Epoch) {
        let copy = "\(scratch)/copy"
        try FileManager.default.copyItem(atPath: bench.directory, toPath: copy)
        let epoch = try await LogPromotion.promote(directory: copy) { candidate in
            [LogPromotion.ClaimedEpoch(number: candidate.epochs.current.number + 1, id: EpochID(rawValue: 0xABCD))]
        }
        return (copy, epoch)
    }

    private func append(to directory: String, _ count: Int) throws -> LSN {
        let log = try SegmentedLog.open(directory: directory)
        for index in 0..<count { _ = try log.append([UInt8](repeating: UInt8(index & 255), count: 300)) }
        let end = try { try log.sync() }()
        try log.close()
        return end
    }

    @Test func aPromotedLogBeginsWhereItsParentEndsAndFencesIt() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            let fork = try bench.write(60)
            let store = MemoryObjectStore()
            _ = try await bench.shipOnce(to: store)
            try bench.log.close()
            let (copy, epoch) = try await promoteCopy(of: bench, in: scratch)
            #expect(epoch.number == 2 && epoch.start == fork)
            let end = try append(to: copy, 40)
            // A copy keeps its slots; the destination's is of the epoch before.
            try await bench.shipper(to: store, directory: copy).runOnce(timeout: .seconds(60))
            let key = ShipBench.layout.start(2)
            let start = try StartDocument(decoding: try #require(store.contents[key]), key: key)
            #expect(start.epoch == StartDocument.Entry(epoch: EpochName(epoch), fork: fork, start: fork))
            #expect(start.parent?.number == 1 && start.epochs.first?.start == .zero)
            let mine = try ShipBench.archived(store.contents).objects.filter { $0.metadata.epoch.number == 2 }
            let first = try #require(mine.filter { $0.metadata.kind == .segment }.min { $0.metadata.start < $1.metadata.start })
            #expect(first.metadata.start == fork && first.metadata.end.rawValue == (fork.rawValue / 4096 + 1) * 4096)
            #expect(first.metadata.precedingDigest == nil)
            var archived = ShipBench.Archived()
            archived.objects = mine
            #expect(archived.contiguous(from: fork).count == Int(end.rawValue - fork.rawValue))
            // The old primary is told.
            await #expect {
                try await bench.shipOnce(to: store)
            } throws: { if case ShipperError.archive(let error) = $0 { error.code == .fenced } else { false } }
        }
    }

    /// Where the beginning of the parent was pruned, and its head is gone, the parent's end is found from the floor on.
    @Test func aPrunedParentWithoutAHeadIsReadToItsEndAllTheSame() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            let fork = try bench.write(100)
            let store = MemoryObjectStore()
            _ = try await bench.shipOnce(to: store)
            try bench.log.close()
            let pruning = try await Pruning.open(store: store, log: ShipBench.name, now: { 1 })
            #expect(try await pruning.run(try await pruning.plan(.before(LSN(9000)))).deleted > 0)
            for key in store.contents.keys where key.path.contains("heads/") { store.plant(key, nil) }
            let (copy, epoch) = try await promoteCopy(of: bench, in: scratch)
            _ = try append(to: copy, 40)
            try await bench.shipper(to: store, directory: copy).runOnce(timeout: .seconds(60))
            let key = ShipBench.layout.start(2)
            let start = try StartDocument(decoding: try #require(store.contents[key]), key: key)
            #expect(start.epoch == StartDocument.Entry(epoch: EpochName(epoch), fork: fork, start: fork))
        }
    }

    @Test func theEpochBeginsAtTheParentsEndWhereThatIsBelowTheFork() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            let store = MemoryObjectStore()
            var settings = ShipBench.settings()
            settings.retain = 1 << 40
            try bench.write(30)
            _ = try await bench.shipOnce(to: store, settings: settings)
            let parentEnd = try bench.slot().archived
            #expect(try bench.slot().released == .zero)
            let fork = try bench.write(30, seed: 3)
            try bench.log.close()
            let (copy, epoch) = try await promoteCopy(of: bench, in: scratch)
            let end = try append(to: copy, 20)
            try await bench.shipper(to: store, settings: settings, directory: copy).runOnce(timeout: .seconds(60))
            let key = ShipBench.layout.start(2)
            let start = try StartDocument(decoding: try #require(store.contents[key]), key: key)
            #expect(start.epoch == StartDocument.Entry(epoch: EpochName(epoch), fork: fork, start: parentEnd))
            var archived = ShipBench.Archived()
            archived.objects = try ShipBench.archived(store.contents).objects.filter { $0.metadata.epoch.number == 2 }
            let reader = try LogReader.open(directory: copy)
            defer { reader.close() }
            #expect(try archived.contiguous(from: parentEnd) == reader.verifiedRange(parentEnd..<end).bytes)
            // What the parent's shipper retained still is: the slot of the new epoch released nothing by itself.
            let sidecar = try LogSidecar.attach(directory: copy)
            defer { sidecar.detach() }
            let slot = try #require(try sidecar.slotState("d-1"))
            #expect(slot.epochNumber == 2 && slot.released == .zero)
            #expect(try sidecar.truncateBefore(end) == .zero)
        }
    }

    @Test func aNewDestinationBeginsAtTheLocalHeadAndSkipsNoNumber() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            try bench.write(200)
            _ = try await bench.shipOnce(to: MemoryObjectStore())
            try bench.log.close()
            let (copy, epoch) = try await promoteCopy(of: bench, in: scratch)
            let sidecar = try LogSidecar.attach(directory: copy)
            let head = try sidecar.reader.headLSN
            sidecar.detach()
            #expect(head > .zero)
            let end = try append(to: copy, 20)
            let second = MemoryObjectStore()
            let shipper = bench.shipper(to: second, slot: "second", directory: copy)
            try await shipper.runOnce(timeout: .seconds(60))
            for number in [UInt64(1), 2] { #expect(second.contents[ShipBench.layout.claim(number)] != nil) }
            let floorKey = ShipBench.layout.floor
            let floor = try FloorDocument(decoding: try #require(second.contents[floorKey]), key: floorKey)
            #expect(floor.lsn == head && floor.objectStart == head && floor.epoch == EpochName(epoch))
            let archived = try ShipBench.archived(second.contents)
            #expect(archived.objects.map(\.metadata.start).min() == head)
            #expect(archived.contiguous(from: head).count == Int(end.rawValue - head.rawValue))
        }
    }
}
