import Archive
import Foundation
import TestSupport
import Testing
import WAL

@testable import Shipper

/// Tails of archived segments go, beside everything else, last first, and only while the epoch is ours.
@Suite struct TailRemovalTests {
    private func tails(_ contents: [ObjectKey: [UInt8]]) throws -> [ObjectMetadata] { try ShipBench.archived(contents).tails.map(\.metadata) }

    private func isTidy(_ store: MemoryObjectStore, below lsn: LSN) throws -> Bool { try tails(store.contents).allSatisfy { $0.start >= lsn } }

    /// Ships record after record, each as a tail of its own, until the log ends in the segment after `segments`, and a little further.
    private func write(_ bench: ShipBench, _ shipper: LogShipper, segments: Int, size: Int = 100) async throws {
        let goal = LSN(UInt64(segments * ShipBench.segmentSize + 3 * size))
        while bench.log.endLSN < goal {
            let end = try bench.write(1, size: size...size)
            try await eventually("a record is archived: \(shipper.status)") { shipper.status.archived == end }
        }
    }

    @Test func tailsOfTheNextSegmentsGoOnWhileThoseBeforeAreRemoved() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = GateStore()
            store.holdDeletions()
            let shipper = bench.shipper(to: store)
            let running = Task { try await shipper.run() }
            // Every record waits for its own tail to be archived, over two boundaries, and no deletion is ever answered.
            try await write(bench, shipper, segments: 2)
            let left = try tails(store.memory.contents)
            #expect(left.contains { $0.start == .zero } && left.contains { $0.start == LSN(4096) } && left.contains { $0.start >= LSN(8192) })
            #expect(try bench.slot().tailsLeft == LSN(0)..<LSN(8192))
            // What is merged meanwhile is merged as always: 32 small tails of one segment became one.
            #expect(left.contains { $0.kind == .tail(level: 1) })
            store.letDeletionsGo()
            try await eventually("they are gone") { try isTidy(store.memory, below: LSN(8192)) }
            try await eventually("and the slot knows") { try bench.slot().tailsLeft == nil }
            shipper.finish()
            try await running.value
        }
    }

    /// The shipper dies at each deletion, before it was done or after.
    @Test(arguments: [true, false]) func whatACrashLeavesCanBeWalkedAndGoesWithTheNextRun(done: Bool) async throws {
        for number in [0, 1, 2, 5, 11] {
            try await withTemporaryDirectory { scratch in
                let bench = try ShipBench(scratch)
                defer { try? bench.log.close() }
                let memory = MemoryObjectStore()
                let store = GateStore(memory)
                store.holdDeletions(after: number, done: done)
                var settings = ShipBench.settings()
                settings.settle = .seconds(3600)
                let shipper = bench.shipper(to: store, settings: settings)
                let running = Task { try await shipper.run() }
                for _ in 0..<15 {
                    let end = try bench.write(1, size: 250...250)
                    try await eventually("a record is archived") { shipper.status.archived == end }
                }
                try bench.write(1, size: 250...250)
                try await eventually("it comes to that deletion") { store.heldDeletions > 0 }
                running.cancel()
                _ = await running.result
                let left = try tails(memory.contents).filter { $0.kind == .tail(level: 0) && $0.start < LSN(4096) }.sorted { $0.start < $1.start }
                var position = LSN.zero
                for tail in left {
                    #expect(tail.start == position, "deletion \(number): a hole before \(tail.start)")
                    position = tail.end
                }
                #expect(left.count == 15 - number - (done ? 1 : 0), "deletion \(number): \(left.count) are left")
                #expect(try bench.slot().tailsLeft == LSN(0)..<LSN(4096))
                _ = try await bench.shipOnce(to: memory)
                #expect(try isTidy(memory, below: LSN(4096)), "deletion \(number)")
                #expect(try bench.slot().tailsLeft == nil)
            }
        }
    }

    /// Deletions fail for as long as anybody looks: nothing waits for them, and whoever comes later removes what is left.
    @Test func deletionsThatFailForEverHoldNothingUp() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = GateStore()
            store.failDeletions(ArchiveError(.busy(status: 503), "busy"))
            let shipper = bench.shipper(to: store)
            let running = Task { try await shipper.run() }
            try await write(bench, shipper, segments: 3)
            #expect(shipper.status.lastError == nil, "\(shipper.status)")
            shipper.finish()
            try await running.value
            #expect(try bench.slot().tailsLeft == LSN(0)..<LSN(12288))
            // --once does what can be done now and ends.
            let end = try bench.write(3)
            let status = try await bench.shipOnce(to: store)
            #expect(status.archived == end && status.state == .ended)
            #expect(try bench.slot().tailsLeft?.lowerBound == .zero)
            store.letDeletionsGo()
            _ = try await bench.shipOnce(to: store)
            #expect(try bench.slot().tailsLeft == nil)
            #expect(try isTidy(store.memory, below: LSN(12288)))
        }
    }

    /// Where nothing may be deleted it is said once a segment, and tails stay.
    @Test func aStoreThatRefusesToDeleteKeepsThem() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = GateStore()
            store.failDeletions(ArchiveError(.unauthorized(status: 403), "locked"))
            let shipper = bench.shipper(to: store)
            let running = Task { try await shipper.run() }
            try await write(bench, shipper, segments: 1)
            try await eventually("given up") { try bench.slot().tailsLeft == nil }
            #expect(try !isTidy(store.memory, below: LSN(4096)))
            shipper.finish()
            try await running.value
        }
    }

    /// A look comes before each 32 deletions: whoever takes over is noticed within them.
    @Test func aSuccessorStopsTheRemoval() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = GateStore()
            store.holdDeletions()
            var settings = ShipBench.settings()
            settings.settle = .seconds(3600)
            let shipper = bench.shipper(to: store, settings: settings)
            let running = Task { try await shipper.run() }
            try await write(bench, shipper, segments: 1, size: 40)
            let before = try tails(store.memory.contents).count { $0.start < LSN(4096) }
            try #require(before > 64)
            try await eventually("a deletion is under way") { store.heldDeletions > 0 }
            let rival = ClaimDocument(epoch: EpochName(number: 2, id: EpochID(rawValue: 7)), host: "rival", time: 1)
            let key = ShipBench.layout.claim(2)
            store.memory.plant(key, try rival.encoded(for: key))
            store.letDeletionsGo()
            let error = await #expect(throws: ShipperError.self) { try await running.value }
            let cause = try #require(error?.ofArchive)
            #expect(cause.code == .fenced)
            let after = try tails(store.memory.contents).count { $0.start < LSN(4096) }
            #expect(before - after <= ShipperLimits.deletesPerLook, "\(before - after) were deleted after another had claimed the next epoch")
            #expect(try bench.slot().tailsLeft == LSN(0)..<LSN(4096))
        }
    }

    // MARK: The value

    private static let size: UInt64 = 4096
    private func segment(_ index: UInt64) -> Range<LSN> { LSN(index * Self.size)..<LSN((index + 1) * Self.size) }

    @Test func theOldestSegmentIsFirstAndOneThatHasATailInFlightWaits() {
        var stale = StaleTails(left: nil, segmentSize: Self.size, knowsOpenSegment: true)
        stale.shipped(.init(level: 0, start: LSN(0)), isOfOpenSegment: true)
        stale.close(segment(0), hasTails: true)
        let early = stale.next(inFlight: LSN(100)..<LSN(200))
        #expect(early == nil)
        stale.shipped(.init(level: 0, start: LSN(100)), isOfOpenSegment: false)
        stale.shipped(.init(level: 0, start: LSN(4096)), isOfOpenSegment: true)
        let first = stale.next(inFlight: LSN(4200)..<LSN(4300))
        #expect(first?.segment == segment(0))
        #expect(first?.known?.inOrderOfRemoval == [.init(level: 0, start: LSN(100)), .init(level: 0, start: LSN(0))])
        stale.close(segment(1), hasTails: true)
        stale.close(segment(2), hasTails: false)
        stale.close(segment(3), hasTails: true)
        let second = stale.next(inFlight: nil)
        #expect(second == nil, "one at a time")
        #expect(stale.left == LSN(0)..<LSN(4 * 4096))
        stale.removed()
        let third = stale.next(inFlight: nil)
        #expect(third?.segment == segment(1))
        stale.removed()
        let last = stale.next(inFlight: nil)
        #expect(last?.segment == segment(3), "the one without tails costs nothing")
        stale.removed()
        #expect(stale.left == nil)
    }

    @Test func whatASlotKeptIsWalkedSegmentBySegment() {
        var stale = StaleTails(left: LSN(100)..<LSN(3 * 4096), segmentSize: Self.size, knowsOpenSegment: false)
        for expected in [LSN(100)..<LSN(4096), segment(1), segment(2)] {
            let removal = stale.next(inFlight: nil)
            #expect(removal == StaleTails.Removal(segment: expected, known: nil))
            stale.removed()
        }
        let none = stale.next(inFlight: nil)
        #expect(none == nil && stale.left == nil)
        // Of the open segment not all tails are known.
        stale.shipped(.init(level: 0, start: LSN(3 * 4096 + 10)), isOfOpenSegment: true)
        stale.close(segment(3), hasTails: true)
        let open = stale.next(inFlight: nil)
        #expect(open == StaleTails.Removal(segment: segment(3), known: nil))
    }

    @Test func moreThanIsRememberedIsWalked() {
        var stale = StaleTails(left: nil, segmentSize: 1 << 30, knowsOpenSegment: true)
        for index in 0...UInt64(ShipperLimits.rememberedTailsMax) { stale.shipped(.init(level: 0, start: LSN(index)), isOfOpenSegment: true) }
        stale.close(LSN(0)..<LSN(1 << 30), hasTails: true)
        let large = stale.next(inFlight: nil)
        #expect(large != nil && large?.known == nil)
        stale.removed()
        // And runs of segments stay few.
        for index in 1...UInt64(3 * ShipperLimits.staleRunsMax) { stale.close(LSN(index << 30)..<LSN((index + 1) << 30), hasTails: index % 2 == 0) }
        #expect(stale.left == LSN(2 << 30)..<LSN(UInt64(3 * ShipperLimits.staleRunsMax + 1) << 30))
        var count = 0
        while stale.next(inFlight: nil) != nil {
            stale.removed()
            count += 1
        }
        #expect(count >= 3 * ShipperLimits.staleRunsMax / 2 && count <= 3 * ShipperLimits.staleRunsMax)
    }

    @Test func levelsAndStartsSurviveThePacking() {
        var known = KnownTails()
        var all: [StaleTails.Tail] = []
        let base: UInt64 = 1 << 40
        for offset in [0, 1, 1 << 29, (1 << 30) - 1] as [UInt64] {
            for level in 0...3 {
                all.append(.init(level: level, start: LSN(base + offset)))
                let isKept = known.append(all[all.count - 1])
                #expect(isKept)
            }
        }
        #expect(known.inOrderOfRemoval == all.reversed())
    }
}
