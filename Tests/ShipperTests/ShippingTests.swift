import Archive
import Synchronization
import Testing
import TestSupport
import WAL

@testable import Shipper

/// Shipping to stores that do what they should, and what is there then.
@Suite struct ShippingTests {
    @Test func everythingDurableIsArchivedAndEqualsTheLog() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let end = try bench.write(200)
            let store = MemoryObjectStore()
            var settings = ShipBench.settings()
            settings.retain = 1 << 40
            let status = try await bench.shipOnce(to: store, settings: settings)
            #expect(status.archived == end && status.state == .ended)
            let archived = try ShipBench.archived(store.contents)
            #expect(try archived.contiguous() == bench.bytes(.zero..<end))
            #expect(archived.segments.count == Int(end.rawValue) / ShipBench.segmentSize)
            // The chain of digests.
            for (older, newer) in zip(archived.segments, archived.segments.dropFirst()) {
                #expect(newer.metadata.precedingDigest == older.metadata.rawDigest)
            }
            let head = try #require(store.contents[ShipBench.layout.head(archived.objects[0].metadata.epoch)])
            let document = try HeadDocument(decoding: head, key: ObjectKey("head"))
            #expect(document.archived == end && document.checkpoint <= end)
        }
    }

    @Test func truncationFollowsAcknowledgementAndKeepsTheNewestClosedSegment() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let end = try bench.write(200)
            let whole = try bench.bytes(.zero..<end)
            let store = MemoryObjectStore()
            _ = try await bench.shipOnce(to: store)
            let reader = try LogReader.open(directory: bench.directory)
            defer { reader.close() }
            let head = try reader.headLSN
            let closedEnd = end.rawValue / 4096 * 4096
            #expect(head.rawValue > 0 && head.rawValue <= closedEnd - 4096)
            #expect(try bench.slot().position.rawValue == closedEnd)
            #expect(try ShipBench.archived(store.contents).contiguous() == whole)
        }
    }

    /// Lesson: shutdown lost what had been written since the last look at the log.
    @Test func whatIsDurableWhenTheEndIsAskedForIsArchived() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(3)
            let store = GateStore()
            store.hang { $0.path.contains("/tail/") }
            // It looks at the log once, and never again.
            let shipper = bench.shipper(to: store, pause: { _ in try await Task.sleep(for: .seconds(3600)) })
            let running = Task { try await shipper.run() }
            try await eventually("a tail is on its way") { !store.late.isEmpty }
            let end = try bench.write(3, seed: 2)
            shipper.finish()
            store.hang { _ in false }
            try await running.value
            #expect(shipper.status.archived == end)
        }
    }

    @Test func aRunningShipperFollowsItsWriterAndTidiesTailsUp() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = MemoryObjectStore()
            var settings = ShipBench.settings()
            settings.retain = 1 << 40
            let shipper = bench.shipper(to: store, settings: settings)
            let running = Task { try await shipper.run() }
            var end = LSN.zero
            for round in 0..<30 {
                end = try bench.write(3, seed: UInt64(round))
                let target = end
                try await eventually("archived \(target)") { shipper.status.archived >= target }
            }
            shipper.finish()
            try await running.value
            let archived = try ShipBench.archived(store.contents)
            #expect(try archived.contiguous() == bench.bytes(.zero..<end))
            let open = end.rawValue / 4096 * 4096
            #expect(archived.tails.allSatisfy { $0.metadata.start.rawValue >= open }, "tails of archived segments are gone")
            #expect(shipper.status.largestLag > 0)
        }
    }

    @Test func anIdleLogSendsNoRequest() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let end = try bench.write(30)
            let store = CountingStore(MemoryObjectStore())
            let shipper = bench.shipper(to: store)
            let running = Task { try await shipper.run() }
            try await eventually("idle, head written") {
                shipper.status.archived == end && store.replaced.contains { $0.path.contains("heads/") }
            }
            // Long enough for the head of an idle log, which is the last request of all.
            try await Task.sleep(for: .nanoseconds(Int64(ShipperLimits.idleDelay) + 300_000_000))
            let before = store.count
            try await Task.sleep(for: .milliseconds(500))
            #expect(store.count == before)
            shipper.finish()
            try await running.value
        }
    }

    @Test func tailsOffStillShipsTheRestAtTheEnd() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let end = try bench.write(60)
            let store = MemoryObjectStore()
            let shipper = bench.shipper(to: store, settings: ShipBench.settings(tail: nil))
            let running = Task { try await shipper.run() }
            let closed = LSN(end.rawValue / 4096 * 4096)
            try await eventually("segments") { shipper.status.archived == closed }
            #expect(try ShipBench.archived(store.contents).tails.isEmpty)
            shipper.finish()
            try await running.value
            #expect(shipper.status.archived == end)
        }
    }

    @Test func everyDestinationHasItsOwnSlotAndHoldsTruncation() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(200)
            let slow = MemoryObjectStore()
            slow.inject(.fail(ArchiveError(.unauthorized(status: 403), "not you")), into: .get)
            await #expect(throws: ShipperError.self) { try await bench.shipOnce(to: slow, slot: "slow") }
            _ = try await bench.shipOnce(to: MemoryObjectStore(), slot: "fast")
            let reader = try LogReader.open(directory: bench.directory)
            defer { reader.close() }
            #expect(try reader.headLSN == .zero, "the destination that has nothing yet holds everything")
        }
    }

    @Test func twoShippersOfOneSlotAreNotLetIn() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(10)
            let store = MemoryObjectStore()
            let first = bench.shipper(to: store)
            let running = Task { try await first.run() }
            try await eventually("shipping") { first.status.state == .shipping }
            await #expect {
                try await bench.shipOnce(to: store)
            } throws: { if case ShipperError.log(.locked) = $0 { true } else { false } }
            first.finish()
            try await running.value
        }
    }

    @Test func aCopiedLogIsRefusedBeforeAnythingIsSent() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            try bench.write(10)
            try bench.log.close()
            let copy = "\(scratch)/copy"
            let cp = try ChildProcess("/bin/cp", ["-r", bench.directory, copy], in: scratch)
            try await eventually("copied") { !cp.isRunning }
            let store = CountingStore(MemoryObjectStore())
            let shipper = bench.shipper(to: store, directory: copy)
            await #expect(throws: ShipperError.replica(directory: copy)) { try await shipper.runOnce(timeout: .seconds(30)) }
            #expect(store.count == 0)
        }
    }

    @Test func aWriterThatRestartsIsComparedAndFollowed() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            let store = MemoryObjectStore()
            try bench.write(30)
            let shipper = bench.shipper(to: store)
            let running = Task { try await shipper.run() }
            try await eventually("shipped") { shipper.status.archived == bench.log.durableLSN }
            try bench.log.close()
            let again = try SegmentedLog.open(directory: bench.directory)
            let lsn = try { try again.append([1, 2, 3]) }()
            let end = try { try again.sync() }()
            #expect(lsn < end)
            try await eventually("followed") { shipper.status.archived == end }
            shipper.finish()
            try await running.value
            try again.close()
            let archived = try ShipBench.archived(store.contents)
            #expect(archived.contiguous().count == Int(end.rawValue))
        }
    }
}

/// Counts what is asked of a store.
final class CountingStore: ObjectStore {
    private let store: any ObjectStore
    private let calls = Mutex<[(String, ObjectKey)]>([])

    init(_ store: any ObjectStore) { self.store = store }

    var count: Int { calls.withLock { $0.count } }
    var replaced: [ObjectKey] { calls.withLock { $0.filter { $0.0 == "replace" }.map(\.1) } }
    private func note(_ what: String, _ key: ObjectKey) { calls.withLock { $0.append((what, key)) } }

    var name: String { store.name }
    var capabilities: StoreCapabilities { get async { await store.capabilities } }
    func assume(_ capabilities: StoreCapabilities) async { await store.assume(capabilities) }
    func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities {
        note("probe", prefix)
        return try await store.probe(prefix: prefix)
    }
    func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome {
        note("create", key)
        return try await store.create(key, bytes)
    }
    func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) {
        note("replace", key)
        try await store.replace(key, bytes)
    }
    func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        note("get", key)
        return try await store.get(key, range: range, limit: limit)
    }
    func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        note("head", key)
        return try await store.head(key)
    }
    func delete(_ key: ObjectKey) async throws(ArchiveError) {
        note("delete", key)
        try await store.delete(key)
    }
    func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome {
        note("mkcol", key)
        return try await store.makeCollection(key)
    }
    func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] {
        note("list", prefix)
        return try await store.list(prefix)
    }
}
