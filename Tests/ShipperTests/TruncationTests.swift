import Archive
import Synchronization
import Testing
import TestSupport
import WAL

@testable import Shipper

/// When local segments go: what was archived, has settled, is not retained, was looked at once more, and nobody else holds.
@Suite struct TruncationTests {
    /// A shipper at work that has archived `end` and truncates nothing before the clock has gone on by an hour.
    private func shipAndRest(_ bench: ShipBench, to store: MemoryObjectStore, _ clock: SteppedClock) async throws
        -> (shipper: LogShipper, running: Task<Void, any Error>, end: LSN)
    {
        let first = try bench.write(5)
        let shipper = bench.shipper(to: store, settings: Self.restsAnHour, time: clock)
        let running = Task { try await shipper.run() }
        // A session that finds an empty archive compares once more when its first segment is closed, and forgets what it made.
        try await eventually("begun") { shipper.status.archived == first }
        let end = try bench.write(200, seed: 2)
        try await eventually("archived") { shipper.status.archived == end }
        return (shipper, running, end)
    }

    private static var restsAnHour: ShipperSettings {
        var settings = ShipBench.settings()
        settings.settle = .seconds(3600)
        return settings
    }

    private func segments(_ keys: [ObjectKey]) -> [ObjectKey] { keys.filter { $0.path.contains("/segments/") } }

    @Test func everyObjectIsLookedAtOnceBeforeItsSegmentGoes() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(200)
            let store = GateStore()
            _ = try await bench.shipOnce(to: store, settings: ShipBench.keepAll)
            #expect(try bench.head() == .zero, "more is retained than there is")
            let before = store.heads.count
            _ = try await bench.shipOnce(to: store)
            let head = try bench.head().rawValue / 4096
            try #require(head > 5)
            let looks = segments(Array(store.heads[before...]))
            for index in 0..<head {
                let name = String(repeating: "0", count: 20 - "\(index * 4096)".count) + "\(index * 4096)"
                #expect(looks.filter { $0.path.hasSuffix("/\(name).zst") }.count == 1, "segment \(index)")
            }
            // Not again.
            let after = store.heads.count
            _ = try await bench.shipOnce(to: store)
            #expect(segments(Array(store.heads[after...])).count <= 1, "the comparison looks at the newest")
        }
    }

    @Test func aLostOrCutObjectIsShippedAgainBeforeAnythingLocalGoes() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let end = try bench.write(200)
            let whole = try bench.bytes(.zero..<end)
            let store = MemoryObjectStore()
            _ = try await bench.shipOnce(to: store, settings: ShipBench.keepAll)
            let keys = segments(Array(store.contents.keys)).sorted()
            let originals = store.contents
            for (number, key) in keys.enumerated() where number % 4 != 3 && number < 8 {
                store.plant(key, number % 2 == 0 ? nil : Array(try #require(originals[key]).dropLast(20)))
            }
            let watching = DyingStore(store, done: true) { what, key in
                // While anything is missing nothing is gone.
                (try? bench.head()) != .zero && what == "create"
            }
            let status = try await bench.shipOnce(to: watching)
            #expect(status.alarms == 6)
            #expect(try bench.head() > LSN(8 * 4096))
            let archived = try ShipBench.archived(store.contents)
            #expect(archived.contiguous() == whole)
            for (older, newer) in zip(archived.segments, archived.segments.dropFirst()) {
                #expect(newer.metadata.precedingDigest == older.metadata.rawDigest)
            }
        }
    }

    /// Something of the same size in the object's place: other bytes altogether, another object of ours, or its own beginning with another checksum. Whether the run
    /// made the object or another did.
    @Test(arguments: [true, false]) func otherBytesOfTheSameSizeAreNoticed(sameRun: Bool) async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = MemoryObjectStore()
            let clock = SteppedClock()
            var (shipper, running, end) = try await shipAndRest(bench, to: store, clock)
            let whole = try bench.bytes(.zero..<end)
            if !sameRun {
                shipper.finish()
                try await running.value
                shipper = bench.shipper(to: store, settings: Self.restsAnHour, time: clock)
                running = Task { [shipper] in try await shipper.run() }
                try await eventually("begun again") { shipper.status.state == .shipping }
            }
            let keys = segments(Array(store.contents.keys)).sorted()
            let originals = keys.map { store.contents[$0]! }
            store.plant(keys[1], [UInt8](repeating: 7, count: originals[1].count))
            let other = originals[3].prefix(originals[2].count)
            store.plant(keys[2], Array(other) + [UInt8](repeating: 0, count: originals[2].count - other.count))
            var changed = originals[4]
            changed[30] ^= 1
            store.plant(keys[4], changed)
            clock.advance(by: 7200)
            try await eventually("truncated: \(shipper.status)") { try bench.head() > LSN(5 * 4096) }
            #expect(shipper.status.alarms == 3)
            shipper.finish()
            try await running.value
            #expect(try ShipBench.archived(store.contents).contiguous() == whole)
        }
    }

    /// An intact object of another content, with our name on it: it stays, and so does everything local.
    @Test func anIntactObjectOfOtherBytesIsNoticedAfterARestart() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(200)
            let store = MemoryObjectStore()
            _ = try await bench.shipOnce(to: store, settings: ShipBench.keepAll)
            let key = segments(Array(store.contents.keys)).sorted()[1]
            let decoded = try ObjectDecoder.decode(try #require(store.contents[key]), key: key, start: LSN(4096))
            let planted = try ObjectEncoder().encode(decoded.raw.map { $0 ^ 1 }, decoded.metadata, level: 1).bytes
            store.plant(key, planted)
            let error = await #expect(throws: ShipperError.self) { try await bench.shipOnce(to: store) }
            let cause = try #require(error?.ofArchive)
            #expect(cause.code == .diverged && cause.key == key)
            #expect(try bench.head() == .zero && store.contents[key] == planted)
        }
    }

    @Test func aForeignObjectInTheirPlaceStopsAndNothingLocalGoes() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = MemoryObjectStore()
            let clock = SteppedClock()
            let (_, running, _) = try await shipAndRest(bench, to: store, clock)
            let keys = segments(Array(store.contents.keys)).sorted()
            let bytes = try #require(store.contents[keys[2]])
            let ours = try ObjectDecoder.decode(bytes, key: keys[2], start: LSN(2 * 4096)).metadata
            let foreign = ObjectMetadata(
                kind: .segment, logID: ours.logID, archiveID: ours.archiveID, epoch: ours.epoch, epochStart: ours.epochStart, start: ours.start,
                end: ours.end, records: nil, precedingDigest: nil, ancestry: ours.ancestry, timeIndex: [])
            let planted = try ObjectEncoder().encode([UInt8](repeating: 7, count: 4096), foreign, level: 1).bytes
            store.plant(keys[2], planted)
            clock.advance(by: 7200)
            let error = await #expect(throws: ShipperError.self) { try await running.value }
            let cause = try #require(error?.ofArchive)
            #expect(cause.code == .diverged && cause.key == keys[2])
            #expect(try bench.head() == .zero && store.contents[keys[2]] == planted)
        }
    }

    @Test func theLowestOfSeveralDestinationsWins() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let end = try bench.write(200)
            let closed = end.rawValue / 4096 * 4096
            var retains = ShipBench.settings()
            retains.retain = 5 * 4096
            let stores = [MemoryObjectStore(), MemoryObjectStore(), MemoryObjectStore()]
            for (store, slot) in zip(stores, ["retains", "settles", "hurries"]) { _ = try await bench.shipOnce(to: store, settings: ShipBench.keepAll, slot: slot) }
            // Whose turn comes last has no say in what the others keep.
            _ = try await bench.shipOnce(to: stores[0], settings: retains, slot: "retains")
            _ = try await bench.shipOnce(to: stores[1], settings: Self.restsAnHour, slot: "settles")
            _ = try await bench.shipOnce(to: stores[2], slot: "hurries")
            #expect(try bench.slot("hurries").hold.rawValue == closed - 4096)
            #expect(try bench.slot("settles").hold == .zero && bench.slot("settles").position.rawValue == closed)
            #expect(try bench.head() == .zero)
            let sidecar = try LogSidecar.attach(directory: bench.directory)
            try sidecar.dropSlot("settles")
            sidecar.detach()
            try bench.write(20, seed: 2)
            _ = try await bench.shipOnce(to: stores[2], slot: "hurries")
            let head = try bench.head().rawValue
            #expect(head <= closed - 5 * 4096 && head > closed - 7 * 4096, "\(head) of \(closed)")
            // The log's own truncation respects it, too.
            #expect(try bench.log.truncateBefore(end).rawValue == head)
        }
    }

    /// Civil time steps; the time of the last acknowledgement is in the slot.
    @Test func settlingGoesOnAcrossRestartsAndClockSteps() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(200)
            let clock = SteppedClock()
            let store = MemoryObjectStore()
            func run() async throws {
                try await bench.shipper(to: store, settings: Self.restsAnHour, time: clock).runOnce(timeout: .seconds(60))
            }
            try await run()
            #expect(try bench.head() == .zero)
            clock.step(by: 1800)
            try await run()
            #expect(try bench.head() == .zero, "half an hour")
            clock.step(by: -100_000)
            try await run()
            #expect(try bench.head() == .zero, "the clock went back: it counts as now")
            clock.step(by: 100_000 + 1799)
            try await run()
            #expect(try bench.head() == .zero, "a second too early")
            clock.step(by: 2)
            try await run()
            #expect(try bench.head() > .zero)
        }
    }

    /// Within one run monotonic time counts, whatever the civil clock does; and what a pin held goes once it is lifted.
    @Test func aPinHoldsWhatIsShippedAndLetsItGoWhenItIsLifted() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.log.pin("follower", at: .zero)
            let end = try bench.write(200)
            let clock = SteppedClock()
            let shipper = bench.shipper(to: MemoryObjectStore(), time: clock)
            let running = Task { try await shipper.run() }
            let released = end.rawValue / 4096 * 4096 - 4096
            try await eventually("released") {
                guard shipper.status.archived == end else { return false }
                return try bench.slot().released.rawValue == released
            }
            #expect(try bench.head() == .zero)
            clock.advance(by: 20)
            try await Task.sleep(for: .milliseconds(300))
            #expect(try bench.head() == .zero, "the pin holds")
            try bench.log.unpin("follower")
            clock.advance(by: 20)
            try await eventually("gone") { try bench.head().rawValue / 4096 >= released / 4096 - 1 }
            shipper.finish()
            try await running.value
        }
    }
}

/// Civil time that steps, and monotonic time that may be hurried.
final class SteppedClock: TimeSource {
    private let real = LinuxTimeSource()
    private let state = Mutex<(civil: Int64, ahead: UInt64)>((0, 0))

    /// Seconds.
    func step(by seconds: Int64) { state.withLock { $0.civil += seconds * 1_000_000_000 } }
    func advance(by seconds: UInt64) { state.withLock { $0.ahead += seconds * 1_000_000_000 } }

    func now() -> UInt64 { UInt64(Int64(real.now()) + state.withLock(\.civil)) }
    func monotonic() -> UInt64 { real.monotonic() + state.withLock(\.ahead) }
    func sleep(nanoseconds: UInt64) { real.sleep(nanoseconds: nanoseconds) }
}
