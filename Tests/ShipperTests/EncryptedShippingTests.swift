import Archive
import Foundation
import Testing
import TestSupport
import WAL

@testable import Shipper

/// Shipping with keys: what leaves is encrypted, what is there stays readable, and nobody stops being encrypted without a word.
@Suite struct EncryptedShippingTests {
    static let masters = (0..<3).map { MasterKey(bytes: [UInt8](repeating: UInt8($0), count: 32)) }

    /// New objects by this one; all of them open.
    static func ring(_ current: Int) -> KeyRing { KeyRing(current: masters[current], others: masters) }

    static func settings(_ keys: KeyRing, tail: Duration? = .milliseconds(10)) -> ShipperSettings {
        var settings = ShipBench.settings(tail: tail)
        settings.keys = keys
        settings.retain = 1 << 40
        return settings
    }

    private func keyMissing(_ body: () async throws -> some Any) async -> ArchiveError? {
        do {
            _ = try await body()
            Issue.record("nothing was missing")
        } catch ShipperError.archive(let error) where error.code == .keyMissing {
            return error
        } catch {
            Issue.record("\(error)")
        }
        return nil
    }

    private static func marker(_ store: MemoryObjectStore) throws -> EncryptionDocument? {
        let key = ShipBench.layout.encryption(1)
        return try store.contents[key].map { try EncryptionDocument(decoding: $0, key: key) }
    }

    /// The log's bytes as a reader finds them who goes by names alone: each object, and that its chain holds.
    private static func read(_ contents: [ObjectKey: [UInt8]], _ epoch: EpochName) throws -> [UInt8] {
        let key = ShipBench.layout.encryption(epoch.number)
        let naming = try contents[key].map { try EncryptionDocument(decoding: $0, key: key).naming } ?? .plain
        var bytes: [UInt8] = []
        var before: [ObjectMetadata.Kind: ObjectDecoder.Decoded] = [:]
        while true {
            let position = UInt64(bytes.count)
            let segment = LSN(position / 4096 * 4096)
            let places = [(ObjectMetadata.Kind.segment, segment)] + (0...3).reversed().map { (.tail(level: $0), LSN(position)) }
            let keys = places.flatMap { place in ShipBench.layout.names(place.0, epoch, start: place.1, naming).map { ($0, place.1) } }
            guard let (key, start) = keys.first(where: { contents[$0.0] != nil }), let found = contents[key] else { return bytes }
            let object = try ObjectDecoder.decode(found, key: key, start: start, keys: ring(0))
            if let last = before[object.metadata.kind], last.metadata.end == start {
                let digests = [last.metadata.rawDigest, ring(0).digest(of: last.raw, log: last.metadata.logID, under: object.metadata.seal?.keyID)]
                #expect(digests.contains(object.metadata.precedingDigest), "\(key)")
            }
            before[object.metadata.kind] = object
            bytes += object.raw[Int(position - start.rawValue)...]
        }
    }

    @Test func whatLeavesIsEncryptedAndItsReadersKnowSinceWhen() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let end = try bench.write(100)
            let store = MemoryObjectStore()
            let status = try await bench.shipOnce(to: store, settings: Self.settings(Self.ring(0)))
            #expect(status.archived == end && status.encryption == Self.masters[0].id)
            let epoch = EpochName(bench.log.epochs.current)
            #expect(try Self.marker(store).map { $0.from == .zero && $0.keyID == Self.masters[0].id && $0.epoch == epoch } == true)
            #expect(store.contents.keys.allSatisfy { $0.path.hasSuffix(".json") || $0.path.hasSuffix(".zst.enc") })
            #expect(try Self.read(store.contents, epoch) == bench.bytes(.zero..<end))
        }
    }

    @Test func encryptionTurnedOnLeavesWhatIsThereAndIsNotTurnedOff() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = MemoryObjectStore()
            let plainEnd = try bench.write(50)
            let status = try await bench.shipOnce(to: store, settings: Self.settings(.none))
            #expect(status.encryption == nil)
            #expect(try Self.marker(store) == nil)
            let before = store.contents.filter { $0.key.path.hasSuffix(".zst") }
            #expect(before.keys.contains { $0.path.contains("/tail/") } && before.keys.contains { $0.path.contains("/segments/") })

            // Into the same segment, and then over the next ones.
            for seed in [2, 3] as [UInt64] {
                let end = try bench.write(seed == 2 ? 2 : 60, seed: seed)
                _ = try await bench.shipOnce(to: store, settings: Self.settings(Self.ring(0)))
                #expect(try Self.marker(store)?.from == plainEnd)
                #expect(try Self.read(store.contents, EpochName(bench.log.epochs.current)) == bench.bytes(.zero..<end))
                for (key, bytes) in store.contents where key.path.hasSuffix(".zst") { #expect(before[key] == bytes, "\(key)") }
            }
            #expect(!store.contents.keys.contains { $0.path.contains("/tail/") && $0.path.hasSuffix(".zst") }, "tails go with their segment")

            try bench.write(60, seed: 4)
            let contents = store.contents
            let error = await keyMissing { try await bench.shipOnce(to: store, settings: Self.settings(.none)) }
            #expect(error?.message.contains("LSN \(plainEnd)") == true && error?.hint?.contains("encryption.key-file") == true)
            #expect(store.contents == contents)
        }
    }

    /// The key changes while the open segment has tails of every kind: shipped, to be merged, and in flight.
    @Test(arguments: [8, 40]) func theKeyMayChangeInAnySegment(tails: Int) async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = MemoryObjectStore()
            var end = LSN.zero
            for number in 0..<tails {
                end = try bench.write(1, seed: UInt64(number), size: 20...30)
                let key = number * 3 / tails
                let shipper = bench.shipper(to: store, settings: Self.settings(Self.ring(key)))
                let running = Task { try await shipper.run() }
                try await eventually("archived") {
                    shipper.status.archived >= end && (number < 32 || store.contents.keys.contains { $0.path.contains("/1/") })
                }
                shipper.finish()
                try await running.value
            }
            #expect(try Self.read(store.contents, EpochName(bench.log.epochs.current)) == bench.bytes(.zero..<end))
            let seals = try ShipBench.archived(store.contents, keys: Self.ring(0)).objects.map { $0.metadata.seal?.keyID }
            #expect(Set(seals) == Set(Self.masters.map(\.id)))
            end = try bench.write(40, seed: 77)
            _ = try await bench.shipOnce(to: store, settings: Self.settings(Self.ring(1)))
            #expect(try Self.read(store.contents, EpochName(bench.log.epochs.current)) == bench.bytes(.zero..<end))
        }
    }

    /// The shipper dies after each call that it makes of the store, before it hears of it; the next one has another key, or the first one.
    @Test(arguments: [(nil, 0), (0, 1)] as [(Int?, Int)]) func aCrashAtAnyStoreCallLosesNothing(keys: (Int?, Int)) async throws {
        var call = 0
        while true {
            let isOver = try await withTemporaryDirectory { scratch in
                let bench = try ShipBench(scratch)
                defer { try? bench.log.close() }
                try bench.write(25)
                let memory = MemoryObjectStore()
                var hasDied = false
                do {
                    let first = keys.0.map(Self.ring) ?? .none
                    _ = try await bench.shipOnce(to: DyingStore(memory, at: call, done: true), settings: Self.settings(first))
                } catch {
                    hasDied = true
                }
                for seed in [9, 10] as [UInt64] {
                    let end = try bench.write(5, seed: seed)
                    let status = try await bench.shipOnce(to: memory, settings: Self.settings(Self.ring(keys.1)))
                    #expect(status.archived == end, "call \(call)")
                    let bytes = try Self.read(memory.contents, EpochName(bench.log.epochs.current))
                    #expect(try bytes == bench.bytes(.zero..<end), "call \(call)")
                }
                return !hasDied
            }
            if isOver { break }
            call += 1
        }
        #expect(call > 20, "\(call) calls")
    }

    @Test func aDocumentThatWasCutShortIsWrittenAgain() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = MemoryObjectStore()
            let plainEnd = try bench.write(50)
            _ = try await bench.shipOnce(to: store, settings: Self.settings(.none))
            let key = ShipBench.layout.encryption(1)
            store.plant(key, Array("{\"epoch_id\":\"00".utf8))
            #expect(await keyMissing { try await bench.shipOnce(to: store, settings: Self.settings(.none)) } != nil)
            let end = try bench.write(30, seed: 2)
            _ = try await bench.shipOnce(to: store, settings: Self.settings(Self.ring(0)))
            #expect(try Self.marker(store)?.from == plainEnd)
            #expect(try Self.read(store.contents, EpochName(bench.log.epochs.current)) == bench.bytes(.zero..<end))
        }
    }

    /// What is in the archive cannot be compared without the key that it was encrypted with.
    @Test func aKeyThatWasForgottenIsSaidByName() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(5)
            let store = MemoryObjectStore()
            _ = try await bench.shipOnce(to: store, settings: Self.settings(Self.ring(0)))
            let contents = store.contents
            let alone = KeyRing(current: Self.masters[1])
            let error = await keyMissing { try await bench.shipOnce(to: store, settings: Self.settings(alone)) }
            #expect(error?.message.contains("\(Self.masters[0].id)") == true && error?.key?.path.hasSuffix(".zst.enc") == true)
            #expect(store.contents == contents)
        }
    }

    /// Objects of an encrypted archive that were lost are encrypted again, also below where encryption began.
    @Test func whatIsShippedAgainIsEncrypted() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = MemoryObjectStore()
            try bench.write(50)
            _ = try await bench.shipOnce(to: store, settings: Self.settings(.none))
            let end = try bench.write(50, seed: 2)
            _ = try await bench.shipOnce(to: store, settings: Self.settings(Self.ring(0)))
            let from = try #require(try Self.marker(store)?.from)
            for key in store.contents.keys where key.path.contains("/segments/") || key.path.contains("/tail/") { store.plant(key, nil) }
            _ = try await bench.shipOnce(to: store, settings: Self.settings(Self.ring(0)))
            #expect(store.contents.keys.allSatisfy { !$0.path.hasSuffix(".zst") } && from > LSN(4096))
            #expect(try Self.read(store.contents, EpochName(bench.log.epochs.current)) == bench.bytes(.zero..<end))
        }
    }
}
