import Synchronization
import TestSupport
import Testing

@testable import Archive

/// The store against a server that does exactly what a test says.
@Suite struct HTTPStoreTests {
    private let key = ObjectKey("log/a/object")
    private let hello = Array("hello".utf8)

    private func store(_ base: String, _ change: (inout HTTPSettings) -> Void = { _ in }) throws -> HTTPStore {
        var settings = HTTPSettings()
        settings.proxy = ""
        change(&settings)
        return try HTTPStore(base: base, settings: settings)
    }

    // MARK: Statuses

    @Test(arguments: [
        (300, ArchiveError.Code.refused(status: 300), ArchiveError.Outcome.notDone), (301, .refused(status: 301), .notDone),
        (400, .refused(status: 400), .notDone), (401, .unauthorized(status: 401), .notDone),
        (403, .unauthorized(status: 403), .notDone),
        (405, .unsupported, .notDone), (408, .busy(status: 408), .notDone), (409, .busy(status: 409), .notDone),
        (410, .notFound, .notDone),
        (404, .notFound, .notDone), (411, .refused(status: 411), .notDone), (413, .tooLarge, .notDone),
        (429, .busy(status: 429), .notDone),
        (500, .busy(status: 500), .unknown), (501, .unsupported, .notDone), (502, .busy(status: 502), .unknown),
        (503, .busy(status: 503), .unknown), (504, .busy(status: 504), .unknown), (507, .outOfSpace, .unknown),
        (599, .refused(status: 599), .unknown), (202, .refused(status: 202), .unknown), (207, .refused(status: 207), .unknown),
    ])
    func everyStatusOfAPutIsNamed(_ status: Int, _ code: ArchiveError.Code, _ outcome: ArchiveError.Outcome) async throws {
        let server = try FaultServer { $0.method == "HEAD" ? .respond(404) : .respond(status) }
        let store = try store(server.url + "/base")
        for error in [
            await failure { try await store.create(key, hello) },
            await failure { try await store.replace(key, hello) },
        ] {
            #expect(error?.code == code)
            #expect(error?.outcome == outcome)
            #expect(error?.key == key)
            #expect(error?.message.contains("PUT \(server.url)/base/log/a/object answered \(status)") == true)
            #expect(error?.lsn == nil)
        }
    }

    @Test func whatToDoIsSaidForWhatAnOperatorCanMend() async throws {
        for status in [301, 401, 403, 404, 405, 413, 429, 501, 503, 507] {
            let server = try FaultServer { $0.method == "HEAD" ? .respond(404) : .respond(status) }
            let store = try store(server.url)
            #expect(await failure { try await store.create(key, hello) }?.hint != nil, "\(status)")
        }
    }

    @Test func aRedirectSaysWhereItPointedWithoutItsSecrets() async throws {
        let server = try FaultServer { _ in .respond(307, headers: [("Location", "https://u:secret@other/base/x?token=secret")]) }
        let store = try store(server.url)
        for error in [
            await failure { try await store.replace(key, hello) }, await failure { try await store.delete(key) },
            await failure { try await store.makeCollection(key) }, await failure { try await store.head(key) },
            await failure { try await store.get(key, range: nil, limit: 10) },
        ] {
            #expect(error?.code == .refused(status: 307))
            #expect(error?.message.contains("points to https://other/base/x") == true)
            #expect(error?.description.contains("secret") == false)
        }
    }

    @Test func retryAfterIsHandedOn() async throws {
        let server = try FaultServer { _ in .respond(503, headers: [("Retry-After", "17")]) }
        let store = try store(server.url)
        #expect(await failure { try await store.replace(key, hello) }?.retryAfter == 17)
        #expect(await failure { try await store.head(key) }?.retryAfter == 17)
    }

    @Test func aFixedQueryIsSentAndNeverShown() async throws {
        let server = try FaultServer { $0.target.hasSuffix("?sig=secret") ? .respond(503) : .respond(200) }
        let store = try store(server.url) { $0.fixedQuery = "sig=secret" }
        for error in [await failure { try await store.replace(key, hello) }, await failure { try await store.list(key) }] {
            #expect(error?.code == .busy(status: 503))
            #expect(error?.description.contains("secret") == false)
        }
        #expect(!store.name.contains("secret"))
    }

    // MARK: Credentials

    @Test func changedCredentialsAreTakenUpAfterARefusal() async throws {
        let server = try FaultServer { $0.header("authorization") == "Bearer new" ? .store : .respond(401) }
        server.store.set("/object", hello)
        let token = Mutex("old")
        let asked = Mutex(0)
        let store = try store(server.url) {
            $0.credentials = {
                asked.withLock { $0 += 1 }
                return .bearer(token: token.withLock { $0 })
            }
        }
        let object = ObjectKey("object")
        #expect(await failure { try await store.head(object) }?.code == .unauthorized(status: 401))
        #expect(server.requests.count == 1, "the same credentials are not tried twice")
        token.withLock { $0 = "new" }
        #expect(try await store.head(object)?.size == 5)
        #expect(server.requests.count == 3)
        #expect(try await store.head(object)?.size == 5)
        #expect(server.requests.count == 4)
        #expect(asked.withLock { $0 } == 3)
    }

    @Test func aForbiddenKeyIsNotAMissingOne() async throws {
        let server = try FaultServer { _ in .respond(403) }
        let store = try store(server.url)
        #expect(await failure { try await store.head(key) }?.code == .unauthorized(status: 403))
        #expect(await failure { try await store.get(key, range: nil, limit: 9) }?.code == .unauthorized(status: 403))
        #expect(await failure { try await store.list(key) }?.code == .unauthorized(status: 403))
    }

    // MARK: Creating

    @Test func aCreateSendsItsConditionAndMakesParents() async throws {
        let server = try FaultServer()
        let store = try store(server.url + "/some/base")
        #expect(try await store.create(key, hello) == .created)
        #expect(server.store.objects == ["/some/base/log/a/object": hello])
        #expect(server.store.collections == ["/", "/some/", "/some/base/", "/some/base/log/", "/some/base/log/a/"])
        let puts = server.requests.filter { $0.method == "PUT" }
        #expect(puts.count == 2)
        #expect(puts.allSatisfy { $0.header("if-none-match") == "*" && $0.header("content-length") == "5" })
        #expect(try await store.create(key, Array("other".utf8)) == .exists)
        try await store.replace(key, [])
        #expect(server.requests.last?.header("if-none-match") == nil)
        #expect(server.store.objects == ["/some/base/log/a/object": []])
    }

    @Test func withConditionsTheStoreDecidesAndWithoutThemTheLookDoes() async throws {
        let strict = try FaultServer()
        let store = try store(strict.url)
        await store.assume([.probed, .conditionalCreate, .cutUploadsInvisible])
        strict.store.set("/object", hello)
        #expect(try await store.create(ObjectKey("object"), []) == .exists)
        #expect(strict.requests.map(\.method) == ["PUT"])

        let careless = try FaultServer([])
        let other = try self.store(careless.url)
        await other.assume([.probed, .cutUploadsInvisible])
        careless.store.set("/object", hello)
        #expect(try await other.create(ObjectKey("object"), []) == .exists)
        #expect(careless.requests.map(\.method) == ["HEAD"])
        #expect(careless.store.objects == ["/object": hello])
    }

    @Test func aLostReplyOfACreateIsUnknownAndNotSentAgain() async throws {
        let server = try FaultServer { $0.method == "PUT" ? .storeWithoutReply : .store }
        let store = try store(server.url)
        let error = await failure { try await store.create(ObjectKey("object"), hello) }
        #expect(error?.code == .unreachable)
        #expect(error?.outcome == .unknown)
        #expect(error?.isRetryable == true)
        #expect(server.store.objects == ["/object": hello])
        #expect(server.requests.filter { $0.method == "PUT" }.count == 1)
    }

    /// Servers say different things of a PUT whose collection is missing.
    @Test(arguments: [403, 404, 409, 500]) func aMissingCollectionIsMadeWhateverTheServerCallsIt(_ status: Int) async throws {
        let isMade = Mutex(false)
        let server = try FaultServer { request in
            if request.method == "MKCOL", request.path == "/log/a/" { isMade.withLock { $0 = true } }
            return request.method == "PUT" && !isMade.withLock { $0 } ? .respond(status) : .store
        }
        #expect(try await store(server.url).create(key, hello) == .created)
        #expect(server.store.objects == ["/log/a/object": hello])
    }

    /// A 403 that has nothing to do with collections stays one, and the object is not sent again.
    @Test func aRefusalIsNotTakenForAMissingCollection() async throws {
        let server = try FaultServer { ["PUT", "MKCOL"].contains($0.method) ? .respond(403) : .store }
        let error = await failure { try await store(server.url).create(key, hello) }
        #expect(error?.code == .unauthorized(status: 403) && error?.outcome == .notDone)
        #expect(server.requests.filter { $0.method == "PUT" }.count == 1)
    }

    @Test func aParentThatCannotBeMadeIsNamed() async throws {
        let server = try FaultServer { $0.method == "MKCOL" ? .respond(403) : .respond(409) }
        let error = await failure { try await store(server.url).replace(key, hello) }
        #expect(error?.code == .busy(status: 409))
        #expect(
            error?.message.contains("MKCOL \(server.url)/log/ answered 403") == true
                || error?.message.contains("MKCOL \(server.url)/log/a/ answered 403") == true)
    }

    @Test func existsAfterA500IsNotTakenForARivals() async throws {
        // The first request fails after it stored; the second finds that.
        for method in ["PUT", "MKCOL"] {
            let server = try FaultServer { request in
                request.method == method && request.path.hasPrefix("/object") && request.number == 0
                    ? .respond(500) : request.path.hasPrefix("/object") ? .respond(method == "PUT" ? 412 : 405) : .store
            }
            let store = try store(server.url)
            await store.assume([.probed, .conditionalCreate, .exclusiveCollections, .cutUploadsInvisible])
            let error =
                method == "PUT"
                ? await failure { try await store.create(ObjectKey("object"), hello) }
                : await failure { try await store.makeCollection(ObjectKey("object")) }
            #expect(error?.code == .busy(status: 500))
            #expect(error?.outcome == .unknown)
        }
    }

    @Test func theChecksumGoesAlongOnlyWhereItIsChecked() async throws {
        let server = try FaultServer()
        let store = try store(server.url)
        try await store.replace(ObjectKey("object"), hello)
        #expect(server.requests.last?.header("content-md5") == nil)
        await store.assume([.probed, .verifiesChecksum, .cutUploadsInvisible])
        try await store.replace(ObjectKey("object"), hello)
        #expect(server.requests.last?.header("content-md5") == "XUFAKrxLKna5cZ2REBfFkg==")
    }

    // MARK: Collections

    @Test func aSecondMakeCollectionFindsTheFirst() async throws {
        let server = try FaultServer()
        let store = try store(server.url + "/base")
        #expect(try await store.makeCollection(key) == .created)
        #expect(try await store.makeCollection(key) == .exists)
        #expect(server.store.collections.contains("/base/log/a/object/"))
        await store.assume([.probed, .exclusiveCollections])
        let before = server.requests.count
        #expect(try await store.makeCollection(key) == .exists)
        #expect(server.requests.count == before + 1, "no look where the probe saw that 405 means exists")
    }

    @Test func aServerWithoutCollectionsIsNotTakenForOneWhereAllExist() async throws {
        for status in [405, 501] {
            let server = try FaultServer { _ in .respond(status) }
            #expect(await failure { try await store(server.url).makeCollection(key) }?.code == .unsupported)
        }
        let lost = try FaultServer { _ in .close }
        #expect(await failure { try await store(lost.url).makeCollection(key) }?.outcome == .unknown)
    }

    // MARK: Reading

    @Test func notThereAndFailedAreNeverTheSame() async throws {
        for status in [404, 410] {
            let server = try FaultServer { _ in .respond(status) }
            let store = try store(server.url)
            #expect(try await store.head(key) == nil)
            #expect(await failure { try await store.get(key, range: nil, limit: 9) }?.code == .notFound)
            #expect(await failure { try await store.get(key, range: 0..<1, limit: 9) }?.code == .notFound)
            #expect(await failure { try await store.get(key, range: 3..<3, limit: 9) }?.code == .notFound)
            try await store.delete(key)
            #expect(try await store.list(key) == [])
        }
        for status in [204, 206, 301, 400, 401, 403, 500, 503] {
            let server = try FaultServer { _ in .respond(status) }
            let store = try store(server.url)
            #expect(await failure { try await store.head(key) } != nil, "\(status)")
            #expect(await failure { try await store.get(key, range: nil, limit: 9) } != nil, "\(status)")
        }
    }

    /// Apache 2.4 says nothing of the length of an empty object.
    @Test func aHeadWithoutALengthIsAskedByAGet() async throws {
        let server = try FaultServer { $0.method == "HEAD" ? .raw("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n") : .store }
        for size in [0, 1, 1000] {
            server.store.set("/log/a/object", [UInt8](repeating: 1, count: size))
            #expect(try await store(server.url).head(key)?.size == UInt64(size))
        }
    }

    @Test func aHeadWithoutALengthIsAnError() async throws {
        let server = try FaultServer { _ in .raw("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n") }
        #expect(await failure { try await store(server.url).head(key) }?.code == .invalid)
    }

    /// Every range over a small object, on servers with ranges, without, and with wrong ones.
    @Test func everyRangeGivesTheBytesOfItThatExist() async throws {
        let bytes: [UInt8] = [10, 11, 12, 13, 14]
        for traits: FaultStore.Traits in [.ranges, []] {
            let server = try FaultServer(traits)
            server.store.set("/object", bytes)
            let store = try store(server.url)
            for capabilities: StoreCapabilities in [[], [.probed], [.probed, .rangeGet]] {
                await store.assume(capabilities)
                for lower in 0...7 {
                    for upper in lower...7 {
                        let got = try await store.get(ObjectKey("object"), range: UInt64(lower)..<UInt64(upper), limit: 5)
                        #expect(got == Array(bytes[min(lower, 5)..<min(upper, 5)]), "\(lower)..<\(upper) \(traits) \(capabilities)")
                    }
                }
            }
        }
    }

    @Test func aServerThatAnswers200WithAPartIsCaught() async throws {
        let server = try FaultServer(.wrongRanges)
        server.store.set("/object", [10, 11, 12, 13, 14])
        let store = try store(server.url)
        #expect(await failure { try await store.get(ObjectKey("object"), range: 1..<3, limit: 5) }?.code == .invalid)
        #expect(try await store.get(ObjectKey("object"), range: 0..<5, limit: 5).count == 5)
    }

    @Test(arguments: [
        ("bytes 0-1/5", "ab"), ("bytes 1-3/5", "abc"), ("bytes 1-1/5", "a"), ("bytes 1-1/*", "a"), ("bytes 1-2/5", "a"),
        ("bytes 1-2/5", "abc"), ("", "ab"),
        ("bytes */5", "ab"), ("bytes 2-1/5", "ab"),
    ])
    func aPartThatIsNotTheOneAskedForIsAnError(_ header: String, _ body: String) async throws {
        let server = try FaultServer { _ in
            .respond(206, headers: header.isEmpty ? [] : [("Content-Range", header)], body: Array(body.utf8))
        }
        #expect(await failure { try await store(server.url).get(key, range: 1..<3, limit: 10) } != nil)
    }

    @Test func aWholeReplyWithAContentRangeIsAnError() async throws {
        let server = try FaultServer { _ in .respond(200, headers: [("Content-Range", "bytes 0-1/5")], body: [1, 2]) }
        #expect(await failure { try await store(server.url).get(key, range: nil, limit: 10) }?.code == .invalid)
    }

    @Test func anEncodingThatWasNotAskedForIsAnError() async throws {
        let server = try FaultServer { _ in .respond(200, headers: [("Content-Encoding", "gzip")], body: [1, 2]) }
        #expect(await failure { try await store(server.url).get(key, range: nil, limit: 10) }?.code == .invalid)
        #expect(server.requests.allSatisfy { $0.header("accept-encoding") == "identity" })
    }

    @Test func moreThanTheLimitIsRefused() async throws {
        let server = try FaultServer(.ranges)
        server.store.set("/object", [UInt8](repeating: 1, count: 1000))
        let store = try store(server.url)
        let object = ObjectKey("object")
        #expect(try await store.get(object, range: nil, limit: 1000).count == 1000)
        #expect(await failure { try await store.get(object, range: nil, limit: 999) }?.code == .refused(status: 200))
        #expect(await failure { try await store.get(object, range: 0..<1000, limit: 999) }?.code == .refused(status: 206))
        #expect(try await store.get(object, range: 1..<1000, limit: 999).count == 999)
    }

    // MARK: Listing

    @Test func aListingFollowsCollectionsAndSkipsForeignNames() async throws {
        let server = try FaultServer()
        let store = try store(server.url + "/base")
        for path in ["log/b", "log/a/2", "log/a/1", "log/a/c/3", "log2/x"] { _ = try await store.create(ObjectKey(path), []) }
        server.store.set("/base/log/foreign%20name", [])
        #expect(try await store.list(ObjectKey("log")).map(\.path) == ["log/a/1", "log/a/2", "log/a/c/3", "log/b"])
        #expect(try await store.list(ObjectKey("log/a")).map(\.path) == ["log/a/1", "log/a/2", "log/a/c/3"])
        #expect(try await store.list(ObjectKey("nothing")) == [])
    }

    @Test func aListingThatCannotBeTrustedIsAnError() async throws {
        func answer(_ hrefs: [String]) -> [UInt8] {
            Array("<multistatus>\(hrefs.map { "<response><href>\($0)</href></response>" }.joined())</multistatus>".utf8)
        }
        for body in [
            answer([]), answer(["/other/", "/other/x"]), answer(["/log/", "/log/a/b"]), answer(["/log/", "/elsewhere"]),
            answer(["/log/", "/log//"]), hello,
        ] {
            let server = try FaultServer { _ in .respond(207, body: body) }
            #expect(
                await failure { try await store(server.url).list(ObjectKey("log")) }?.code == .invalid,
                "\(String(decoding: body, as: UTF8.self))")
        }
        let endless = try FaultServer { request in
            .respond(
                207,
                body: Array(
                    "<multistatus><response><href>\(request.target)</href></response><response><href>\(request.target)d/</href><propstat><prop><resourcetype><collection/></resourcetype></prop></propstat></response></multistatus>"
                        .utf8))
        }
        #expect(await failure { try await store(endless.url).list(ObjectKey("log")) }?.code == .invalid)
    }

    @Test func aServerThatCannotListSaysSo() async throws {
        let server = try FaultServer([])
        let store = try store(server.url)
        #expect(await failure { try await store.list(ObjectKey("log")) }?.code == .unsupported)
        await store.assume(.probed)
        let before = server.requests.count
        #expect(await failure { try await store.list(ObjectKey("log")) }?.code == .unsupported)
        #expect(server.requests.count == before)
    }

    // MARK: Temporary name, then MOVE

    private let shows: FaultStore.Traits = [.collections, .move, .propfind, .ranges, .showsCutUploads]

    @Test func whereCutUploadsShowTheObjectIsMovedIntoPlace() async throws {
        let server = try FaultServer(shows)
        let store = try store(server.url)
        await store.assume([.probed, .move])
        #expect(try await store.create(key, hello) == .created)
        #expect(server.store.objects == ["/log/a/object": hello])
        #expect(server.requests.filter { $0.method == "PUT" }.allSatisfy { $0.path.hasPrefix("/log/a/object.tmp-") })
        #expect(server.requests.last?.method == "MOVE")
        #expect(server.requests.last?.header("overwrite") == "F")
        #expect(try await store.create(key, []) == .exists)
        try await store.replace(key, [1])
        #expect(server.requests.last?.header("overwrite") == "T")
        #expect(server.store.objects == ["/log/a/object": [1]])
    }

    @Test func aRivalBetweenTheLookAndTheMoveIsNotOverwritten() async throws {
        let server = try FaultServer(shows) { request in
            request.method == "HEAD" && request.path == "/object" ? .respond(404) : .store
        }
        server.store.set("/object", [9])
        let store = try store(server.url)
        await store.assume([.probed, .move])
        #expect(try await store.create(ObjectKey("object"), hello) == .exists)
        #expect(server.store.objects == ["/object": [9]], "the temporary object is gone too")
    }

    @Test func temporaryNamesAreRemovedWhateverFails() async throws {
        // Each step in turn fails; nothing is left, and only a MOVE whose reply is lost leaves the outcome open.
        for (method, reply, outcome) in [
            ("PUT", FaultServer.Reply.respond(507), ArchiveError.Outcome.notDone), ("PUT", .close, .notDone),
            ("HEAD", .respond(503), .notDone),
            ("HEAD", .respond(200, headers: [("Content-Length", "4")]), .notDone), ("HEAD", .respond(404), .notDone),
            ("MOVE", .respond(403), .notDone), ("MOVE", .close, .unknown), ("MOVE", .respond(502), .unknown),
        ] {
            let server = try FaultServer(shows) { request in
                request.method == method && (request.path.contains(".tmp-")) ? reply : .store
            }
            let store = try store(server.url)
            await store.assume([.probed, .move, .conditionalCreate])
            let error = await failure { try await store.create(ObjectKey("object"), hello) }
            #expect(error?.outcome == outcome, "\(method) \(reply)")
            #expect(error?.key == ObjectKey("object"))
            #expect(server.store.objects.isEmpty, "\(method) \(reply)")
        }
    }

    /// Where every other answer is lost, each attempt would lose the same one again.
    @Test func anUploadUnderItsTemporaryNameWhoseAnswerIsLostIsLookedForAndMoved() async throws {
        let server = try FaultServer(shows) { request in request.method == "PUT" ? .storeWithoutReply : .store }
        let store = try store(server.url)
        await store.assume([.probed, .move, .conditionalCreate])
        #expect(try await store.create(ObjectKey("object"), hello) == .created)
        #expect(server.store.objects == ["/object": hello])
    }

    @Test func oneWrongSizeOfATemporaryNameIsNotBelieved() async throws {
        let looks = Atomic(0)
        let server = try FaultServer(shows) { request in
            let isFirst = request.method == "HEAD" && request.path.contains(".tmp-") && looks.add(1, ordering: .relaxed).newValue == 1
            return isFirst ? .respond(200, headers: [("Content-Length", "4")]) : .store
        }
        let store = try store(server.url)
        await store.assume([.probed, .move, .conditionalCreate])
        #expect(try await store.create(ObjectKey("object"), hello) == .created)
        #expect(server.store.objects == ["/object": hello])
        #expect(looks.load(ordering: .relaxed) == 2)
    }

    @Test func aCancelledUploadTidiesUpBehindItself() async throws {
        let server = try FaultServer(shows) { request in request.method == "MOVE" ? .stall : .store }
        let store = try store(server.url)
        await store.assume([.probed, .move, .conditionalCreate])
        let task = Task { await failure { try await store.create(ObjectKey("object"), hello) } }
        try await waitUntil("the object is there under its temporary name") { server.requests.last?.method == "MOVE" }
        #expect(server.store.objects.count == 1)
        task.cancel()
        let error = await task.value
        #expect(error?.code == .cancelled)
        #expect(error?.outcome == .unknown)
        #expect(server.store.objects.isEmpty)
    }

    @Test func aTemporaryNameThatCannotBeRemovedIsNamed() async throws {
        let server = try FaultServer(shows) { request in ["MOVE", "DELETE"].contains(request.method) ? .respond(403) : .store }
        let store = try store(server.url)
        await store.assume([.probed, .move, .conditionalCreate])
        let error = await failure { try await store.create(ObjectKey("object"), hello) }
        #expect(error?.message.contains("the temporary object object.tmp-") == true)
    }
}
