import Archive
import TestSupport
import Testing

/// The examples of Config/servers work as they stand.
@Suite struct ServerExampleTests {
    private func store(_ server: ExampleServer, _ credentials: Credentials?) throws -> HTTPStore {
        var settings = HTTPSettings.direct
        settings.caFile = server.caFile
        if let credentials { settings.credentials = { credentials } }
        return try HTTPStore(base: server.url, settings: settings)
    }

    @Test(arguments: [(ExampleServer.Kind.nginx, TestedStore.nginx), (.apache, .apache), (.lighttpd, .lighttpd)])
    func anExampleHoldsAnArchive(_ kind: ExampleServer.Kind, _ tested: TestedStore) async throws {
        let server = try await ExampleServer.start(kind)
        let store = try store(server, .basic(user: ExampleServer.user.name, password: ExampleServer.user.password))
        let found = try await store.probe(prefix: ObjectKey("log/.probe"))
        #expect(found.subtracting(tested.uncertain) == tested.capabilities.subtracting(tested.uncertain))
        // Larger than what these servers take when nobody tells them.
        let bytes = [UInt8](repeating: 9, count: 3 << 20)
        let key = ObjectKey("log/segments/0000000001-00ff/00000000000000000000.zst")
        #expect(try await store.create(key, bytes) == .created)
        #expect(try await store.create(key, [1]) == .exists)
        #expect(try await store.get(key, range: nil, limit: 4 << 20) == bytes)
        #expect(try await store.list(ObjectKey("log")) == [key])
        let stranger = try self.store(server, nil)
        for error in [
            await failure({ try await stranger.get(key, range: nil, limit: 4 << 20) }), await failure({ try await stranger.replace(key, [1]) }),
            await failure({ try await stranger.delete(key) }),
        ] {
            #expect(error?.code == .unauthorized(status: 401) && error?.outcome == .notDone)
        }
        try await store.delete(key)
    }
}
