import Synchronization
import TestSupport
import Testing
import WAL

@testable import Archive

/// A request that was given up, and arrives when somebody else's document is there, on servers that ignore conditions.
@Suite struct LateDocumentTests {
    private static let key = ObjectKey("orders/epochs/0000000001/claim.json")

    private func store(_ server: FaultServer) async throws -> HTTPStore {
        var settings = HTTPSettings()
        settings.proxy = ""
        let store = try HTTPStore(base: server.url + "/base", settings: settings)
        _ = try await store.probe(prefix: ObjectKey("orders/.probe"))
        return store
    }

    /// The first request of the method that makes the document gets no answer, and is kept for later.
    private final class Delay: Sendable {
        private let kept = Mutex<[FaultServer.Request]>([])
        private let method: String
        init(_ method: String) { self.method = method }

        func answer(_ request: FaultServer.Request) -> FaultServer.Reply {
            kept.withLock { kept in
                guard request.method == method, request.path.contains("claim.json"), kept.isEmpty else { return .store }
                kept.append(request)
                return .close
            }
        }
        func deliver(to server: FaultServer) -> Int {
            kept.withLock { kept in
                for request in kept { server.deliver(request) }
                return kept.count
            }
        }
    }

    @Test(arguments: ["PUT", "MOVE"]) func whereThereIsMoveItReplacesNothing(method: String) async throws {
        let delay = Delay(method)
        let server = try FaultServer([.collections, .move, .propfind, .ranges]) { delay.answer($0) }
        defer { server.stop() }
        let (first, second) = (try await store(server), try await store(server))
        let capabilities = await first.capabilities
        #expect(!capabilities.contains(.conditionalCreate) && capabilities.contains(.move))
        let error = await #expect(throws: ArchiveError.self) { try await first.create(Self.key, [1]) }
        #expect(error?.isRetryable == true)
        #expect(try await second.create(Self.key, [2]) == .created)
        #expect(delay.deliver(to: server) == 1)
        #expect(try await second.get(Self.key, range: nil, limit: 10) == [2])
        // Who gave up comes back, and finds the other's; what its late PUT left goes with the next document.
        #expect(try await first.create(Self.key, [1]) == .exists)
        #expect(try await first.create(ObjectKey("orders/log.json"), [3]) == .created)
        #expect(!server.store.objects.keys.contains { $0.contains(".tmp-") }, "\(server.store.objects.keys)")
        #expect(try await second.get(Self.key, range: nil, limit: 10) == [2])
        for store in [first, second] { await store.shutdown() }
    }

    /// Objects are put as always: three requests more for each would be too dear, and what replaces them is found and said.
    @Test func objectsAreNotMoved() async throws {
        let server = try FaultServer([.collections, .move, .propfind, .ranges])
        defer { server.stop() }
        let store = try await store(server)
        let before = server.requests.count
        _ = try await store.create(ObjectKey("orders/segments/1/0.zst"), [1])
        #expect(!server.requests[before...].contains { $0.method == "MOVE" })
        await store.shutdown()
    }

    /// Nothing closes it there, so it is said.
    @Test func whereThereIsNoneTheWeaknessNamesIt() async throws {
        for traits in [[.ranges], [.collections, .ranges]] as [FaultServer.Traits] {
            let delay = Delay("PUT")
            let server = try FaultServer(traits) { delay.answer($0) }
            defer { server.stop() }
            let (first, second) = (try await store(server), try await store(server))
            await #expect(throws: ArchiveError.self) { try await first.create(Self.key, [1]) }
            #expect(try await second.create(Self.key, [2]) == .created)
            #expect(delay.deliver(to: server) == 1)
            #expect(try await second.get(Self.key, range: nil, limit: 10) == [1], "the late one is there")
            let weakness = try #require(await first.capabilities.fencingWeakness)
            #expect(weakness.contains("a claim can be replaced by a late request"), "\(weakness)")
            for store in [first, second] { await store.shutdown() }
        }
    }
}
