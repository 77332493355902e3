import Archive
import TestSupport
import Testing

/// Gives a suite a SeaweedFS of its own, started once before its first test and ended after the last: it takes three seconds to start.
struct SeaweedTrait: SuiteTrait, TestScoping {
    @TaskLocal static var server: SeaweedServer?

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void) async throws {
        let server = try await SeaweedServer.start()
        defer { server.stop() }
        try await Self.$server.withValue(server) { try await function() }
    }
}

/// The same with a moto.
struct MotoTrait: SuiteTrait, TestScoping {
    @TaskLocal static var server: MotoServer?

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void) async throws {
        let server = try await MotoServer.start()
        defer { server.stop() }
        try await Self.$server.withValue(server) { try await function() }
    }
}

extension Trait where Self == SeaweedTrait {
    static var seaweed: Self { Self() }
}

extension Trait where Self == MotoTrait {
    static var moto: Self { Self() }
}

/// A store on a server, with its key unless others are given.
func s3Store(
    _ url: String, _ prefix: String = "base", bucket: String = SeaweedServer.bucket, key: SeaweedServer.Key = SeaweedServer.key,
    _ configure: (inout S3Settings) -> Void = { _ in }, http change: (inout HTTPSettings) -> Void = { _ in }
) throws -> S3Store {
    var http = HTTPSettings.direct
    change(&http)
    let credentials = try S3Credentials(accessKeyID: key.id, secretAccessKey: key.secret)
    var settings = S3Settings { () throws(ArchiveError) in credentials }
    settings.endpoint = url
    configure(&settings)
    return try S3Store(try #require(S3Place(bucket: bucket, prefix: prefix)), settings: settings, http: http)
}
