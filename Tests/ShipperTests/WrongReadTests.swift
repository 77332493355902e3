import Archive
import Synchronization
import Testing
import TestSupport
import WAL

@testable import Shipper

/// What comes back wrongly once is read again: it neither stops a shipper, nor makes it ship anything anew or replace what is there.
@Suite struct WrongReadTests {
    @Test func oneWrongReplyChangesNothing() async throws {
        var number = 0
        var wasMet = true
        while wasMet {
            try await withTemporaryDirectory { scratch in
                let bench = try ShipBench(scratch)
                defer { try? bench.log.close() }
                let store = MemoryObjectStore()
                try bench.write(40)
                _ = try await bench.shipOnce(to: store)
                let before = store.contents.filter { $0.key.path.hasSuffix(".zst") }
                // The tail is there already, and the log has gone on: shipping it under a longer range would be another object under its name.
                let end = try bench.write(3, seed: 2)
                let wrong = WrongReadStore(store, at: number)
                #expect(try await bench.shipOnce(to: wrong).archived == end, "reply \(number)")
                for (key, bytes) in before { #expect(store.contents[key] == bytes, "reply \(number): \(key)") }
                wasMet = wrong.wasMet
            }
            number += 1
        }
        #expect(number > 10)
    }
}

/// Answers one read wrongly: an object with a bit flipped, a document cut short, a size that is off by one.
final class WrongReadStore: ObjectStore {
    private let store: any ObjectStore
    private let at: Int
    private let reads = Mutex(0)

    init(_ store: any ObjectStore, at number: Int) {
        self.store = store
        at = number
    }

    var wasMet: Bool { reads.withLock { $0 > at } }

    private func isWrong() -> Bool {
        reads.withLock { reads in
            reads += 1
            return reads - 1 == at
        }
    }

    var name: String { store.name }
    var capabilities: StoreCapabilities { get async { await store.capabilities } }
    func assume(_ capabilities: StoreCapabilities) async { await store.assume(capabilities) }
    func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities { try await store.probe(prefix: prefix) }
    func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome { try await store.create(key, bytes) }
    func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) { try await store.replace(key, bytes) }
    func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        var bytes = try await store.get(key, range: range, limit: limit)
        guard isWrong(), !bytes.isEmpty else { return bytes }
        if key.path.hasSuffix(".json") { return Array(bytes.dropLast(bytes.count / 2)) }
        bytes[bytes.count / 2] ^= 4
        return bytes
    }
    func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        guard let info = try await store.head(key) else { return nil }
        return isWrong() ? ObjectInfo(size: info.size + 1) : info
    }
    func delete(_ key: ObjectKey) async throws(ArchiveError) { try await store.delete(key) }
    func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome { try await store.makeCollection(key) }
    func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] { try await store.list(prefix) }
}
