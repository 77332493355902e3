import Archive
import Testing
import TestSupport
import WAL

@testable import Shipper

@Suite struct ArchiveRetentionTests {
    /// The real clock, so much later.
    private struct LaterTime: TimeSource {
        let real = LinuxTimeSource()
        let later: UInt64
        func monotonic() -> UInt64 { real.monotonic() }
        func now() -> UInt64 { real.now() + later }
        func sleep(nanoseconds: UInt64) { real.sleep(nanoseconds: nanoseconds) }
    }

    private static let week: UInt64 = 7 * 86_400_000_000_000

    private func floorDocument(_ store: MemoryObjectStore) throws -> FloorDocument? {
        try store.contents[ShipBench.layout.floor].map { try FloorDocument(decoding: $0, key: ShipBench.layout.floor) }
    }

    /// A log, shipped in several goes with commit times between, and truncated as far as that goes.
    private func shipped(_ bench: ShipBench, to store: MemoryObjectStore) async throws -> LSN {
        var end = LSN.zero
        for round in 0..<3 {
            end = try bench.write(60, seed: UInt64(round))
            _ = try await bench.shipOnce(to: store, settings: ShipBench.settings(tail: nil))
        }
        return end
    }

    private var settings: ShipperSettings {
        var settings = ShipBench.settings(tail: nil)
        settings.archiveRetain = .seconds(86_400)
        return settings
    }

    @Test func theArchiveIsPrunedBesideTheShippingAndNotPastWhatWasReleased() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = MemoryObjectStore()
            let whole = try await shipped(bench, to: store)
            let released = try bench.slot().hold
            let before = try ShipBench.archived(store.contents)
            let shipper = bench.shipper(to: store, settings: settings, time: LaterTime(later: Self.week))
            let running = Task { try await shipper.run() }
            try await eventually("pruned") { try floorDocument(store) != nil && store.count(of: .delete) > 0 }
            let target = try bench.write(50, seed: 9)
            try await eventually("seen") { shipper.status.durable >= target }
            shipper.finish()
            try await running.value
            let floor = try #require(try floorDocument(store))
            #expect(floor.lsn > .zero && floor.lsn <= released && floor.objectStart <= floor.lsn)
            let after = try ShipBench.archived(store.contents)
            #expect(after.contiguous(from: floor.objectStart).count == Int(target.distance(from: floor.objectStart)))
            let kept = before.contiguous(from: floor.objectStart)
            #expect(Array(after.contiguous(from: floor.objectStart).prefix(kept.count)) == kept && whole < target)
        }
    }

    @Test func whatIsNotOldStays() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = MemoryObjectStore()
            _ = try await shipped(bench, to: store)
            let shipper = bench.shipper(to: store, settings: settings)
            let gets = store.count(of: .get)
            let running = Task { try await shipper.run() }
            // The first look at the floor is the retention's.
            try await eventually("looked") { store.count(of: .get) > gets + 5 && shipper.status.state == .shipping }
            shipper.finish()
            try await running.value
            #expect(try floorDocument(store) == nil && store.contents.keys.contains(ShipBench.layout.segment(
                try ShipBench.archived(store.contents).segments[0].metadata.epoch, start: .zero)))
        }
    }

    /// A deletion that never ends holds up neither uploads nor the end.
    @Test func aDeletionThatHangsHoldsNothingUp() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = MemoryObjectStore()
            _ = try await shipped(bench, to: store)
            // Ends with its task.
            store.inject(.delay { try? await Task.sleep(for: .seconds(3600)) }, into: .delete)
            let shipper = bench.shipper(to: store, settings: settings, time: LaterTime(later: Self.week))
            let running = Task { try await shipper.run() }
            try await eventually("the deletion hangs") { store.count(of: .delete) > 0 }
            let end = try bench.write(100, seed: 7)
            try await eventually("seen") { shipper.status.durable >= end }
            shipper.finish()
            try await running.value
            #expect(shipper.status.archived == end)
        }
    }

    /// What storage kept is asked for again after a day, and what failed at the next turn; else nothing is listed.
    @Test func sweepsAreRareAndNeverForgotten() {
        let day = ShipperLimits.retentionSweepInterval
        var sweeps = RetentionSweeps()
        #expect(sweeps.isDue(at: 5))
        sweeps.ended(isAllGone: true, hasSwept: true, at: 5)
        #expect(!sweeps.isDue(at: .max))
        sweeps.ended(isAllGone: false, hasSwept: false, at: 10)
        #expect(!sweeps.isDue(at: 10 + day - 1) && sweeps.isDue(at: 10 + day))
        // A turn that had nothing to delete says nothing of what was kept before.
        sweeps.ended(isAllGone: true, hasSwept: false, at: 11)
        #expect(sweeps.isDue(at: 10 + day))
        // Nor does one in which more was kept put it off.
        sweeps.ended(isAllGone: false, hasSwept: false, at: 9 + day)
        #expect(sweeps.isDue(at: 10 + day))
        sweeps.ended(isAllGone: false, hasSwept: true, at: 10 + day)
        #expect(!sweeps.isDue(at: 9 + 2 * day) && sweeps.isDue(at: 10 + 2 * day))
        sweeps.ended(isAllGone: true, hasSwept: true, at: 10 + 2 * day)
        #expect(!sweeps.isDue(at: .max))
        sweeps.failed()
        #expect(sweeps.isDue(at: 0))
    }

    @Test func anImmutableArchiveIsNotPruned() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = MemoryObjectStore()
            var settings = settings
            settings.isImmutable = true
            for round in 0..<2 {
                let end = try bench.write(60, seed: UInt64(round))
                let shipper = bench.shipper(to: store, settings: settings, time: LaterTime(later: Self.week))
                let running = Task { try await shipper.run() }
                try await eventually("archived") { shipper.status.checkpoint.rawValue / 4096 == end.rawValue / 4096 }
                shipper.finish()
                try await running.value
            }
            #expect(try floorDocument(store) == nil && store.count(of: .delete) == 0)
        }
    }
}
