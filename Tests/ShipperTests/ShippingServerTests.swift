import Archive
import Foundation
import Testing
import TestSupport
import WAL

@testable import Shipper

/// The same path to a directory and to real servers.
@Suite struct ShippingServerTests {
    private func shipAndCompare(_ scratch: String, to store: any ObjectStore) async throws {
        let bench = try ShipBench(scratch)
        defer { try? bench.log.close() }
        let first = try bench.write(60)
        var settings = ShipBench.settings()
        settings.retain = 1 << 40
        _ = try await bench.shipOnce(to: store, settings: settings)
        let end = try bench.write(60, seed: 2)
        let shipper = bench.shipper(to: store, settings: settings)
        let running = Task { try await shipper.run() }
        try await eventually("archived") { shipper.status.archived == end }
        shipper.finish()
        try await running.value
        #expect(first < end)
        #expect(try await ShipBench.archived(store).contiguous() == bench.bytes(.zero..<end))
    }

    @Test func toADirectory() async throws {
        try await withTemporaryDirectory { scratch in
            try await shipAndCompare(scratch, to: try DirectoryStore(root: "\(scratch)/archive"))
        }
    }

    @Test func toNginx() async throws {
        let server = try await NginxServer.start()
        try await withTemporaryDirectory { scratch in
            try await shipAndCompare(scratch, to: try HTTPStore(base: "\(server.url)/base"))
        }
    }

    @Test func toLighttpd() async throws {
        let server = try await LighttpdServer.start()
        try await withTemporaryDirectory { scratch in
            try await shipAndCompare(scratch, to: try HTTPStore(base: "\(server.url)/base"))
        }
    }
}
