import Archive
import TestSupport
import Testing

/// The contract of `ObjectStore`, on S3-compatible servers.
@Suite(.seaweed) struct S3ConformanceTests {
    @Test(arguments: StoreCheck.all)
    func seaweedKeepsTheContract(_ check: StoreCheck) async throws {
        let server = try #require(SeaweedTrait.server)
        try await check.run(
            on: s3Store(server.url),
            expecting: [.conditionalCreate, .cutUploadsInvisible, .verifiesChecksum, .checksumCRC32C, .list, .rangeGet])
    }

    @Test(arguments: StoreCheck.all)
    func rcloneKeepsTheContract(_ check: StoreCheck) async throws {
        let server = try await RcloneServer.start()
        try await check.run(on: s3Store(server.url), expecting: [.cutUploadsInvisible, .verifiesChecksum, .list])
    }
}
