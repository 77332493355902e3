import Archive
import Foundation
import Synchronization
import Testing
import TestSupport
import WAL

@testable import Shipper

/// Shipping when things go wrong: nothing acknowledged is lost, nothing foreign is touched.
@Suite struct ShippingFaultTests {
    /// A head that was cut short by a crash of the store is written anew: it is no reason to stop.
    @Test func aHeadThatCannotBeReadIsWrittenAnew() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(45)
            let memory = MemoryObjectStore()
            try await _ = bench.shipOnce(to: memory)
            let key = try #require(memory.contents.keys.first { $0.path.hasPrefix("orders/heads/") })
            for bytes in [[], Array("{\"archived".utf8)] {
                memory.plant(key, bytes)
                let end = try bench.write(3, seed: 9)
                let status = try await bench.shipOnce(to: memory)
                #expect(status.archived == end)
                #expect(try HeadDocument(decoding: #require(memory.contents[key]), key: key).archived == end)
            }
        }
    }

    /// The shipper dies at each call that it makes of the store, before it was done or after; the writer goes on; the next shipper finishes.
    @Test(arguments: [true, false]) func aCrashAtAnyStoreCallLosesNothing(done: Bool) async throws {
        var call = 0
        while true {
            let isOver = try await withTemporaryDirectory { scratch in
                let bench = try ShipBench(scratch)
                defer { try? bench.log.close() }
                try bench.write(45)
                let memory = MemoryObjectStore()
                let dying = DyingStore(memory, at: call, done: done)
                var hasDied = false
                do {
                    _ = try await bench.shipOnce(to: dying)
                } catch {
                    hasDied = true
                }
                let end = try bench.write(5, seed: 9)
                let status = try await bench.shipOnce(to: memory)
                #expect(status.archived == end, "call \(call)")
                let archived = try ShipBench.archived(memory.contents)
                let reader = try LogReader.open(directory: bench.directory)
                defer { reader.close() }
                let head = try reader.headLSN
                let bytes = archived.contiguous()
                #expect(bytes.count == Int(end.rawValue), "call \(call)")
                #expect(try bytes[Int(head.rawValue)...] == bench.bytes(head..<end)[...], "call \(call)")
                for (older, newer) in zip(archived.segments, archived.segments.dropFirst()) {
                    #expect(newer.metadata.precedingDigest == older.metadata.rawDigest && newer.metadata.start == older.metadata.end)
                }
                return !hasDied
            }
            if isOver { break }
            call += 1
        }
        #expect(call > 30, "\(call) calls")
    }

    @Test func outagesLostRepliesAndCutUploadsPass() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let end = try bench.write(100)
            let store = MemoryObjectStore()
            let away = ArchiveError(.unreachable, "away")
            let lost = ArchiveError(.unreachable, "no reply", outcome: .unknown)
            let operations: [MemoryObjectStore.Operation] = [.probe, .get, .head, .replace, .create]
            for operation in operations { store.inject(.fail(away), .fail(away), into: operation) }
            store.inject(.loseReply(lost), .loseReply(lost), .cut(at: 40, lost), .loseReply(lost), .cut(at: 300, lost), into: .create)
            store.inject(.loseReply(lost), into: .delete)
            let status = try await bench.shipOnce(to: store, settings: ShipBench.keepAll)
            #expect(status.archived == end)
            #expect(try ShipBench.archived(store.contents).contiguous() == bench.bytes(.zero..<end))
        }
    }

    @Test func storageThatStaysAwayEndsOnceInItsTime() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let end = try bench.write(10)
            let store = MemoryObjectStore()
            for _ in 0..<10_000 { store.inject(.fail(ArchiveError(.unreachable, "away")), into: .get) }
            let shipper = bench.shipper(to: store)
            let error = await #expect(throws: ShipperError.self) { try await shipper.runOnce(timeout: .milliseconds(300)) }
            guard case .timedOut(let archived, let target, let last) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(archived == .zero && target == end)
            // A busy machine may not have come as far as the first request.
            #expect(last == nil || last == "away")
        }
    }

    @Test func aRetriedTailKeepsTheRangeThatWasRecorded() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let first = try bench.write(3)
            let store = MemoryObjectStore()
            // It is stored, and the shipper dies before it hears of it.
            let dying = DyingStore(store, done: true) { what, key in what == "create" && key.path.contains("/tail/") }
            await #expect(throws: ShipperError.self) { try await bench.shipOnce(to: dying) }
            #expect(try bench.slot().levels[0].inFlight == .zero..<first)
            let end = try bench.write(3, seed: 5)
            _ = try await bench.shipOnce(to: store)
            let tails = try ShipBench.archived(store.contents).tails
            #expect(tails.map { $0.metadata.start..<$0.metadata.end } == [.zero..<first, first..<end])
        }
    }

    @Test func nothingIsTruncatedBeforeTheSlotOnDiskHasPassedIt() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(100)
            let store = MemoryObjectStore()
            let watching = DyingStore(store, done: false) { _, _ in
                // At every call: what is gone locally is archived, and the slot says so.
                // What cannot be looked at ends it, too.
                guard let slot = try? bench.slot(), let head = try? bench.head() else { return true }
                return head > slot.position
            }
            _ = try await bench.shipOnce(to: watching)
            #expect(try bench.head() > .zero, "nothing was truncated")
        }
    }

    /// A plain store keeps the beginning of an upload that was cut by a crash: also of a claim.
    @Test func aClaimThatWasCutShortByACrashIsWrittenAgain() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let end = try bench.write(10)
            let store = MemoryObjectStore(capabilities: [.probed])
            let epoch = EpochName(bench.log.epochs.current)
            let key = ShipBench.layout.claim(1)
            let whole = try ClaimDocument(epoch: epoch, host: "here", time: 1).encoded(for: key)
            store.plant(key, Array(whole.prefix(20)))
            #expect(try await bench.shipOnce(to: store).archived == end)
            #expect(try store.contents[key].map { try ClaimDocument(decoding: $0, key: key).epoch } == epoch)
        }
    }

    @Test func aTailInFlightPastTheEndOfTheLogIsANamedError() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let end = try bench.write(5)
            let store = MemoryObjectStore()
            _ = try await bench.shipOnce(to: store)
            let sidecar = try LogSidecar.attach(directory: bench.directory)
            let slot = try sidecar.takeSlot("d-1") { () throws(WALError) -> SlotState in throw .cancelled }
            try slot.update { $0.levels[0].inFlight = end..<end.advanced(by: 100) }
            slot.close()
            sidecar.detach()
            #expect(await code { try await bench.shipOnce(to: store) } == .diverged)
        }
    }

    // MARK: Rivals and foreigners

    @Test func aHigherEpochFencesBeforeAnythingCounts() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(10)
            let store = MemoryObjectStore()
            _ = try await bench.shipOnce(to: store)
            let archived = try bench.slot().archived
            let next = EpochName(number: 2, id: EpochID(rawValue: 99))
            let key = ShipBench.layout.claim(2)
            store.plant(key, try ClaimDocument(epoch: next, host: "other", time: 0).encoded(for: key))
            try bench.write(100, seed: 2)
            #expect(await code { try await bench.shipOnce(to: store) } == .fenced)
            #expect(try bench.slot().archived == archived)
            let reader = try LogReader.open(directory: bench.directory)
            defer { reader.close() }
            #expect(try reader.headLSN == .zero)
        }
    }

    @Test func aClaimThatComesWhileShippingStopsIt() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(10)
            let store = MemoryObjectStore()
            let shipper = bench.shipper(to: store)
            let running = Task { try await shipper.run() }
            try await eventually("shipping") { shipper.status.archived > .zero }
            let key = ShipBench.layout.claim(2)
            store.plant(key, try ClaimDocument(epoch: EpochName(number: 2, id: EpochID(rawValue: 1)), host: "b", time: 0).encoded(for: key))
            let before = shipper.status.archived
            try bench.write(10, seed: 3)
            #expect(await code { try await running.value } == .fenced)
            #expect(shipper.status.state == .stopped && shipper.status.archived == before)
        }
    }

    @Test func anotherLogsArchiveIsRefusedUnchanged() async throws {
        try await withTemporaryDirectory { scratch in
            let one = try ShipBench(scratch, log: "one")
            let two = try ShipBench(scratch, log: "two")
            defer { try? one.log.close(); try? two.log.close() }
            try one.write(10)
            try two.write(10)
            let store = MemoryObjectStore()
            _ = try await one.shipOnce(to: store)
            let before = store.contents
            #expect(await code { try await two.shipOnce(to: store) } == .diverged)
            #expect(store.contents == before)
        }
    }

    @Test func anotherArchiveUnderTheSameURLIsRefused() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(10)
            _ = try await bench.shipOnce(to: MemoryObjectStore())
            let empty = MemoryObjectStore()
            #expect(await code { try await bench.shipOnce(to: empty) } == .diverged)
            #expect(empty.contents.isEmpty)
            let other = MemoryObjectStore()
            _ = try await bench.shipOnce(to: other, slot: "d-2")
            #expect(await code { try await bench.shipOnce(to: other) } == .diverged)
        }
    }

    @Test func aLogThatWasSetBackDoesNotWriteIntoArchivedTerritory() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            try bench.write(10)
            let store = MemoryObjectStore()
            _ = try await bench.shipOnce(to: store)
            // A snapshot of the machine: log and slot together, in place.
            func copy(_ from: String, _ to: String) throws {
                for file in try FileManager.default.subpathsOfDirectory(atPath: from) {
                    var isDirectory: ObjCBool = false
                    _ = FileManager.default.fileExists(atPath: "\(from)/\(file)", isDirectory: &isDirectory)
                    if isDirectory.boolValue {
                        try FileManager.default.createDirectory(atPath: "\(to)/\(file)", withIntermediateDirectories: true)
                    } else if let bytes = FileManager.default.contents(atPath: "\(from)/\(file)") {
                        // In place, so that inodes stay.
                        if !FileManager.default.fileExists(atPath: "\(to)/\(file)") {
                            _ = FileManager.default.createFile(atPath: "\(to)/\(file)", contents: nil)
                        }
                        let handle = try FileHandle(forUpdating: URL(filePath: "\(to)/\(file)"))
                        try handle.truncate(atOffset: 0)
                        try handle.write(contentsOf: bytes)
                        try handle.close()
                    }
                }
            }
            try bench.log.close()
            let snapshot = "\(scratch)/snapshot"
            try FileManager.default.createDirectory(atPath: snapshot, withIntermediateDirectories: true)
            try copy(bench.directory, snapshot)
            let first = try ShipBench(scratch)
            try first.write(10, seed: 7)
            _ = try await first.shipOnce(to: store)
            try first.log.close()
            let before = store.contents
            for file in try FileManager.default.subpathsOfDirectory(atPath: bench.directory)
            where !FileManager.default.fileExists(atPath: "\(snapshot)/\(file)") {
                try FileManager.default.removeItem(atPath: "\(bench.directory)/\(file)")
            }
            try copy(snapshot, bench.directory)
            // It goes on under its old identity, past where the archive is.
            let again = try ShipBench(scratch)
            defer { try? again.log.close() }
            try again.write(30, seed: 8)
            #expect(await code { try await again.shipOnce(to: store) } == .diverged)
            #expect(store.contents == before)
        }
    }

    // MARK: Lost slots, lost objects

    @Test(arguments: [60, 75, 100, 200]) func aLostSlotAdoptsWhatIsThere(records: Int) async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(records)
            let store = MemoryObjectStore()
            _ = try await bench.shipOnce(to: store)
            let before = try bench.slot()
            let sidecar = try LogSidecar.attach(directory: bench.directory)
            try sidecar.dropSlot("d-1")
            sidecar.detach()
            let objects = store.contents.keys.filter { $0.path.hasSuffix(".zst") }.count
            let end = try bench.write(30, seed: 4)
            let status = try await bench.shipOnce(to: store)
            #expect(status.archived == end)
            #expect(before.lastSegment != nil && store.contents.keys.count > objects)
            let archived = try ShipBench.archived(store.contents)
            #expect(archived.contiguous().count == Int(end.rawValue))
            for (older, newer) in zip(archived.segments, archived.segments.dropFirst()) {
                #expect(newer.metadata.precedingDigest == older.metadata.rawDigest)
            }
        }
    }

    @Test func objectsThatWereLostAreShippedAgainWhileTheLogHasThem() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(100)
            let store = MemoryObjectStore()
            _ = try await bench.shipOnce(to: store, settings: ShipBench.keepAll)
            let keys = store.contents.keys.filter { $0.path.hasSuffix(".zst") }.sorted()
            for lost in [keys.suffix(1), keys.suffix(3)] {
                for key in lost { store.plant(key, nil) }
                let status = try await bench.shipOnce(to: store, settings: ShipBench.keepAll)
                #expect(try ShipBench.archived(store.contents).contiguous() == bench.bytes(.zero..<status.archived))
            }
        }
    }

    @Test func aForeignObjectInOurPlaceIsNeverReplaced() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            try bench.write(5)
            let store = MemoryObjectStore()
            _ = try await bench.shipOnce(to: store)
            let tail = try #require(store.contents.first { $0.key.path.contains("/tail/") })
            let end = try bench.slot().archived
            // The same range under the next name: intact, and not what belongs there.
            let name = String(repeating: "0", count: 20 - "\(end)".count) + "\(end)"
            let place = ObjectKey(tail.key.path.replacing("00000000000000000000.zst", with: "\(name).zst"))
            let session = try ObjectDecoder.decode(tail.value, key: tail.key, start: .zero).metadata
            let encoder = try ObjectEncoder()
            let foreign = try encoder.encode(
                [UInt8](repeating: 7, count: 16),
                ObjectMetadata(
                    kind: .tail(level: 0), logID: session.logID, archiveID: session.archiveID, epoch: session.epoch, epochStart: .zero,
                    start: end, end: end.advanced(by: 16), records: nil, precedingDigest: nil, ancestry: session.ancestry, timeIndex: []),
                level: 1)
            store.plant(place, foreign.bytes)
            try bench.write(5, seed: 2)
            #expect(await code { try await bench.shipOnce(to: store) } == .diverged)
            #expect(store.contents[place] == foreign.bytes)
        }
    }
}

/// Ends the shipper's world at one call: everything from then on fails at once, as when the process is gone.
final class DyingStore: ObjectStore {
    private struct State {
        var calls = 0
        var isDead = false
    }
    private let store: any ObjectStore
    private let done: Bool
    private let isFatal: @Sendable (Int, String, ObjectKey) -> Bool
    private let state = Mutex(State())

    /// Dies at call number `at`, from 0; `done`: after doing it.
    init(_ store: any ObjectStore, at: Int, done: Bool) {
        self.store = store
        self.done = done
        isFatal = { number, _, _ in number == at }
    }

    init(_ store: any ObjectStore, done: Bool, when isFatal: @escaping @Sendable (String, ObjectKey) -> Bool) {
        self.store = store
        self.done = done
        self.isFatal = { _, what, key in isFatal(what, key) }
    }

    private func call<T>(_ what: String, _ key: ObjectKey, _ body: () async throws(ArchiveError) -> T) async throws(ArchiveError) -> T {
        let number = state.withLock { state in
            state.calls += 1
            return state.isDead ? -1 : state.calls - 1
        }
        let dead = ArchiveError(.refused(status: 599), "dead", key: key)
        guard number >= 0 else { throw dead }
        guard isFatal(number, what, key) else { return try await body() }
        state.withLock { $0.isDead = true }
        if done { _ = try await body() }
        throw dead
    }

    var name: String { store.name }
    var capabilities: StoreCapabilities { get async { await store.capabilities } }
    func assume(_ capabilities: StoreCapabilities) async { await store.assume(capabilities) }
    func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities {
        try await call("probe", prefix) { () async throws(ArchiveError) in try await store.probe(prefix: prefix) }
    }
    func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome {
        try await call("create", key) { () async throws(ArchiveError) in try await store.create(key, bytes) }
    }
    func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) {
        try await call("replace", key) { () async throws(ArchiveError) in try await store.replace(key, bytes) }
    }
    func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        try await call("get", key) { () async throws(ArchiveError) in try await store.get(key, range: range, limit: limit) }
    }
    func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        try await call("head", key) { () async throws(ArchiveError) in try await store.head(key) }
    }
    func delete(_ key: ObjectKey) async throws(ArchiveError) {
        try await call("delete", key) { () async throws(ArchiveError) in try await store.delete(key) }
    }
    func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome {
        try await call("mkcol", key) { () async throws(ArchiveError) in try await store.makeCollection(key) }
    }
    func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] { try await store.list(prefix) }
}
