import Archive
import Foundation
import Synchronization
import Testing
import TestSupport
import WAL

@testable import Shipper

/// Uploads that were given up and arrive all the same, later than anybody waits: also on a store that lets them replace what is there.
@Suite struct LateArrivalTests {
    @Test(arguments: [MemoryObjectStore.everything, [.probed, .list, .rangeGet]])
    func whateverArrivesLateIsWhatIsThereAlready(capabilities: StoreCapabilities) async throws {
        for every in 2...4 {
            try await withTemporaryDirectory { scratch in
                let bench = try ShipBench(scratch)
                defer { try? bench.log.close() }
                let memory = MemoryObjectStore(capabilities: capabilities)
                let store = LateStore(memory, every: every)
                var settings = ShipBench.settings()
                settings.retain = 1 << 40
                for seed in UInt64(1)...6 {
                    let end = try bench.write(12, seed: seed)
                    try await bench.shipper(to: store, settings: settings).runOnce(timeout: .seconds(60))
                    let whole = try ShipBench.archived(memory.contents).contiguous()
                    #expect(try whole == bench.bytes(.zero..<end))
                    // Now everything arrives that was on its way.
                    store.arrive()
                    #expect(try ShipBench.archived(memory.contents).contiguous() == whole, "seed \(seed), every \(every)")
                }
                #expect(store.count > 1, "every \(every)")
            }
        }
    }

    /// The tail's upload is given up, the process dies, more is written: the retry ships the range that was recorded, so the late one is the same.
    @Test func aLateTailOfADeadProcessIsTheRangeThatItsSuccessorShips() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let memory = MemoryObjectStore(capabilities: [.probed, .list, .rangeGet])
            try bench.write(3)
            let dying = DyingStore(LateStore(memory, every: 1), done: false) { what, key in what == "head" && key.path.contains("/tail/") }
            await #expect(throws: ShipperError.self) { try await bench.shipOnce(to: dying) }
            let end = try bench.write(3, seed: 5)
            let late = LateStore(memory, every: 2)
            try await bench.shipper(to: late).runOnce(timeout: .seconds(60))
            let whole = try ShipBench.archived(memory.contents).contiguous()
            #expect(try whole == bench.bytes(.zero..<end))
            late.arrive()
            #expect(try ShipBench.archived(memory.contents).contiguous() == whole)
        }
    }
}

/// Gives up every so many-th upload, and keeps what it would have stored until it is asked to arrive.
private final class LateStore: ObjectStore {
    private struct State {
        var creates = 0
        var late: [(ObjectKey, [UInt8])] = []
        var count = 0
    }
    private let store: MemoryObjectStore
    private let every: Int
    private let state = Mutex(State())

    init(_ store: MemoryObjectStore, every: Int) {
        self.store = store
        self.every = every
    }

    /// How many have arrived.
    var count: Int { state.withLock { $0.count } }

    func arrive() {
        let late = state.withLock { state in
            defer { state.late = [] }
            state.count += state.late.count
            return state.late
        }
        let refuses = store.contents
        for (key, bytes) in late where !isExclusive || refuses[key] == nil { store.plant(key, bytes) }
    }

    private let exclusive = Mutex(true)
    private var isExclusive: Bool { exclusive.withLock { $0 } }

    var name: String { store.name }
    var capabilities: StoreCapabilities {
        get async {
            let known = await store.capabilities
            exclusive.withLock { $0 = known.contains(.conditionalCreate) }
            return known
        }
    }
    func assume(_ capabilities: StoreCapabilities) async { await store.assume(capabilities) }
    func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities { try await store.probe(prefix: prefix) }
    func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome {
        guard key.path.hasSuffix(".zst") else { return try await store.create(key, bytes) }
        let isGivenUp = state.withLock { state in
            state.creates += 1
            guard state.creates % every == 0, !state.late.contains(where: { $0.0 == key }) else { return false }
            state.late.append((key, bytes))
            return true
        }
        if isGivenUp { throw ArchiveError(.unreachable, "no reply in time", outcome: .unknown, key: key) }
        return try await store.create(key, bytes)
    }
    func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) { try await store.replace(key, bytes) }
    func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        try await store.get(key, range: range, limit: limit)
    }
    func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? { try await store.head(key) }
    func delete(_ key: ObjectKey) async throws(ArchiveError) { try await store.delete(key) }
    func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome { try await store.makeCollection(key) }
    func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] { try await store.list(prefix) }
}
