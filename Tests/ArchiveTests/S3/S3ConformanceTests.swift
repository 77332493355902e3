import Archive
import TestSupport
import Testing

/// The contract of `ObjectStore`, on S3-compatible servers.
@Suite(.seaweed, .moto) struct S3ConformanceTests {
    @Test(arguments: TestedStore.seaweed.checks)
    func seaweedKeepsTheContract(_ check: StoreCheck) async throws {
        try await check.run(on: s3Store(#require(SeaweedTrait.server).url), as: .seaweed)
    }

    @Test(arguments: TestedStore.moto.checks)
    func motoKeepsTheContract(_ check: StoreCheck) async throws {
        try await check.run(on: s3Store(#require(MotoTrait.server).url), as: .moto)
    }

    @Test(arguments: TestedStore.rcloneS3.checks)
    func rcloneKeepsTheContract(_ check: StoreCheck) async throws {
        let server = try await RcloneServer.start(.s3)
        try await check.run(on: s3Store(server.url), as: .rcloneS3)
    }
}
