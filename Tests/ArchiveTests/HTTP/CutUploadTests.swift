import TestSupport
import Testing

@testable import Archive

/// Uploads that are cut in the middle, on real servers and through a relay that cuts them.
@Suite(.seaweed, .moto) struct CutUploadTests {
    enum Server: CaseIterable, Sendable { case nginx, apache, lighttpd, rcloneWebDAV, seaweed, rcloneS3, moto }

    /// A store behind a relay, and what must live as long as it is used.
    private struct Bench {
        let store: any ObjectStore
        let relay: CuttingRelay
        let server: AnyObject
    }

    private func bench(_ server: Server) async throws -> Bench {
        func dav(_ server: AnyObject, _ port: UInt16, _ tested: TestedStore) async throws -> Bench {
            let relay = try CuttingRelay(to: port)
            let store = try HTTPStore(base: relay.url + "/base", settings: .direct)
            await store.assume(tested.capabilities)
            return Bench(store: store, relay: relay, server: server)
        }
        func s3(_ server: AnyObject, _ port: UInt16, _ tested: TestedStore) async throws -> Bench {
            let relay = try CuttingRelay(to: port)
            let store = try s3Store(relay.url, "cut")
            await store.assume(tested.capabilities.subtracting(tested.uncertain))
            return Bench(store: store, relay: relay, server: server)
        }
        switch server {
        case .nginx:
            let nginx = try await NginxServer.start()
            return try await dav(nginx, nginx.port, .nginx)
        case .apache:
            let apache = try await ApacheServer.start()
            return try await dav(apache, apache.port, .apache)
        case .lighttpd:
            let lighttpd = try await LighttpdServer.start()
            return try await dav(lighttpd, lighttpd.port, .lighttpd)
        case .rcloneWebDAV:
            let rclone = try await RcloneServer.start(.webDAV)
            return try await dav(rclone, rclone.port, .rcloneWebDAV)
        case .seaweed:
            let seaweed = try #require(SeaweedTrait.server)
            return try await s3(seaweed, seaweed.port, .seaweed)
        case .rcloneS3:
            let rclone = try await RcloneServer.start(.s3)
            return try await s3(rclone, rclone.port, .rcloneS3)
        case .moto:
            let moto = try #require(MotoTrait.server)
            return try await s3(moto, moto.port, .moto)
        }
    }

    /// Bytes that do not compress.
    private static func noise(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    /// No temporary name stays: what a cut upload leaves late is deleted with the next that succeeds.
    private func onlyRemains(_ key: ObjectKey, in bench: Bench, _ prefix: ObjectKey) async throws {
        try await waitUntil("only \(key) remains") {
            try await bench.store.replace(ObjectKey("other/object"), [1])
            return try await bench.store.list(prefix) == [key]
        }
    }

    /// Of all these servers one destroys what was there, where it is written to directly.
    @Test(arguments: Server.allCases, CuttingRelay.End.allCases)
    func aReplacementThatIsCutLeavesWhatWasThere(_ server: Server, _ end: CuttingRelay.End) async throws {
        let bench = try await bench(server)
        let key = ObjectKey("log-\(end)/heads/0000000001-00ff.json")
        let old = Self.noise(300_000, seed: 1)
        let new = Self.noise(400_000, seed: 2)
        try await bench.store.replace(key, old)
        for sent in [200_000, 399_000] {
            bench.relay.cut(after: sent, times: 2, end)
            let error = await failure { try await bench.store.replace(key, new) }
            bench.relay.cutNoMore()
            #expect(error?.code == .unreachable, "\(String(describing: error))")
            // The server may take its time to act on what it got.
            for _ in 0..<10 {
                try #expect(await bench.store.get(key, range: nil, limit: 1 << 20) == old)
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        try await bench.store.replace(key, new)
        #expect(try await bench.store.get(key, range: nil, limit: 1 << 20) == new)
        try await onlyRemains(key, in: bench, ObjectKey("log-\(end)"))
        try await bench.store.delete(key)
    }

    /// A truncated object does not stay, whatever the server keeps of the cut uploads.
    @Test(arguments: Server.allCases)
    func anObjectWhoseUploadsAreCutIsPublishedInTheEnd(_ server: Server) async throws {
        let bench = try await bench(server)
        let size: UInt64 = 1 << 19
        let object = try ObjectEncoder().encode(
            Self.noise(Int(size), seed: 3), SampleLog.metadata(0..<size, underFirst: true), level: 1)
        let cuts = object.bytes.count / 2
        bench.relay.cut(after: cuts)
        let relay = bench.relay
        let publisher = Publisher(store: bench.store, layout: Layout(log: try #require(LogName("cutlog")))) {
            CuttingPatience(relay: relay, cuts: [.closed, .reset], after: cuts, attemptsLeft: 10)
        }
        let published = try await publisher.publish(object)
        #expect(relay.cutCount == 3)
        #expect(try await bench.store.get(published.key, range: nil, limit: 1 << 20) == object.bytes)
        try await onlyRemains(published.key, in: bench, ObjectKey("cutlog"))
    }
}

/// Has the next attempt cut too, a few times.
private struct CuttingPatience: RetryWait {
    let relay: CuttingRelay
    var cuts: [CuttingRelay.End]
    let after: Int
    var attemptsLeft: Int

    mutating func wait(after error: ArchiveError) async throws(ArchiveError) {
        guard error.isRetryable, attemptsLeft > 0 else { throw error }
        attemptsLeft -= 1
        if let end = cuts.popLast() { relay.cut(after: after, end) }
    }
}
