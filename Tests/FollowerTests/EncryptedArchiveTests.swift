import Archive
import Foundation
import Synchronization
import TestSupport
import Testing
import WAL

@testable import Follower

/// Archives whose objects are encrypted, all or from some point on, as readers meet them.
@Suite struct EncryptedArchiveTests {
    static let key = MasterKey(bytes: [UInt8](repeating: 1, count: 32))
    static let other = MasterKey(bytes: [UInt8](repeating: 2, count: 32))

    private func withArchive(
        _ store: any ObjectStore, key: MasterKey?, _ body: (String, [SampleArchive.Entry], ArchiveBuilder) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            let records = try SampleArchive.write("\(directory)/log", count: 120)
            let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log", sealing: key)
            try await builder.ship()
            try await body(directory, records, builder)
        }
    }

    private func open(_ store: any ObjectStore, _ keys: KeyRing) async throws -> ArchiveReader {
        try await ArchiveReader.open(store: store, log: SampleArchive.name, keys: keys, patience: { SampleArchive.NoPatience() })
    }

    @Test func restoresWithItsKeyAndWritesNothingWithoutIt() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store, key: Self.key) { directory, records, _ in
            for keys in [KeyRing.none, KeyRing(current: Self.other)] {
                let restore = Restore(try await open(store, keys))
                let plan = try await restore.plan()
                #expect(plan.keys == [Self.key.id] && plan.encrypted == plan.segments + plan.tails, "a plan needs no key")
                let error = await #expect(throws: ArchiveError.self) { try await restore.run(into: "\(directory)/restored") }
                #expect(error?.code == .keyMissing && error?.message.contains("\(Self.key.id)") == true)
                #expect(!FileManager.default.fileExists(atPath: "\(directory)/restored"))
            }
            let restore = Restore(try await open(store, KeyRing(current: Self.other, others: [Self.key])))
            _ = try await restore.run(into: "\(directory)/restored")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/restored"), records))
            var printed: [SampleArchive.Entry] = []
            for try await record in archiveRecords(store: store, log: SampleArchive.name, keys: KeyRing(current: Self.key)) { printed.append(record) }
            #expect(SampleArchive.isSame(printed, records))
            let status = try await ArchiveStatus.read(store: store, log: SampleArchive.name)
            #expect(status.encryption?.keyID == Self.key.id && status.encryption?.from == .zero)
        }
    }

    /// Nobody pays for encryption who does not use it, and an encrypted archive is read with as many requests as any.
    @Test func oneRequestAnEpochAndOneAtTheEndTellWhichNamesToAskFor() async throws {
        var requests: [Bool: [String]] = [:]
        for isEncrypted in [false, true] {
            let store = MemoryObjectStore()
            try await withArchive(store, key: isEncrypted ? Self.key : nil) { _, _, _ in
                let asked = AskedStore(store)
                var walk = try await open(asked, KeyRing(current: Self.key)).walk()
                asked.forget()
                while try await walk.next() != nil {}
                requests[isEncrypted] = asked.keys
                // At the end, as a follower stands there and asks again.
                asked.forget()
                #expect(try await walk.next() == nil)
                let names = asked.keys.count { $0.contains(".zst") }
                #expect(names == 6 && asked.keys.count == (isEncrypted ? 9 : 10), "\(asked.keys)")
            }
        }
        let plain = try #require(requests[false])
        let encrypted = try #require(requests[true])
        #expect(!plain.contains { $0.hasSuffix(".enc") } && !encrypted.contains { $0.hasSuffix(".zst") })
        #expect(plain.count { $0.hasSuffix("encryption.json") } == 2 && encrypted.count { $0.hasSuffix("encryption.json") } == 1)
        #expect(encrypted.count == plain.count - 1)
    }

    @Test func encryptionThatIsTurnedOnWhileSomebodyReadsIsFollowed() async throws {
        let store = MemoryObjectStore()
        try await withTemporaryDirectory { directory in
            let log = try SegmentedLog.open(directory: "\(directory)/log", segmentSize: 4096)
            func write(_ count: Int) throws -> LSN {
                for number in 0..<count { try log.append([UInt8](repeating: UInt8(number), count: 50)) }
                let sync: () throws -> LSN = { try log.sync() }
                return try sync()
            }
            let first = try write(20)
            let plain = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            try await plain.ship(group: 0)
            var walk = try await open(store, KeyRing(current: Self.key)).walk()
            while try await walk.next() != nil {}
            #expect(walk.position == first)

            let second = try write(10)
            let sealed = try await ArchiveBuilder(store: store, directory: "\(directory)/log", sealing: Self.key)
            try await sealed.put(EncryptionDocument(epoch: sealed.epoch, from: first, keyID: Self.key.id, time: 0), sealed.layout.encryption(1))
            try await sealed.object(.tail(level: 0), first..<second)
            try await sealed.head(archived: second, checkpoint: .zero)
            while try await walk.next() != nil {}
            #expect(walk.position == second)
            try log.close()
        }
    }

    /// Somebody who can write to the store, and has no key, cannot add to an encrypted archive.
    @Test func whatIsNotEncryptedIsNotLookedAtWhereEverythingIs() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store, key: Self.key) { directory, records, builder in
            let end = try builder.reader.durableLSN
            try SampleArchive.write("\(directory)/log", count: 20, seed: 3, segmentSize: nil)
            let forged = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            try await forged.object(.tail(level: 0), end..<(try forged.reader.durableLSN))
            _ = try await Restore(try await open(store, KeyRing(current: Self.key))).run(into: "\(directory)/restored")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/restored"), records))
        }
    }

    @Test func aTamperedObjectIsAnErrorAndLeavesNothing() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store, key: Self.key) { directory, _, builder in
            let key = builder.layout.segment(builder.epoch, start: .zero, isEncrypted: true)
            var bytes = try #require(store.contents[key])
            bytes[bytes.count - 1] ^= 1
            store.plant(key, bytes)
            let error = await #expect(throws: ArchiveError.self) {
                try await SampleArchive.withoutRemains("\(directory)/restored") {
                    try await Restore(try await open(store, KeyRing(current: Self.key))).run(into: "\(directory)/restored")
                }
            }
            #expect(error?.code == .damaged && error?.key == key)
            #expect(!FileManager.default.fileExists(atPath: "\(directory)/restored"))
        }
    }
}

/// Remembers what it was asked for, in order.
private final class AskedStore: ObjectStore {
    private let store: any ObjectStore
    private let asked = Mutex<[String]>([])

    init(_ store: any ObjectStore) { self.store = store }

    var keys: [String] { asked.withLock { $0 } }
    func forget() { asked.withLock { $0 = [] } }
    private func note(_ key: ObjectKey) { asked.withLock { $0.append(key.path) } }

    var name: String { store.name }
    var capabilities: StoreCapabilities { get async { await store.capabilities } }
    func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities { try await store.probe(prefix: prefix) }
    func assume(_ capabilities: StoreCapabilities) async { await store.assume(capabilities) }
    func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome { try await store.create(key, bytes) }
    func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) { try await store.replace(key, bytes) }
    func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        note(key)
        return try await store.get(key, range: range, limit: limit)
    }
    func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        note(key)
        return try await store.head(key)
    }
    func delete(_ key: ObjectKey) async throws(ArchiveError) { try await store.delete(key) }
    func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome { try await store.makeCollection(key) }
    func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] { try await store.list(prefix) }
}
