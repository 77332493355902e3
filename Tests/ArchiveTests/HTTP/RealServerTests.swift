import Foundation
import TestSupport
import Testing

@testable import Archive

/// The store on servers that people run.
@Suite struct RealServerTests {
    private func store(_ base: String, _ change: (inout HTTPSettings) -> Void = { _ in }) throws -> HTTPStore {
        var settings = HTTPSettings()
        settings.proxy = ""
        change(&settings)
        return try HTTPStore(base: base, settings: settings)
    }

    /// Everything that the contract promises, on `store`, whose files lie in `root`.
    private func walk(_ store: HTTPStore, root: String) async throws {
        let key = ObjectKey("log/segments/0000000001-00ff/00000000000000000000.zst")
        let bytes = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
        #expect(try await store.head(key) == nil)
        #expect(try await store.create(key, bytes) == .created)
        #expect(try await store.create(key, [1]) == .exists)
        #expect(FileManager.default.contents(atPath: "\(root)/base/\(key)").map { Array($0) } == bytes)
        #expect(try await store.head(key)?.size == 5_000_000)
        #expect(try await store.get(key, range: nil, limit: 5_000_000) == bytes)
        #expect(await failure { try await store.get(key, range: nil, limit: 4_999_999) }?.code == .refused(status: 200))
        #expect(try await store.get(key, range: 0..<1, limit: 1) == [bytes[0]])
        #expect(try await store.get(key, range: 4_999_990..<6_000_000, limit: 100) == Array(bytes.suffix(10)))
        #expect(try await store.get(key, range: 5_000_000..<5_000_001, limit: 100) == [])
        #expect(try await store.get(key, range: 9_000_000..<9_000_001, limit: 100) == [])
        // An empty object under a name of its own: lighttpd 1.4.69 goes on showing the old size for a while when an empty PUT
        // replaces something.
        let empty = ObjectKey("log/segments/empty")
        #expect(try await store.create(empty, []) == .created)
        #expect(try await store.head(empty)?.size == 0)
        #expect(try await store.get(empty, range: nil, limit: 0) == [])
        #expect(try await store.get(empty, range: 0..<10, limit: 10) == [])
        try await store.delete(empty)
        try await store.replace(key, [1, 2, 3])
        #expect(try await store.get(key, range: nil, limit: 3) == [1, 2, 3])

        let collection = ObjectKey("log/epochs/0000000001")
        #expect(try await store.makeCollection(collection) == .created)
        #expect(try await store.makeCollection(collection) == .exists)
        _ = try await store.create(ObjectKey("log/log.json"), [7])
        #expect(try await store.list(ObjectKey("log")) == [ObjectKey("log/log.json"), key])
        #expect(try await store.list(ObjectKey("log/nothing")) == [])
        #expect(await failure { try await store.get(ObjectKey("log/nothing"), range: nil, limit: 9) }?.code == .notFound)

        try await store.delete(key)
        try await store.delete(key)
        try await store.delete(ObjectKey("no/parent/either"))
        #expect(try await store.head(key) == nil)
        #expect(try await store.list(ObjectKey("log")) == [ObjectKey("log/log.json")])
    }

    /// Of several rivals for one collection exactly one makes it.
    private func race(_ store: HTTPStore) async throws {
        for round in 0..<5 {
            let outcomes = try await withThrowingTaskGroup(of: CreateOutcome.self) { group in
                for _ in 0..<8 { group.addTask { try await store.makeCollection(ObjectKey("race/\(round)")) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.filter { $0 == .created }.count == 1, "round \(round)")
        }
    }

    private func leftovers(_ root: String) -> [String] {
        (FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []).sorted()
    }

    @Test(arguments: [true, false])
    func nginxHoldsAnArchive(_ createsParents: Bool) async throws {
        var options = NginxServer.Options()
        options.createsParents = createsParents
        let nginx = try await NginxServer.start(options)
        let store = try store(nginx.url + "/base")
        let found = try await store.probe(prefix: ObjectKey("log/.probe"))
        #expect(found == [.probed, .exclusiveCollections, .cutUploadsInvisible, .list, .move, .rangeGet])
        #expect(leftovers(nginx.root) == ["base", "base/log", "base/log/.probe"])
        try await walk(store, root: nginx.root)
        try await race(store)
        await store.shutdown()
    }

    @Test func nginxWorksWithoutAProbeAndByMovingToo() async throws {
        let nginx = try await NginxServer.start()
        try await walk(try store(nginx.url + "/base"), root: nginx.root)
        let moving = try store(nginx.url + "/base")
        try await moving.delete(ObjectKey("log/log.json"))
        await moving.assume([.probed, .list, .move, .rangeGet, .exclusiveCollections])
        let other = try await NginxServer.start()
        let fresh = try store(other.url + "/base")
        await fresh.assume([.probed, .list, .move, .rangeGet, .exclusiveCollections])
        try await walk(fresh, root: other.root)
        #expect(!leftovers(other.root).contains { $0.contains(".tmp-") })
    }

    @Test func lighttpdHoldsAnArchive() async throws {
        let lighttpd = try await LighttpdServer.start()
        let store = try store(lighttpd.url + "/base")
        let found = try await store.probe(prefix: ObjectKey("log/.probe"))
        #expect(found == [.probed, .conditionalCreate, .exclusiveCollections, .cutUploadsInvisible, .list, .move, .rangeGet])
        #expect(leftovers(lighttpd.root) == ["base", "base/log", "base/log/.probe"])
        try await walk(store, root: lighttpd.root)
        try await race(store)
    }

    @Test func lighttpdByMoving() async throws {
        let lighttpd = try await LighttpdServer.start()
        let store = try store(lighttpd.url + "/base")
        await store.assume([.probed, .list, .move, .rangeGet])
        try await walk(store, root: lighttpd.root)
        #expect(!leftovers(lighttpd.root).contains { $0.contains(".tmp-") })
    }

    @Test func ofManyCreatesOnLighttpdOneWins() async throws {
        let lighttpd = try await LighttpdServer.start()
        let store = try store(lighttpd.url)
        await store.assume([.probed, .conditionalCreate, .cutUploadsInvisible])
        for round in 0..<10 {
            let outcomes = try await withThrowingTaskGroup(of: CreateOutcome.self) { group in
                for rival in UInt8(0)..<8 { group.addTask { try await store.create(ObjectKey("race-\(round)"), [rival]) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.filter { $0 == .created }.count == 1, "round \(round)")
        }
    }

    @Test func aBodyLimitIsNamed() async throws {
        var options = NginxServer.Options()
        options.bodyMax = "1m"
        let nginx = try await NginxServer.start(options)
        let error = await failure { try await store(nginx.url).replace(ObjectKey("x"), [UInt8](repeating: 1, count: 3 << 20)) }
        #expect(error?.code == .tooLarge)
        #expect(error?.outcome == .notDone)
        #expect(error?.hint?.contains("client_max_body_size") == true)
    }

    @Test func basicCredentialsOpenTheDoor() async throws {
        var options = NginxServer.Options()
        options.user = ("anna", "p@ss word")
        let nginx = try await NginxServer.start(options)
        let error = await failure { try await store(nginx.url).replace(ObjectKey("x"), [1]) }
        #expect(error?.code == .unauthorized(status: 401))
        let open = try store(nginx.url) { $0.credentials = { .basic(user: "anna", password: "p@ss word") } }
        try await open.replace(ObjectKey("x"), [1])
        #expect(try await open.get(ObjectKey("x"), range: nil, limit: 1) == [1])
    }

    @Test func aServerWithoutPutIsNamed() async throws {
        var options = NginxServer.Options()
        options.dav = false
        let nginx = try await NginxServer.start(options)
        let store = try store(nginx.url)
        #expect(await failure { try await store.create(ObjectKey("x"), [1]) }?.code == .unsupported)
        #expect(await failure { try await store.probe(prefix: ObjectKey("log/.probe")) }?.code == .unsupported)
        #expect(await failure { try await store.makeCollection(ObjectKey("x")) }?.code == .unsupported)
    }

    @Test func anArchiveOverTLSAndHTTP2() async throws {
        var options = NginxServer.Options()
        options.tls = true
        let nginx = try await NginxServer.start(options)
        let store = try store(nginx.url + "/base") {
            $0.caFile = nginx.caFile
            $0.http2 = true
        }
        #expect(try await store.probe(prefix: ObjectKey("log/.probe")).contains([.cutUploadsInvisible, .list, .move]))
        try await walk(store, root: nginx.root)
    }

    @Test func aServerThatIsKilledAndComesBackIsServedAgain() async throws {
        let nginx = try await NginxServer.start()
        let store = try store(nginx.url)
        try await store.replace(ObjectKey("x"), [1])
        nginx.stop()
        #expect(nginx.process.exit == .signalled(9))
        let error = await failure { try await store.replace(ObjectKey("x"), [2]) }
        #expect(error?.code == .unreachable)
        #expect(error?.isRetryable == true)
    }
}
