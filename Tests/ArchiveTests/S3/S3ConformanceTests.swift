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

    /// One request at a time: rclone 1.75 answers 500 to some of several PUTs at once, and shows replacements while they are written:
    /// cut short, or half old and half new. What we replace are heads and the floor, whose readers take what they cannot read for absent or damaged.
    private static let oneByOne = StoreCheck.all.filter {
        !["oneOfEightRivalsCreates", "readersSeeWholeObjectsWhileTheyAreReplaced", "manyRequestsAtOnceDoNotMix"].contains($0.description)
    }

    @Test(arguments: oneByOne)
    func rcloneKeepsTheContract(_ check: StoreCheck) async throws {
        let server = try await RcloneServer.start()
        try await check.run(on: s3Store(server.url), expecting: [.cutUploadsInvisible, .verifiesChecksum, .list])
    }
}
