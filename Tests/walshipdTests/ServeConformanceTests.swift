import Archive
import Foundation
import TestSupport
import Testing

/// The contract of `ObjectStore` on the embedded archive server, through the store that clients use.
@Suite struct ServeConformanceTests {
    @Test(arguments: StoreCheck.all)
    func serveKeepsTheContract(_ check: StoreCheck) async throws {
        try await withTemporaryDirectory { scratch in
            let root = scratch + "/root"
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: false)
            let server = try ChildProcess(
                Program.walshipd, ["serve", "--root", root, "--listen", "127.0.0.1:0"], in: scratch,
                environment: ["SWIFT_BACKTRACE": "enable=no"])
            try await waitUntil("the server prints where it listens; \(server.tail)") { server.standardOutput.contains("\n") }
            let url = try #require(server.standardOutput.split(separator: "\n").first?.split(separator: " ").last)
            try await check.run(on: HTTPStore(base: url + "/base", settings: .direct), as: .serve)
        }
    }

    /// Empty directories are no objects, so a listing does not show them: twelve a probe would pile up.
    @Test func aProbeLeavesNoDirectoryBehind() async throws {
        try await withTemporaryDirectory { scratch in
            let server = try await ServeProcess(root: "\(scratch)/root", in: scratch)
            let found = try await HTTPStore(base: "\(server.url)/base", settings: .direct).probe(prefix: ObjectKey("log/.probe"))
            #expect(found.contains(.exclusiveCollections))
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(scratch)/root/base/log/.probe") == [])
            #expect(try await server.stop().code == 0)
        }
    }
}
