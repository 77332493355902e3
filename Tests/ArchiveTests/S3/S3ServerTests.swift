import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Archive

/// The S3 store on a SeaweedFS that checks what it is sent.
@Suite(.seaweed) struct S3ServerTests {
    private func server() throws -> SeaweedServer { try #require(SeaweedTrait.server) }

    private let key = ObjectKey("log/segments/0000000001-00ff/00000000000000000000.zst")

    @Test func wrongSecretsAndUnknownKeysAreRefusedSoSignaturesAreChecked() async throws {
        let wrong = try s3Store(server().url, "wrong", key: .init(id: "testkey", secret: "testsecreT"))
        let unknown = try s3Store(server().url, "wrong", key: .init(id: "nobody", secret: "testsecret"))
        for (store, code) in [(wrong, "SignatureDoesNotMatch"), (unknown, "InvalidAccessKeyId")] {
            for error in [
                await failure({ try await store.replace(key, [1]) }), await failure({ try await store.get(key, range: nil, limit: 1) }),
                await failure({ try await store.head(key) }), await failure({ try await store.list(ObjectKey("log")) }),
                await failure({ try await store.delete(key) }), await failure({ try await store.probe(prefix: ObjectKey("log/.probe")) }),
            ] {
                #expect(error?.code == .unauthorized(status: 403))
                #expect(error?.message.contains(code) == true && error?.hint != nil, "\(String(describing: error))")
                #expect(error?.outcome == .notDone)
                #expect(error?.description.contains("testsecre") == false)
            }
        }
        #expect(try await s3Store(server().url, "wrong").head(key) == nil)
    }

    /// What libcurl's own signing gets wrong, in paths and in the query of a listing. No backslash: SeaweedFS stores it and does not list it.
    @Test(arguments: ["a=b*(c+d~e é ü %", "x&y'z\"<>", "-._~!$@:,;[]^`{|}", "%25 %2F+", "日本/語", "trailing /.y"])
    func everyCharacterOfAPrefixIsSignedAsItIsSent(_ prefix: String) async throws {
        let store = try s3Store(server().url, "awkward/\(prefix)")
        #expect(try await store.create(key, [1, 2, 3]) == .created)
        #expect(try await store.create(key, [4]) == .exists)
        try await store.replace(key, [1, 2, 3])
        #expect(try await store.get(key, range: 1..<2, limit: 1) == [2])
        #expect(try await store.head(key)?.size == 3)
        #expect(try await store.list(ObjectKey("log")) == [key])
        try await store.delete(key)
        #expect(try await store.list(ObjectKey("log")) == [])
    }

    @Test func aMissingBucketIsNamedAndNeverAnAbsentObject() async throws {
        func store() throws -> S3Store { try s3Store(server().url, bucket: "nowhere") }
        for error in [
            await failure({ try await store().get(key, range: nil, limit: 1) }), await failure({ try await store().get(key, range: 0..<1, limit: 1) }),
            await failure({ try await store().head(key) }), await failure({ try await store().create(key, [1]) }),
            await failure({ try await store().replace(key, [1]) }), await failure({ try await store().list(ObjectKey("log")) }),
            await failure({ try await store().probe(prefix: ObjectKey("log/.probe")) }),
        ] {
            #expect(error?.code == .refused(status: 404), "\(String(describing: error))")
            #expect(error?.message.contains("NoSuchBucket") == true && error?.hint?.contains("nowhere") == true)
        }
    }

    @Test func whatAKeyMayNotDoIsNamed() async throws {
        let store = try s3Store(server().url, "rights", key: SeaweedServer.reader)
        let error = await failure { try await store.replace(key, [1]) }
        #expect(error?.code == .unauthorized(status: 403))
        #expect(error?.message.contains("AccessDenied") == true && error?.hint?.contains("s3:PutObject") == true)
        #expect(try await store.head(key) == nil)
    }

    private func store(
        now: @escaping @Sendable () -> Int, pageKeys: Int = 1000, _ credentials: @escaping @Sendable () throws(ArchiveError) -> S3Credentials
    ) throws -> S3Store {
        var settings = S3Settings(credentials: credentials)
        settings.endpoint = try server().url
        var http = HTTPSettings()
        http.proxy = ""
        return try S3Store(
            #require(S3Place(bucket: SeaweedServer.bucket, prefix: "made")), settings: settings, http: http, listingPageKeys: pageKeys,
            random: { 7 }, now: now)
    }

    private static let good: @Sendable () throws(ArchiveError) -> S3Credentials = { () throws(ArchiveError) in
        try S3Credentials(accessKeyID: SeaweedServer.key.id, secretAccessKey: SeaweedServer.key.secret)
    }

    private static var clock: Int { Int(Date().timeIntervalSince1970) }

    @Test func aClockThatIsWrongIsNamedWithHowMuch() async throws {
        for (shift, words) in [(1800, "ahead of"), (-1800, "behind")] {
            let store = try store(now: { Self.clock + shift }, Self.good)
            for error in [
                await failure({ try await store.replace(key, [1]) }), await failure({ try await store.get(key, range: nil, limit: 1) }),
                await failure({ try await store.head(key) }),
            ] {
                #expect(error?.code == .unauthorized(status: 403))
                let hint = error?.hint ?? ""
                #expect(hint.contains("set the clock") && hint.contains(words), "\(String(describing: error))")
                #expect([1799, 1800, 1801, 1802].contains { hint.contains("\($0) s") }, "\(hint)")
            }
        }
    }

    /// Keys that are changed where they stand: refused once, read again, and the request is made once more. The same keys are not tried twice.
    @Test func refusedCredentialsAreReadAgainAndTriedOnceMore() async throws {
        let asked = Mutex(0)
        let rotating: @Sendable () throws(ArchiveError) -> S3Credentials = { () throws(ArchiveError) in
            let count = asked.withLock { count in
                count += 1
                return count
            }
            return try S3Credentials(accessKeyID: "testkey", secretAccessKey: count == 1 ? "yesterday" : "testsecret")
        }
        let store = try store(now: { Self.clock }, rotating)
        #expect(try await store.head(ObjectKey("rotated")) == nil)
        #expect(asked.withLock { $0 } == 2)
        try await store.replace(ObjectKey("rotated"), [1])
        #expect(asked.withLock { $0 } == 2)
        try await store.delete(ObjectKey("rotated"))

        let stubborn = try self.store(now: { Self.clock }) { () throws(ArchiveError) in
            asked.withLock { $0 += 1 }
            return try S3Credentials(accessKeyID: "testkey", secretAccessKey: "yesterday")
        }
        _ = await failure { try await stubborn.replace(ObjectKey("rotated"), [1]) }
        #expect(asked.withLock { $0 } == 4)
    }

    /// Nothing is restarted and nobody is told: the keys in the file and those that the server knows change, one after the other.
    @Test func keysThatAreRotatedInTheirFileAreTakenUp() async throws {
        let server = try await SeaweedServer.start()
        try await withTemporaryDirectory { directory in
            let file = "\(directory)/credentials"
            func write(_ key: SeaweedServer.Key) throws {
                let text = "[default]\naws_access_key_id = other\naws_secret_access_key = other\n"
                    + "[archive]\naws_access_key_id = \(key.id)\naws_secret_access_key = \(key.secret)\n"
                try Data(text.utf8).write(to: URL(filePath: file), options: .atomic)
            }
            let source = S3CredentialSource(environment: ["AWS_SHARED_CREDENTIALS_FILE": file, "AWS_PROFILE": "archive"])
            let store = try s3Store(server.url, "rotated", { $0.credentials = { () throws(ArchiveError) in try source.read() } })
            try write(SeaweedServer.key)
            try await store.replace(key, [1])

            let new = SeaweedServer.Key(id: "testkey", secret: "rotated")
            try server.know([new])
            try await waitUntil("the server refuses the old secret") {
                do throws(ArchiveError) {
                    try await store.replace(key, [2])
                    return false
                } catch {
                    #expect(error.code == .unauthorized(status: 403) && error.message.contains("SignatureDoesNotMatch"))
                    return true
                }
            }
            // Written, but not yet readable: both are told.
            try FileManager.default.removeItem(atPath: file)
            #expect(await failure { try await store.replace(key, [2]) }?.message.contains("cannot be read again") == true)
            try write(new)
            try await store.replace(key, [3])
            #expect(try await store.get(key, range: nil, limit: 1) == [3])
        }
    }

    @Test func listingsBeyondAThousandKeysAreComplete() async throws {
        let store = try s3Store(server().url, "thousand")
        await store.assume(TestedStore.seaweed.capabilities)
        let keys = (0..<1003).map { ObjectKey("log/segments/\(1000 + $0)") }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for key in keys { group.addTask { try await store.replace(key, [1]) } }
            try await group.waitForAll()
        }
        #expect(try await store.list(ObjectKey("log")) == keys)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for key in keys { group.addTask { try await store.delete(key) } }
            try await group.waitForAll()
        }
    }

    @Test func aWholeBucketIsAPlaceToo() async throws {
        let store = try s3Store(server().url, "")
        #expect(store.name == "s3://archive")
        let key = ObjectKey("whole-bucket/object")
        #expect(try await store.create(key, [1, 2]) == .created)
        #expect(try await store.create(key, [3]) == .exists)
        #expect(try await store.get(key, range: 1..<2, limit: 1) == [2])
        #expect(try await store.list(ObjectKey("whole-bucket")) == [key])
        try await store.delete(key)
        #expect(try await store.list(ObjectKey("whole-bucket")) == [])
    }

    @Test func listingsOfManyPagesAreComplete() async throws {
        let store = try store(now: { Self.clock }, pageKeys: 3, Self.good)
        let keys = (0..<10).map { ObjectKey("pages/\($0 % 3)/\($0)") }
        for key in keys { #expect(try await store.create(key, [1]) == .created) }
        try await store.replace(ObjectKey("pages.not"), [1])
        #expect(try await store.list(ObjectKey("pages")) == keys.sorted())
        #expect(try await store.list(ObjectKey("pages/1")) == keys.filter { $0.path.hasPrefix("pages/1/") }.sorted())
        #expect(try await store.list(ObjectKey("page")) == [])
        for key in keys { try await store.delete(key) }
    }

    @Test(arguments: S3Settings.PayloadSigning.allCases)
    func everyWayOfSigningThePayloadIsTaken(_ payload: S3Settings.PayloadSigning) async throws {
        let store = try s3Store(server().url, "payload-\(payload)") { $0.payloadSigning = payload }
        await store.assume([.probed, .conditionalCreate, .cutUploadsInvisible, .verifiesChecksum, .checksumCRC32C, .list, .rangeGet])
        let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
        #expect(try await store.create(key, bytes) == .created)
        #expect(try await store.create(key, bytes) == .exists)
        #expect(try await store.get(key, range: nil, limit: bytes.count) == bytes)
    }

    @Test func tlsWithItsOwnAuthorityAndAnUnsignedPayload() async throws {
        let server = try await SeaweedServer.start(tls: true)
        for http2 in [false, true] {
            let store = try s3Store(
                server.url, "http2-\(http2)",
                http: {
                    $0.caFile = server.caFile
                    $0.http2 = http2
                })
            #expect(try await store.create(key, [UInt8](repeating: 7, count: 1_000_000)) == .created)
            #expect(try await store.list(ObjectKey("log")) == [key])
        }
        let store = try s3Store(server.url, http: { $0.caFile = server.caFile })
        #expect(try await store.probe(prefix: ObjectKey("log/.probe")).contains([.conditionalCreate, .verifiesChecksum, .checksumCRC32C]))
        let credentials = try Self.good()
        let sent = store.signed(store.putRequest(key, [1, 2], onlyIfAbsent: true), credentials, key)
        #expect(sent.headers.contains(HTTPHeader("x-amz-content-sha256", "UNSIGNED-PAYLOAD")))
        #expect(try await store.create(key, [1, 2]) == .created)
        #expect(try await store.get(key, range: nil, limit: 2) == [1, 2])
        let distrustful = try s3Store(server.url)
        #expect(await failure { try await distrustful.head(key) }?.code == .unreachable)
    }

    @Test func virtualHostStyleIsSignedForItsOwnHost() async throws {
        let url = try server().url.replacing("127.0.0.1", with: "localhost")
        let store = try s3Store(url, "virtual") { $0.addressing = .virtualHost }
        #expect(store.address.origin.hasPrefix("http://archive.localhost:"))
        try await store.replace(key, [1])
        #expect(try await store.list(ObjectKey("log")) == [key])
        #expect(try await s3Store(server().url, "virtual").get(key, range: nil, limit: 1) == [1])
    }
}
