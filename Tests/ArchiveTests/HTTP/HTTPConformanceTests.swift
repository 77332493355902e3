import Archive
import TestSupport
import Testing

/// The contract of `ObjectStore`, on real servers and over HTTP: each check has a server of its own.
@Suite struct HTTPConformanceTests {
    private func store(_ url: String) throws -> HTTPStore { try HTTPStore(base: url + "/base", settings: .direct) }

    @Test(arguments: TestedStore.nginx.checks, [true, false])
    func nginxKeepsTheContract(_ check: StoreCheck, _ createsParents: Bool) async throws {
        var options = NginxServer.Options()
        options.createsParents = createsParents
        let nginx = try await NginxServer.start(options)
        try await check.run(on: store(nginx.url), as: .nginx)
    }

    @Test(arguments: TestedStore.apache.checks)
    func apacheKeepsTheContract(_ check: StoreCheck) async throws {
        let apache = try await ApacheServer.start()
        try await check.run(on: store(apache.url), as: .apache)
    }

    @Test(arguments: TestedStore.lighttpd.checks)
    func lighttpdKeepsTheContract(_ check: StoreCheck) async throws {
        let lighttpd = try await LighttpdServer.start()
        try await check.run(on: store(lighttpd.url), as: .lighttpd)
    }

    @Test(arguments: TestedStore.rcloneWebDAV.checks)
    func rcloneKeepsTheContract(_ check: StoreCheck) async throws {
        let rclone = try await RcloneServer.start(.webDAV)
        try await check.run(on: store(rclone.url), as: .rcloneWebDAV)
    }

    /// A server that checks everything, one that shows cut uploads but can move, and one that can do nothing but PUT and GET.
    @Test(arguments: StoreCheck.all, [FaultStore.Traits.ideal, [.collections, .move, .propfind, .ranges, .showsCutUploads], []])
    func everyKindOfServerKeepsTheContract(_ check: StoreCheck, _ traits: FaultStore.Traits) async throws {
        let server = try FaultServer(traits)
        var expected: StoreCapabilities = []
        if traits.contains(.conditions) { expected.insert(.conditionalCreate) }
        if traits.contains(.collections) { expected.insert(.exclusiveCollections) }
        if traits.contains(.move) { expected.insert(.move) }
        if traits.contains(.propfind) { expected.insert(.list) }
        if traits.contains(.ranges) { expected.insert(.rangeGet) }
        if traits.contains(.checksums) { expected.insert(.verifiesChecksum) }
        if !traits.contains(.showsCutUploads) { expected.insert(.cutUploadsInvisible) }
        try await check.run(on: store(server.url), expecting: expected)
    }
}
