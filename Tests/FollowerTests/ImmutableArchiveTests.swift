import Archive
import Follower
import Foundation
import Logging
import Shipper
import TestSupport
import Testing
import WAL

/// An archive in which nothing is ever replaced or deleted: shipped to, and read back.
@Suite struct ImmutableArchiveTests {
    private static let name = LogName("orders")!

    private func write(_ directory: String, records: Range<Int>) throws -> LSN {
        let log = try SegmentedLog.open(directory: directory, segmentSize: 4096)
        for number in records { _ = try log.append(Array("record \(number) \(String(repeating: "x", count: number % 300))".utf8)) }
        let sync: () throws -> LSN = { try log.sync() }
        let end = try sync()
        try log.close()
        return end
    }

    private func ship(_ directory: String, to store: any ObjectStore, tail: Duration? = nil) async throws -> ShipperStatus {
        var settings = ShipperSettings()
        settings.claimSettle = .milliseconds(1)
        settings.retryDelayMax = .milliseconds(20)
        settings.isImmutable = true
        settings.tailInterval = tail
        let shipper = LogShipper(
            directory: directory, name: Self.name, slot: "d-1", url: store.name, store: store, settings: settings,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await shipper.runOnce(timeout: .seconds(60))
        return shipper.status
    }

    private func bytes(_ directory: String, _ range: Range<LSN>) throws -> [UInt8] {
        let reader = try LogReader.open(directory: directory)
        defer { reader.close() }
        return try reader.verifiedRange(range).bytes
    }

    @Test(arguments: [nil, .milliseconds(10)] as [Duration?])
    func nothingIsReplacedOrDeletedAndItRestores(tail: Duration?) async throws {
        try await withTemporaryDirectory { scratch in
            let store = MemoryObjectStore()
            var end = LSN.zero
            for round in 0..<6 {
                let before = store.contents
                end = try write("\(scratch)/log", records: round * 30..<(round + 1) * 30)
                let status = try await ship("\(scratch)/log", to: store, tail: tail)
                #expect(status.archived == end)
                for (key, bytes) in before { #expect(store.contents[key] == bytes, "\(key) has changed") }
            }
            #expect(store.count(of: .replace) == 0)
            #expect(store.count(of: .delete) == 0)
            #expect(!store.contents.keys.contains { $0.path.contains("/heads/") })
            #expect(store.contents.keys.contains { $0.path.contains("/tail/") }, "the last bytes of each round stay")

            _ = try await Restore(ArchiveReader.open(store: store, log: Self.name)).run(into: "\(scratch)/restored")
            let reader = try LogReader.open(directory: "\(scratch)/restored")
            #expect(try reader.durableLSN == end)
            reader.close()
            let from = try truncatedHead("\(scratch)/log")
            #expect(from > .zero, "what is archived goes locally, as everywhere")
            #expect(try bytes("\(scratch)/restored", from..<end) == bytes("\(scratch)/log", from..<end))
        }
    }

    private func truncatedHead(_ directory: String) throws -> LSN {
        let reader = try LogReader.open(directory: directory)
        defer { reader.close() }
        return try reader.headLSN
    }

    @Test func withoutListingTheEndIsUnproven() async throws {
        try await withTemporaryDirectory { scratch in
            let store = MemoryObjectStore(capabilities: MemoryObjectStore.everything.subtracting(.list))
            _ = try write("\(scratch)/log", records: 0..<60)
            _ = try await ship("\(scratch)/log", to: store)
            await #expect {
                _ = try await Restore(ArchiveReader.open(store: store, log: Self.name)).run(into: "\(scratch)/restored")
            } throws: { error in
                ((error as? RestoreError)?.cause as? ArchiveError ?? error as? ArchiveError)?.code == .endUnproven
            }
        }
    }

    @Test func aDamagedObjectOfOursIsANamedErrorAndStaysAsItIs() async throws {
        try await withTemporaryDirectory { scratch in
            let store = MemoryObjectStore()
            _ = try write("\(scratch)/log", records: 0..<10)
            _ = try await ship("\(scratch)/log", to: store)
            _ = try write("\(scratch)/log", records: 10..<80)
            let slot = try #require(store.contents.keys.first { $0.path.contains("/tail/") })
            let epoch = slot.path.split(separator: "/")[2]
            let key = ObjectKey("orders/segments/\(epoch)/00000000000000000000.zst")
            store.plant(key, [1, 2, 3])
            await #expect {
                _ = try await ship("\(scratch)/log", to: store)
            } throws: { error in
                guard case .archive(let cause) = error as? ShipperError else { return false }
                return cause.code == .unsupported && cause.key == key && cause.description.contains("immutable")
            }
            #expect(store.contents[key] == [1, 2, 3])
            #expect(try truncatedHead("\(scratch)/log") == .zero)
        }
    }

    @Test func theStoreItselfRefusesByName() async throws {
        let base = MemoryObjectStore()
        let store = ImmutableStore(base)
        let key = ObjectKey("a/b")
        try await store.replace(key, [1])
        try await store.replace(key, [1])
        await #expect { try await store.replace(key, [2]) } throws: { ($0 as? ArchiveError)?.code == .unsupported }
        await #expect { try await store.delete(key) } throws: { ($0 as? ArchiveError)?.code == .unsupported }
        #expect(base.contents == [key: [1]])
        #expect(base.count(of: .replace) + base.count(of: .delete) == 0)
    }

    /// Over HTTP, with a server that refuses DELETE and MOVE: shipping and its probe ask for neither, and never put over what is there.
    @Test func overHTTPNothingIsAskedForThatSuchAStoreRefuses() async throws {
        let server = try FaultServer { request in
            ["DELETE", "MOVE"].contains(request.method) ? .respond(403) : .store
        }
        defer { server.stop() }
        var settings = HTTPSettings()
        settings.proxy = ""
        settings.keepsProbes = true
        let store = try HTTPStore(base: server.url + "/base", settings: settings)
        try await withTemporaryDirectory { scratch in
            for round in 0..<3 {
                _ = try write("\(scratch)/log", records: round * 30..<(round + 1) * 30)
                _ = try await ship("\(scratch)/log", to: store)
            }
        }
        #expect(!server.requests.contains { ["DELETE", "MOVE"].contains($0.method) })
        // Whatever was put was put on the condition that nothing was there, but for the probe's questions.
        let puts = server.requests.filter { $0.method == "PUT" && !$0.path.contains("/.probe/") }
        #expect(!puts.isEmpty)
        #expect(puts.allSatisfy { $0.header("If-None-Match") == "*" })
        #expect(server.store.objects.keys.count { $0.contains("/.probe/") } <= 5, "few small objects stay")
        await store.shutdown()
    }
}
