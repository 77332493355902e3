import Synchronization
import TestSupport
import Testing

@testable import Archive

/// What goes out, and what each answer of a store means.
@Suite struct S3ReplyTests {
    private let key = ObjectKey("log/object")

    private func document(_ code: String, _ message: String = "Because.", _ more: String = "") -> [UInt8] {
        Array("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>\(code)</Code><Message>\(message)</Message>\(more)</Error>".utf8)
    }

    private static let credentials: @Sendable () throws(ArchiveError) -> S3Credentials = { () throws(ArchiveError) in
        try S3Credentials(accessKeyID: "id", secretAccessKey: "secret", sessionToken: "token/+=")
    }

    private func store(
        _ server: FaultServer, http change: (inout HTTPSettings) -> Void = { _ in }, _ configure: (inout S3Settings) -> Void = { _ in }
    ) throws -> S3Store {
        var http = HTTPSettings()
        http.proxy = ""
        change(&http)
        var settings = S3Settings(credentials: Self.credentials)
        settings.endpoint = server.url
        configure(&settings)
        return try S3Store(#require(S3Place(bucket: "bucket", prefix: "p")), settings: settings, http: http)
    }

    @Test func aPutHasItsLengthItsConditionAndItsHashAndNothingThatServersRefuse() async throws {
        let server = try FaultServer { _ in .respond(200) }
        let store = try store(server) { $0.extraHeaders = [("X-Amz-Storage-Class", "STANDARD_IA"), ("X-Team", "orders")] }
        await store.assume([.probed, .conditionalCreate, .verifiesChecksum, .checksumCRC32C])
        #expect(try await store.create(key, Array("123456789".utf8)) == .created)
        let request = try #require(server.requests.first)
        #expect(request.method == "PUT" && request.target == "/bucket/p/log/object")
        #expect(request.header("content-length") == "9")
        for name in ["transfer-encoding", "content-range", "expect", "content-md5"] { #expect(request.header(name) == nil, "\(name)") }
        #expect(request.header("if-none-match") == "*")
        #expect(request.header("host") == "127.0.0.1:\(server.port)")
        #expect(request.header("x-amz-security-token") == "token/+=")
        // printf 123456789 | sha256sum; CRC-32C e3069283.
        #expect(request.header("x-amz-content-sha256") == "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225")
        #expect(request.header("x-amz-checksum-crc32c") == "4waSgw==")
        let authorization = try #require(request.header("authorization"))
        #expect(
            authorization.contains(
                "SignedHeaders=content-type;host;if-none-match;x-amz-checksum-crc32c;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-storage-class,"))
        await store.assume([.probed, .verifiesChecksum, .conditionalCreate])
        _ = try await store.create(key, Array("123456789".utf8))
        // printf 123456789 | openssl md5 -binary | base64
        #expect(server.requests.last?.header("content-md5") == "JfnnlDI7RTiF9RgfG2JNCw==")
    }

    /// The body's hash is dear: it is kept from attempt to attempt, and no longer.
    @Test func digestsAreKeptForRetriesAndForgottenAfterwards() async throws {
        let server = try FaultServer { $0.number < 2 ? .respond(503) : .respond(200) }
        let store = try store(server)
        await store.assume([.probed, .conditionalCreate])
        for kept in [1, 1, 0] {
            do throws(ArchiveError) { _ = try await store.create(key, [1, 2, 3]) } catch { #expect(error.code == .busy(status: 503)) }
            #expect(store.digests.count == kept)
        }
    }

    struct Meaning: Sendable, CustomStringConvertible {
        var description: String { "\(status) \(s3)" }
        var status: Int
        var s3: String
        var code: ArchiveError.Code
        var outcome = ArchiveError.Outcome.notDone
        var hint: String?
    }

    static let meanings = [
        Meaning(status: 403, s3: "AccessDenied", code: .unauthorized(status: 403), hint: "s3:ListBucket"),
        Meaning(status: 403, s3: "SignatureDoesNotMatch", code: .unauthorized(status: 403), hint: "secret"),
        Meaning(status: 403, s3: "RequestTimeTooSkewed", code: .unauthorized(status: 403), hint: "clock"),
        Meaning(status: 400, s3: "ExpiredToken", code: .unauthorized(status: 400), hint: "temporary"),
        Meaning(status: 404, s3: "NoSuchBucket", code: .refused(status: 404), hint: "bucket"),
        Meaning(status: 400, s3: "AuthorizationHeaderMalformed", code: .refused(status: 400), hint: "region to eu-west-7"),
        Meaning(status: 301, s3: "PermanentRedirect", code: .refused(status: 301), hint: "region to eu-west-7"),
        Meaning(status: 400, s3: "EntityTooLarge", code: .tooLarge), Meaning(status: 403, s3: "QuotaExceeded", code: .outOfSpace),
        Meaning(status: 503, s3: "SlowDown", code: .busy(status: 503), outcome: .unknown), Meaning(status: 429, s3: "TooManyRequests", code: .busy(status: 429)),
        Meaning(status: 400, s3: "BadDigest", code: .busy(status: 400)), Meaning(status: 400, s3: "RequestTimeout", code: .busy(status: 400), outcome: .unknown),
        Meaning(status: 409, s3: "ConditionalRequestConflict", code: .busy(status: 409)),
        Meaning(status: 500, s3: "InternalError", code: .busy(status: 500), outcome: .unknown),
        // S3 has begun to answer 200 before it knew.
        Meaning(status: 200, s3: "InternalError", code: .busy(status: 200), outcome: .unknown),
        Meaning(status: 200, s3: "SlowDown", code: .busy(status: 200), outcome: .unknown),
        Meaning(status: 403, s3: "InvalidObjectState", code: .refused(status: 403)), Meaning(status: 400, s3: "SomethingNew", code: .refused(status: 400)),
        Meaning(status: 507, s3: "", code: .outOfSpace, outcome: .unknown), Meaning(status: 411, s3: "MissingContentLength", code: .refused(status: 411)),
    ]

    @Test(arguments: meanings) func everyAnswerToAPutHasItsMeaning(_ meaning: Meaning) async throws {
        let body = document(meaning.s3, "Because.", "<Region>eu-west-7</Region>")
        let server = try FaultServer { request in
            request.method == "PUT" ? .respond(meaning.status, headers: [("Retry-After", "7")], body: body) : .respond(404)
        }
        let error = await failure { try await store(server).replace(key, [1]) }
        #expect(error?.code == meaning.code, "\(String(describing: error))")
        #expect(error?.outcome == meaning.outcome)
        #expect(error?.retryAfter == 7)
        if let hint = meaning.hint { #expect(error?.hint?.contains(hint) == true, "\(String(describing: error))") }
        #expect(error?.message.contains(meaning.s3) == true && error?.key == key)
    }

    @Test func anExistingObjectIsA412ToTheConditionOnly() async throws {
        let server = try FaultServer { $0.method == "HEAD" ? .respond(404) : .respond($0.method == "GET" ? 404 : 412, body: document("PreconditionFailed")) }
        #expect(try await store(server).create(key, [1]) == .exists)
        #expect(await failure { try await store(server).replace(key, [1]) }?.code == .refused(status: 412))
    }

    /// Stores are known that know no condition and say 501: there the look comes first, and the condition is left out from then on.
    @Test func aStoreThatRefusesTheConditionIsAskedWithoutIt() async throws {
        let server = try FaultServer { request in
            if request.method == "PUT" { return request.header("if-none-match") == nil ? .respond(200) : .respond(501, body: document("NotImplemented")) }
            return .respond(404, body: document("NoSuchKey"))
        }
        let store = try store(server)
        #expect(try await store.create(key, [1]) == .created)
        #expect(try await store.create(key, [1]) == .created)
        #expect(server.requests.filter { $0.method == "PUT" }.map { $0.header("if-none-match") } == ["*", nil, nil])
        // Each time a look, before it too.
        #expect(server.requests.filter { $0.method == "HEAD" }.count == 3)
    }

    @Test func aStoreThatSaysYesAndKeepsNothingIsFoundByTheProbe() async throws {
        let server = try FaultServer { $0.method == "PUT" ? .respond(200) : .respond(404, body: document("NoSuchKey")) }
        #expect(await failure { try await store(server).probe(prefix: ObjectKey("log/.probe")) }?.code == .damaged)
    }

    private func publish(_ object: EncodedObject, to server: FaultServer, _ capabilities: StoreCapabilities) async throws -> Published {
        let store = try store(server)
        await store.assume(capabilities)
        return try await Publisher(store: store, layout: Layout(log: #require(LogName("log")))) { SamplePatience(attemptsLeft: 5) }.publish(object)
    }

    /// Whatever is believed of it: a confirmed object that is not there is never published.
    @Test(arguments: [[.probed, .conditionalCreate, .verifiesChecksum, .checksumCRC32C], [.probed]] as [StoreCapabilities])
    func aStoreThatSaysYesAndKeepsNothingIsFoundByEachLook(_ capabilities: StoreCapabilities) async throws {
        let server = try FaultServer { $0.method == "PUT" ? .respond(200) : .respond(404, body: document("NoSuchKey")) }
        let object = try SampleLog.encode(4096..<8192)
        let error = await failure { try await publish(object, to: server, capabilities) }
        #expect(error?.code == .damaged && error?.hint?.contains("does not keep") == true, "\(String(describing: error))")
    }

    /// Undecided, overloaded, stored without saying so: in the end the object is there once, and known to be ours.
    @Test(arguments: ["ConditionalRequestConflict", "SlowDown", "RequestTimeout", "InternalError"], [false, true])
    func anObjectIsPublishedThroughRefusalsAndLostSuccesses(_ code: String, _ isStoredAllTheSame: Bool) async throws {
        let statuses = ["ConditionalRequestConflict": 409, "SlowDown": 503, "RequestTimeout": 400, "InternalError": 500]
        let status = try #require(statuses[code])
        let object = try SampleLog.encode(4096..<8192)
        let stored = Mutex<[UInt8]?>(nil)
        let puts = Mutex(0)
        let server = try FaultServer { request in
            guard request.method == "PUT" else {
                guard let bytes = stored.withLock({ $0 }) else { return .respond(404, body: document("NoSuchKey")) }
                return .respond(200, body: bytes)
            }
            let isFirst = puts.withLock { puts in
                puts += 1
                return puts == 1
            }
            if stored.withLock({ $0 }) != nil { return .respond(412, body: document("PreconditionFailed")) }
            if !isFirst || isStoredAllTheSame { stored.withLock { $0 = request.body } }
            return isFirst ? .respond(status, body: document(code)) : .respond(200)
        }
        let published = try await publish(object, to: server, [.probed, .conditionalCreate, .verifiesChecksum, .checksumCRC32C])
        #expect(published.how == (isStoredAllTheSame ? .adopted : .created))
        #expect(stored.withLock { $0 } == object.bytes)
    }

    /// A reply to a HEAD has no words: they are asked for by a GET of one byte.
    @Test func aRefusedHeadIsExplained() async throws {
        let server = try FaultServer { $0.method == "HEAD" ? .respond(403) : .respond(403, body: document("AccessDenied")) }
        let error = await failure { try await store(server).head(key) }
        #expect(error?.code == .unauthorized(status: 403) && error?.message.contains("AccessDenied") == true)
        #expect(server.requests.last?.header("range") == "bytes=0-0")
    }

    @Test func aMissingKeyIsNothingAndTheBucketIsAskedForOnce() async throws {
        let server = try FaultServer { $0.method == "HEAD" ? .respond(404) : .respond(404, body: document("NoSuchKey")) }
        let store = try store(server)
        for _ in 0..<3 { #expect(try await store.head(key) == nil) }
        #expect(server.requests.map(\.method) == ["HEAD", "GET", "HEAD", "HEAD"])
        #expect(await failure { try await store.get(key, range: nil, limit: 1) }?.code == .notFound)
    }

    @Test func whatAServerSaysIsPrintedOnOneLineAndNotWithoutEnd() async throws {
        let server = try FaultServer { _ in .respond(400, body: document("Odd", "a\nb\u{7F}c" + String(repeating: "x", count: 5000))) }
        let error = await failure { try await store(server).delete(key) }
        #expect(error?.message.contains("Odd, a b c") == true)
        #expect((error?.message.count ?? 9999) < 500)
        #expect(error?.message.contains("\n") == false)
    }

    // MARK: Listings

    private func page(_ keys: [String], _ rest: String = "<IsTruncated>false</IsTruncated>") -> String {
        "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name>"
            + keys.map { "<Contents><Key>\($0)</Key><Size>1</Size></Contents>" }.joined() + rest + "</ListBucketResult>"
    }

    @Test func pagesFollowEachOtherByTheirTokens() async throws {
        let pages = [
            page(["p/log/b", "p/log/no name", "p/log/"], "<IsTruncated>true</IsTruncated><NextContinuationToken>a+b/c=</NextContinuationToken>"),
            page(["p/log/a&amp;b", "p/log/a"]),
        ]
        let server = try FaultServer { .respond(200, body: Array(pages[$0.target.contains("continuation-token") ? 1 : 0].utf8)) }
        // Names that none of ours can have are somebody else's.
        #expect(try await store(server).list(ObjectKey("log")) == [ObjectKey("log/a"), ObjectKey("log/b")])
        #expect(
            server.requests.map(\.target) == [
                "/bucket/?list-type=2&max-keys=1000&prefix=p%2Flog%2F",
                "/bucket/?continuation-token=a%2Bb%2Fc%3D&list-type=2&max-keys=1000&prefix=p%2Flog%2F",
            ])
    }

    @Test func everyCutOfAListingIsRefused() {
        let whole = Array(page(["p/log/a", "p/log/b"]).utf8)
        for count in 0..<whole.count {
            #expect("cut at \(count)") { try S3ListingPage(Array(whole.prefix(count))) } throws: { ($0 as? ArchiveError)?.code == .invalid }
        }
    }

    @Test func listingsThatLeaveSomethingOutAreRefused() async throws {
        let more = "<IsTruncated>true</IsTruncated>"
        let bodies = [
            page([], ""), page(["p/log/a"], more), page(["p/log/a"], more + "<NextContinuationToken/>"), page(["p/log/a"], "<IsTruncated>maybe</IsTruncated>"),
            page(["p/log/a"], more + "<NextContinuationToken>t</NextContinuationToken>"), page([], more + "<NextContinuationToken>t</NextContinuationToken>"),
            page(["elsewhere/a"]), page([""]), page(["p/log/a"], "<CommonPrefixes><Prefix>p/log/x/</Prefix></CommonPrefixes><IsTruncated>false</IsTruncated>"),
            "<html><body>login</body></html>", "<!DOCTYPE x><ListBucketResult/>", "<ListBucketResult><Contents></ListBucketResult>", "", "{}",
        ]
        for body in bodies {
            let server = try FaultServer { _ in .respond(200, body: Array(body.utf8)) }
            #expect(await failure { try await store(server).list(ObjectKey("log")) }?.code == .invalid, "\(body)")
        }
        let hidden = try FaultServer { _ in .respond(200, body: document("InternalError")) }
        #expect(await failure { try await store(hidden).list(ObjectKey("log")) }?.code == .busy(status: 200))
    }
}
