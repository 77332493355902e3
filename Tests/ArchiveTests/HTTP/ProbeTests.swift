import TestSupport
import Testing

@testable import Archive

@Suite struct ProbeTests {
    private func store(_ base: String) throws -> HTTPStore {
        var settings = HTTPSettings()
        settings.proxy = ""
        return try HTTPStore(base: base, settings: settings)
    }

    /// All combinations of what a server can do: each is found out, nothing is left behind.
    @Test func everyCombinationOfTraitsIsFoundOut() async throws {
        let pairs: [(FaultStore.Traits, StoreCapabilities)] = [
            (.conditions, .conditionalCreate), (.collections, .exclusiveCollections), (.move, .move), (.propfind, .list),
            (.ranges, .rangeGet),
            (.checksums, .verifiesChecksum),
        ]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for bits in 0..<(1 << (pairs.count + 1)) {
                group.addTask {
                    var traits: FaultStore.Traits = []
                    var expected: StoreCapabilities = .probed
                    for (index, pair) in pairs.enumerated() where bits & 1 << index != 0 {
                        traits.insert(pair.0)
                        expected.insert(pair.1)
                    }
                    if bits & 1 << pairs.count != 0 {
                        traits.insert(.showsCutUploads)
                    } else {
                        expected.insert(.cutUploadsInvisible)
                    }
                    // Without collections there is nothing that a PROPFIND could ask about.
                    if !traits.contains(.collections) { expected.remove(.list) }
                    let server = try FaultServer(traits)
                    let store = try store(server.url + "/base")
                    let found = try await store.probe(prefix: ObjectKey("log/.probe"))
                    #expect(found == expected, "traits \(traits.rawValue)")
                    #expect(await store.capabilities == expected)
                    #expect(server.store.objects.isEmpty, "traits \(traits.rawValue)")
                    #expect(server.store.collections.isSubset(of: ["/", "/base/", "/base/log/", "/base/log/.probe/"]))
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func aServerThatSaysYesAndStoresNothingIsCaught() async throws {
        let server = try FaultServer([.forgets, .collections])
        let store = try store(server.url)
        await #expect { _ = try await store.probe(prefix: ObjectKey("log/.probe")) } throws: {
            ($0 as? ArchiveError)?.code == .damaged
        }
        #expect(await store.capabilities == [])
    }

    @Test func wrongRangesAreNoRanges() async throws {
        let server = try FaultServer([.wrongRanges, .collections])
        #expect(try await store(server.url).probe(prefix: ObjectKey("log/.probe")).contains(.rangeGet) == false)
    }

    /// A store that is busy, closed to us or out of reach says nothing about what it can do: an error, not "it cannot".
    @Test(arguments: [401, 429, 502, 503, 504])
    func noAnswerIsNotTakenForANo(_ status: Int) async throws {
        for method in ["PUT", "MKCOL", "MOVE", "PROPFIND"] {
            // Of a MOVE it is one: see below.
            if status == 502, method == "MOVE" { continue }
            let server = try FaultServer { $0.method == method ? .respond(status) : .store }
            let store = try store(server.url)
            await #expect { _ = try await store.probe(prefix: ObjectKey("log/.probe")) } throws: { error in
                (error as? ArchiveError)?.code == (status == 401 ? .unauthorized(status: 401) : .busy(status: status))
            }
            #expect(await store.capabilities == [])
            #expect(server.store.objects.isEmpty, "\(method)")
        }
        let lost = try FaultServer { $0.method == "MOVE" ? .close : .store }
        await #expect { _ = try await store(lost.url).probe(prefix: ObjectKey("log/.probe")) } throws: {
            ($0 as? ArchiveError)?.code == .unreachable
        }
        #expect(lost.store.objects.isEmpty)
    }

    @Test func aStoreThatForbidsDeletingCanBeProbed() async throws {
        for status in [403, 405] {
            let server = try FaultServer { $0.method == "DELETE" ? .respond(status) : .store }
            #expect(try await store(server.url).probe(prefix: ObjectKey("log/.probe")).contains(.conditionalCreate))
        }
    }

    @Test func twoProbesAtOnceAgree() async throws {
        let server = try FaultServer()
        let expected: StoreCapabilities = [
            .probed, .conditionalCreate, .exclusiveCollections, .cutUploadsInvisible, .verifiesChecksum, .list, .move, .rangeGet,
        ]
        try await withThrowingTaskGroup(of: StoreCapabilities.self) { group in
            for _ in 0..<8 { group.addTask { try await store(server.url).probe(prefix: ObjectKey("log/.probe")) } }
            for try await found in group { #expect(found == expected) }
        }
        #expect(server.store.objects.isEmpty)
    }

    @Test func aCancelledProbeLeavesNothing() async throws {
        let server = try FaultServer { $0.method == "MOVE" ? .stall : .store }
        let store = try store(server.url)
        let task = Task { try await store.probe(prefix: ObjectKey("log/.probe")) }
        try await waitUntil("the probe is at its MOVE") { server.requests.last?.method == "MOVE" }
        task.cancel()
        await #expect { _ = try await task.value } throws: { ($0 as? ArchiveError)?.code == .cancelled }
        #expect(server.store.objects.isEmpty)
    }

    /// Behind a proxy that ends TLS a server takes the destination for another server's, for ever.
    @Test func aMoveThatIsABadGatewayIsNoMove() async throws {
        let server = try FaultServer { $0.method == "MOVE" ? .respond(502) : .store }
        let found = try await store(server.url).probe(prefix: ObjectKey("log/.probe"))
        #expect(found.contains([.list, .conditionalCreate]) && !found.contains(.move))
    }

    /// Eight rivals each got "created" from a store that refuses a second create: what counts are creates that come together.
    @Test(arguments: ["PUT", "MKCOL"]) func aStoreThatLetsSeveralRivalsWinIsNotTakenForAnExclusiveOne(_ method: String) async throws {
        let server = try FaultServer { request in
            // Everybody is told that they were first, except where somebody was there long before.
            request.method == method && request.path.contains(method == "PUT" ? "/race-" : "/taken-") ? .respond(201) : .store
        }
        let found = try await store(server.url).probe(prefix: ObjectKey("log/.probe"))
        #expect(found.contains(.conditionalCreate) == (method != "PUT"))
        #expect(found.contains(.exclusiveCollections) == (method != "MKCOL"))
    }

    /// A cut upload that destroys what was there shows as well.
    @Test func whatACutUploadDestroysIsSeen() async throws {
        let server = try FaultServer(.ideal.union(.showsCutUploads)) { request in
            request.method == "HEAD" && request.path.hasSuffix("/cut") ? .respond(404) : .store
        }
        #expect(try await !store(server.url).probe(prefix: ObjectKey("log/.probe")).contains(.cutUploadsInvisible))
    }
}
