import Archive
import Foundation
import Synchronization
import Testing
import TestSupport
import WAL

@testable import Shipper

/// A rival takes over between any two requests of a shipper's life: the shipper stops, counts nothing from then on, removes nothing, and
/// leaves every byte of the rival's.
@Suite struct RivalTests {
    /// What the rival does at its moment.
    enum Rival: CaseIterable, Sendable {
        /// Claims the next epoch and begins it, as a promotion does.
        case promotes
        /// Overwrites our claim, as on a store that ignores conditions.
        case overwrites
        /// Somebody deletes our claim.
        case removes
    }

    private static let step = ProcessInfo.processInfo.environment["WALSHIP_RACES"] == nil ? 3 : 1

    @Test(arguments: Rival.allCases) func whereverARivalComesBetweenTheShipperStops(rival: Rival) async throws {
        var number = 0
        var last = Int.max
        while number < last {
            last = try await life(rival, at: number)
            // A promotion at each request; the others at some.
            number += rival == .promotes ? 1 : Self.step
        }
        #expect(last > 60, "\(last) requests")
    }

    /// Returns how many requests there were.
    private func life(_ rival: Rival, at number: Int) async throws -> Int {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let memory = MemoryObjectStore()
            let store = RivalStore(memory, rival, at: number) {
                guard let slot = try? bench.slot(), let reader = try? LogReader.open(directory: bench.directory) else { return (.zero, .zero) }
                defer { reader.close() }
                return (slot.archived, (try? reader.headLSN) ?? .zero)
            }
            var settings = ShipBench.settings()
            settings.uploadsInFlight = 1
            var ended: ShipperError?
            for (records, seed) in [(8, 1), (40, 2), (3, 3)] as [(Int, UInt64)] where ended == nil {
                try bench.write(records, seed: seed)
                do throws(ShipperError) {
                    try await bench.shipper(to: store, settings: settings).runOnce(timeout: .seconds(60))
                } catch {
                    ended = error
                }
            }
            let seen = store.seen
            guard let came = seen.came else {
                #expect(ended == nil, "request \(number): \(String(describing: ended))")
                return seen.requests
            }
            // Every byte of the rival's is there as it was, and nothing that was there before was replaced.
            let contents = memory.contents
            for (key, bytes) in came.planted { #expect(contents[key] == bytes, "request \(number): \(key)") }
            for (key, bytes) in came.before where key.path.hasSuffix(".zst") { #expect(contents[key] == bytes || contents[key] == nil, "request \(number): \(key)") }
            #expect(seen.deletionsAfter <= ShipperLimits.deletesPerLook, "request \(number): \(seen.deletionsAfter) deletions")
            if seen.looksAfter > 0 || ended != nil {
                guard case .archive(let error)? = ended else {
                    Issue.record("request \(number): \(String(describing: ended))")
                    return .max
                }
                // A claim that goes before it was read back is one that the store does not keep.
                let isLostClaim = rival == .removes && error.code == .damaged && error.key == ShipBench.layout.claim(1)
                #expect(error.code == .fenced || error.code == .diverged || isLostClaim, "request \(number): \(error)")
            }
            // What a look had confirmed before the rival came may be written down after; nothing else.
            let slot = try bench.slot()
            #expect(slot.archived <= max(came.archived, seen.confirmed), "request \(number): \(slot.archived), confirmed \(seen.confirmed)")
            let reader = try LogReader.open(directory: bench.directory)
            defer { reader.close() }
            #expect(try reader.headLSN == came.head || seen.mayTruncate, "request \(number)")
            // It stays so, whatever is written.
            // (A claim that was removed before the slot knew of it is made again.)
            if ended != nil, rival != .removes {
                let before = memory.contents
                try bench.write(30, seed: 9)
                await #expect(throws: ShipperError.self) { try await bench.shipOnce(to: memory) }
                #expect(memory.contents == before, "request \(number)")
                #expect(try bench.slot().archived == slot.archived)
            }
            return .max
        }
    }
}

/// Counts requests, lets a rival come in before one of them, and remembers what was confirmed by then.
private final class RivalStore: ObjectStore {
    struct Came {
        var planted: [ObjectKey: [UInt8]]
        var before: [ObjectKey: [UInt8]]
        /// What the slot and the log said then.
        var archived: LSN
        var head: LSN
    }
    struct Seen {
        var requests = 0
        var came: Came?
        /// Up to where objects were acknowledged.
        var acknowledged: LSN = .zero
        /// Up to where a look that began after the acknowledgement ended well before the rival came.
        var confirmed: LSN = .zero
        var looksAfter = 0
        var deletionsAfter = 0
        /// A look had ended well just before: the truncation after it may go on.
        var mayTruncate = false
        var lookBegan: LSN?
    }

    private let store: MemoryObjectStore
    private let rival: RivalTests.Rival
    private let number: Int
    private let local: @Sendable () -> (LSN, LSN)
    private let state = Mutex(Seen())

    init(_ store: MemoryObjectStore, _ rival: RivalTests.Rival, at number: Int, local: @escaping @Sendable () -> (LSN, LSN)) {
        self.store = store
        self.rival = rival
        self.number = number
        self.local = local
    }

    var seen: Seen { state.withLock { $0 } }

    private func begin() {
        let isItsMoment = state.withLock { seen in
            seen.requests += 1
            return seen.requests - 1 == number
        }
        guard isItsMoment else { return }
        let (archived, head) = local()
        let before = store.contents
        var planted: [ObjectKey: [UInt8]] = [:]
        let layout = ShipBench.layout
        let id = EpochID(rawValue: 0xBAD)
        func claim(_ number: UInt64) -> [UInt8]? {
            let key = layout.claim(number)
            return try? ClaimDocument(epoch: EpochName(number: number, id: id), host: "rival", time: 1).encoded(for: key)
        }
        switch rival {
        case .promotes:
            let epoch = EpochName(number: 2, id: id)
            planted[layout.claim(2)] = claim(2)
            planted[layout.start(2)] = Array("the rival's".utf8)
            planted[layout.segment(epoch, start: .zero)] = Array("its segment".utf8)
            planted[layout.head(epoch)] = Array("its head".utf8)
        case .overwrites: planted[layout.claim(1)] = claim(1)
        case .removes: store.plant(layout.claim(1), nil)
        }
        for (key, bytes) in planted { store.plant(key, bytes) }
        // A claim that is not there yet cannot be removed.
        if rival == .removes, before[layout.claim(1)] == nil { return }
        state.withLock { $0.came = Came(planted: planted, before: before, archived: archived, head: head) }
    }

    var name: String { store.name }
    var capabilities: StoreCapabilities { get async { await store.capabilities } }
    func assume(_ capabilities: StoreCapabilities) async { await store.assume(capabilities) }
    func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities {
        begin()
        return try await store.probe(prefix: prefix)
    }
    func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome {
        begin()
        let outcome = try await store.create(key, bytes)
        if key.path.hasSuffix(".zst"), let start = key.path.split(separator: "/").last?.prefix(20),
            let end = try ObjectDecoder.metadata(prefix: bytes, key: key, start: LSN(UInt64(start)!))?.end
        {
            state.withLock { $0.acknowledged = max($0.acknowledged, end) }
        }
        return outcome
    }
    func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) {
        begin()
        try await store.replace(key, bytes)
    }
    func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        begin()
        let layout = ShipBench.layout
        if key == layout.claim(1) {
            state.withLock { seen in
                if seen.came != nil { seen.looksAfter += 1 }
                seen.lookBegan = seen.acknowledged
                seen.mayTruncate = seen.mayTruncate && seen.came != nil
            }
        }
        do throws(ArchiveError) {
            return try await store.get(key, range: range, limit: limit)
        } catch {
            if key == layout.claim(2), error.code == .notFound {
                state.withLock { seen in
                    guard seen.came == nil || rival != .promotes else { return }
                    // The look is over, and was good if the claim was ours when it began.
                    guard seen.came == nil || seen.looksAfter == 0, let began = seen.lookBegan else { return }
                    seen.confirmed = max(seen.confirmed, began)
                    seen.mayTruncate = true
                }
            }
            throw error
        }
    }
    func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        begin()
        return try await store.head(key)
    }
    func delete(_ key: ObjectKey) async throws(ArchiveError) {
        begin()
        state.withLock { if $0.came != nil { $0.deletionsAfter += 1 } }
        try await store.delete(key)
    }
    func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome {
        begin()
        return try await store.makeCollection(key)
    }
    func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] {
        begin()
        return try await store.list(prefix)
    }
}
