import TestSupport
import Testing

@testable import Archive

@Suite struct CurlEngineTests {
    private func engine(_ change: (inout HTTPSettings) -> Void = { _ in }) throws -> CurlEngine {
        var settings = HTTPSettings()
        settings.proxy = ""
        // A test that waits for the machine must not lose its connection by that.
        settings.idleConnectionAgeMax = .seconds(300)
        change(&settings)
        return try CurlEngine(settings: settings)
    }

    private func put(_ url: String, _ count: Int) -> HTTPRequest {
        var request = HTTPRequest(.put, url)
        request.body = [UInt8](repeating: 7, count: count)
        return request
    }

    private func failure(_ engine: CurlEngine, _ request: HTTPRequest, at location: SourceLocation = #_sourceLocation) async
        -> ArchiveError?
    {
        await ArchiveTests.failure({ try await engine.perform(request).status }, at: location)
    }

    // MARK: Connections and the thread

    @Test func connectionsAreUsedAgain() async throws {
        let server = try FaultServer { _ in .respond(200, body: Array("hello".utf8)) }
        let engine = try engine()
        for _ in 0..<5 {
            let response = try await engine.perform(HTTPRequest(.get, server.url + "/x"))
            #expect(response.status == 200)
            #expect(response.body == Array("hello".utf8))
        }
        #expect(server.connectionCount == 1)
    }

    @Test func aConnectionThatWasIdleForLongerThanServersKeepThemIsNotUsedAgain() async throws {
        let server = try FaultServer { _ in .respond(200) }
        let engine = try engine { $0.idleConnectionAgeMax = .seconds(1) }
        #expect(try await engine.perform(HTTPRequest(.get, server.url + "/x")).status == 200)
        // libcurl counts whole seconds, and more than one of them must have passed.
        try await Task.sleep(for: .milliseconds(2100))
        #expect(try await engine.perform(HTTPRequest(.get, server.url + "/x")).status == 200)
        #expect(server.connectionCount == 2)
    }

    @Test func noMoreThanTheLimitAreInFlightAndTheRestFollow() async throws {
        let server = try FaultServer { request in request.target == "/stall" ? .stall : .respond(200) }
        let engine = try engine { $0.transfersMax = 2 }
        let stalled = (0..<2).map { _ in Task { await failure(engine, HTTPRequest(.get, server.url + "/stall"))?.code } }
        try await waitUntil("two are in flight") { server.requests.count == 2 }
        let queued = (0..<4).map { _ in Task { try await engine.perform(HTTPRequest(.get, server.url + "/")).status } }
        // A request that has no turn within its own time says so; by then the four would have come if the limit did not hold.
        var impatient = HTTPRequest(.put, server.url + "/")
        impatient.timeout = .milliseconds(300)
        let error = await failure(engine, impatient)
        #expect(error?.code == .unreachable)
        #expect(error?.outcome == .notDone)
        #expect(server.requests.count == 2)
        stalled[0].cancel()
        for task in queued { #expect(try await task.value == 200) }
        stalled[1].cancel()
        for task in stalled { #expect(await task.value == .cancelled) }
        #expect(server.requests.count == 6)
    }

    @Test func manyAtOnceAllComeBackWithTheirOwnBytes() async throws {
        let server = try FaultServer { request in .respond(200, body: Array(request.target.utf8)) }
        let engine = try engine { $0.transfersMax = 4 }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<100 {
                group.addTask {
                    let response = try await engine.perform(HTTPRequest(.get, server.url + "/\(number)"))
                    #expect(response.body == Array("/\(number)".utf8))
                }
            }
            try await group.waitForAll()
        }
        #expect(server.connectionCount <= 4)
    }

    @Test func anEngineThatGoesClosesItsConnections() async throws {
        let server = try FaultServer { _ in .respond(200) }
        do {
            let engine = try engine()
            _ = try await engine.perform(HTTPRequest(.get, server.url + "/"))
            #expect(server.openConnectionCount == 1)
        }
        try await waitUntil("the connection is closed") { server.openConnectionCount == 0 }
    }

    @Test func shutdownEndsWhatIsUnderWayAndAllThatComesLater() async throws {
        let server = try FaultServer { _ in .stall }
        let engine = try engine { $0.transfersMax = 1 }
        let running = Task { await failure(engine, put(server.url + "/a", 10)) }
        try await waitUntil("it is in flight") { server.requests.count == 1 }
        let queued = Task { await failure(engine, put(server.url + "/b", 10)) }
        async let once: Void = engine.shutdown()
        async let twice: Void = engine.shutdown()
        _ = await (once, twice)
        await engine.shutdown()
        let first = await running.value
        #expect(first?.code == .cancelled)
        #expect(first?.outcome == .unknown, "the request had gone out")
        let second = await queued.value
        #expect(second?.code == .cancelled)
        #expect(second?.outcome == .notDone)
        let late = await failure(engine, put(server.url + "/c", 10))
        #expect(late?.code == .cancelled)
        #expect(late?.outcome == .notDone)
        try await waitUntil("the connections are closed") { server.openConnectionCount == 0 }
        #expect(server.requests.count == 1)
    }

    @Test func shutdownOfAnEngineThatNeverRanReturns() async throws {
        let engine = try engine()
        await engine.shutdown()
        #expect(await failure(engine, HTTPRequest(.get, "http://127.0.0.1:1/"))?.code == .cancelled)
    }

    @Test func programsStartedMeanwhileDoNotKeepConnectionsOpen() async throws {
        let server = try FaultServer { _ in .respond(200) }
        let engine = try engine()
        _ = try await engine.perform(HTTPRequest(.get, server.url + "/"))
        let directory = try ServerDirectory("child")
        let child = try ChildProcess("sleep", ["1000"], in: directory.path)
        await engine.shutdown()
        try await waitUntil("the connection is closed") { server.openConnectionCount == 0 }
        #expect(child.isRunning)
    }

    // MARK: Cancellation

    @Test func cancellingTheTaskEndsTheTransfer() async throws {
        let server = try FaultServer { _ in .stall }
        let engine = try engine()
        let task = Task { await failure(engine, put(server.url + "/x", 10)) }
        try await waitUntil("it is in flight") { server.requests.count == 1 }
        task.cancel()
        let error = await task.value
        #expect(error?.code == .cancelled)
        #expect(error?.outcome == .unknown)
        try await waitUntil("the connection is closed") { server.openConnectionCount == 0 }
        let reading = Task { await failure(engine, HTTPRequest(.get, server.url + "/x")) }
        try await waitUntil("it is in flight") { server.requests.count == 2 }
        reading.cancel()
        #expect(await reading.value?.outcome == .notDone, "a GET changes nothing")
    }

    @Test func aTaskThatWasCancelledBeforeSendsNothing() async throws {
        let server = try FaultServer { _ in .respond(200) }
        let engine = try engine()
        let task = Task { () -> ArchiveError? in
            while !Task.isCancelled { await Task.yield() }
            return await failure(engine, put(server.url + "/x", 10))
        }
        task.cancel()
        let error = await task.value
        #expect(error?.code == .cancelled)
        #expect(error?.outcome == .notDone)
        #expect(server.requests.isEmpty)
    }

    @Test func aStormOfCancellationsLeavesTheEngineSound() async throws {
        let server = try FaultServer { request in request.target == "/" && request.number % 3 == 0 ? .stall : .respond(200) }
        let engine = try engine { $0.transfersMax = 8 }
        for _ in 0..<20 {
            let tasks = (0..<20).map { _ in Task { try? await engine.perform(HTTPRequest(.get, server.url + "/")).status } }
            for (index, task) in tasks.enumerated() where index % 2 == 0 { task.cancel() }
            for task in tasks {
                task.cancel()
                _ = await task.value
            }
        }
        #expect(try await engine.perform(HTTPRequest(.get, server.url + "/after")).status == 200)
    }

    // MARK: Deadlines

    @Test func aServerThatFallsSilentIsCutByTheStallLimit() async throws {
        let server = try FaultServer { _ in .stall }
        let engine = try engine { $0.stallTimeout = .seconds(1) }
        let error = await failure(engine, put(server.url + "/x", 10))
        #expect(error?.code == .unreachable)
        #expect(error?.outcome == .unknown)
        #expect(error?.isRetryable == true)
    }

    @Test func anUploadThatTheServerStopsReadingIsCut() async throws {
        let server = try FaultServer(readsBodyUpTo: 1024) { _ in .respond(201) }
        let engine = try engine { $0.stallTimeout = .seconds(1) }
        let error = await failure(engine, put(server.url + "/x", 32 << 20))
        #expect(error?.code == .unreachable)
        #expect(error?.outcome == .unknown)
    }

    @Test func aTransferThatOnlyCrawlsMeetsItsDeadline() async throws {
        let server = try FaultServer { _ in .slow(body: [UInt8](repeating: 1, count: 1000), piece: 1, pause: .milliseconds(20)) }
        let engine = try engine { $0.requestTimeout = .milliseconds(300) }
        var request = HTTPRequest(.get, server.url + "/x")
        request.responseLimit = 2000
        let error = await failure(engine, request)
        #expect(error?.code == .unreachable)
        #expect(error?.hint != nil)
    }

    @Test func nobodyListeningIsNotDoneAndSaysWhere() async throws {
        let port = try Ports.free()
        let error = await failure(try engine(), put("http://127.0.0.1:\(port)/x?token=secret", 10))
        #expect(error?.code == .unreachable)
        #expect(error?.outcome == .notDone)
        #expect(error?.message.contains("PUT http://127.0.0.1:\(port)/x: ") == true)
        #expect(error?.hint?.contains("server runs") == true)
        #expect(error?.description.contains("secret") == false)
    }

    @Test func anUnknownHostIsNotDone() async throws {
        let error = await failure(try engine(), put("http://no-such-host.invalid/x", 10))
        #expect(error?.code == .unreachable)
        #expect(error?.outcome == .notDone)
    }

    // MARK: Replies that are none

    @Test func aReplyThatNeverCameIsUnknownForWhatChangesSomething() async throws {
        let server = try FaultServer { _ in .close }
        let engine = try engine()
        for method in [HTTPRequest.Method.put, .delete, .mkcol, .move] {
            let error = await failure(engine, HTTPRequest(method, server.url + "/x"))
            #expect(error?.code == .unreachable)
            #expect(error?.outcome == .unknown, "\(method)")
        }
        for method in [HTTPRequest.Method.get, .head, .propfind] {
            let error = await failure(engine, HTTPRequest(method, server.url + "/x"))
            #expect(error?.code == .unreachable)
            #expect(error?.outcome == .notDone, "\(method)")
        }
    }

    @Test func aBodyThatEndsEarlyIsAnError() async throws {
        let server = try FaultServer { _ in .truncated(declared: 100, body: [UInt8](repeating: 1, count: 99)) }
        #expect(await failure(try engine(), HTTPRequest(.get, server.url + "/x"))?.code == .unreachable)
    }

    @Test(arguments: [
        "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\n", "", "\u{0}\u{1}\u{2}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ])
    func nonsenseIsAnErrorNotAReply(_ text: String) async throws {
        let server = try FaultServer { _ in .raw(text) }
        #expect(await failure(try engine(), HTTPRequest(.get, server.url + "/x"))?.code == .unreachable)
    }

    @Test func aFloodOfHeadersIsCut() async throws {
        let line = "X-Flood: " + String(repeating: "x", count: 1000) + "\r\n"
        let server = try FaultServer { _ in
            .raw("HTTP/1.1 200 OK\r\n" + String(repeating: line, count: 200) + "Content-Length: 0\r\n\r\n")
        }
        #expect(await failure(try engine(), HTTPRequest(.get, server.url + "/x"))?.code == .unreachable)
    }

    @Test func repliesAreTakenUpToTheLimitAndNotOneByteMore() async throws {
        let bytes = [UInt8](repeating: 3, count: 1000)
        // With a length announced, and ended by the connection's end only.
        let announced = try FaultServer { _ in .respond(200, body: bytes) }
        let open = try FaultServer { _ in .raw("HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "x", count: 1000)) }
        let engine = try engine()
        for server in [announced, open] {
            var request = HTTPRequest(.get, server.url + "/x")
            request.responseLimit = 1000
            #expect(try await engine.perform(request).body.count == 1000)
            request.responseLimit = 999
            #expect(await failure(engine, request)?.code == .refused(status: 200))
        }
    }

    @Test func longErrorDocumentsAreCutNotRefused() async throws {
        let server = try FaultServer { _ in .respond(500, body: [UInt8](repeating: 3, count: 1 << 20)) }
        var request = HTTPRequest(.get, server.url + "/x")
        request.responseLimit = 10
        let response = try await engine().perform(request)
        #expect(response.status == 500)
        #expect(response.body.count == HTTPLimits.errorBodyMax)
        #expect(response.bodyReceived == 1 << 20)
    }

    @Test func theWindowOfAWholeReplyIsKept() async throws {
        let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let server = try FaultServer { _ in .respond(200, body: bytes) }
        let engine = try engine()
        for window in [UInt64(0)..<1, 5..<70_000, 199_999..<200_000, 199_000..<900_000, 300_000..<300_001] {
            var request = HTTPRequest(.get, server.url + "/x")
            request.window = window
            request.responseLimit = 70_000
            let response = try await engine.perform(request)
            let inside = window.clamped(to: 0..<200_000)
            #expect(response.body == Array(bytes[Int(inside.lowerBound)..<Int(inside.upperBound)]))
            #expect(response.bodyReceived == 200_000)
        }
    }

    // MARK: What goes out

    @Test func bodiesHaveALengthAndAreNeverChunkedNorAskedFor() async throws {
        let server = try FaultServer { _ in .respond(201) }
        let engine = try engine()
        for count in [0, 1, 100_000, 3 << 20] {
            #expect(try await engine.perform(put(server.url + "/x", count)).status == 201)
            let request = try #require(server.requests.last)
            #expect(request.header("content-length") == "\(count)")
            #expect(request.header("transfer-encoding") == nil)
            #expect(request.header("expect") == nil)
            #expect(request.body == [UInt8](repeating: 7, count: count))
        }
    }

    @Test func settingsAndCredentialsReachTheServer() async throws {
        let server = try FaultServer { _ in .respond(200) }
        let engine = try engine {
            $0.userAgent = "walship/test"
            $0.extraHeaders = [("X-Tenant", "blue")]
        }
        var request = HTTPRequest(.get, server.url + "/x?sig=1")
        request.credentials = .basic(user: "user", password: "pass")
        _ = try await engine.perform(request)
        request.credentials = .bearer(token: "abc")
        _ = try await engine.perform(request)
        request.credentials = nil
        _ = try await engine.perform(request)
        let seen = server.requests
        #expect(seen.map(\.target) == ["/x?sig=1", "/x?sig=1", "/x?sig=1"])
        #expect(seen.map { $0.header("authorization") } == ["Basic dXNlcjpwYXNz", "Bearer abc", nil])
        #expect(seen.allSatisfy { $0.header("user-agent") == "walship/test" && $0.header("x-tenant") == "blue" })
    }

    @Test func redirectsAreAnswersNotOrders() async throws {
        let server = try FaultServer { request in
            request.target == "/x" ? .respond(307, headers: [("Location", "/y")]) : .respond(200)
        }
        let engine = try engine()
        for method in [HTTPRequest.Method.get, .head, .delete, .mkcol] {
            #expect(try await engine.perform(HTTPRequest(method, server.url + "/x")).status == 307)
        }
        #expect(server.requests.allSatisfy { $0.target == "/x" })
    }

    @Test func onlyWhatMayBeSentTwiceIsSentTwice() async throws {
        // The first request on each connection is answered, the second meets a closed door: a stale kept-alive connection.
        let server = try FaultServer { request in request.target == "/warm" || request.connection > 0 ? .respond(201) : .close }
        let careful = try engine()
        _ = try await careful.perform(HTTPRequest(.get, server.url + "/warm"))
        var create = put(server.url + "/x", 10)
        create.mayResend = false
        let error = await failure(careful, create)
        #expect(error?.code == .unreachable)
        #expect(error?.outcome == .unknown)
        #expect(server.requests.map(\.target) == ["/warm", "/x"])

        let other = try FaultServer { request in request.target == "/warm" || request.connection > 0 ? .respond(201) : .close }
        let engine = try engine()
        _ = try await engine.perform(HTTPRequest(.get, other.url + "/warm"))
        #expect(try await engine.perform(put(other.url + "/x", 100_000)).status == 201)
        #expect(other.requests.map(\.target) == ["/warm", "/x", "/x"])
        #expect(other.requests.last?.body.count == 100_000, "the body is sent again from its beginning")
    }

    @Test func aCutUploadEndsWhereItWasToEnd() async throws {
        let server = try FaultServer()
        let engine = try engine()
        var request = put(server.url + "/x", 500_000)
        request.cutBodyAfter = 200_000
        #expect(await failure(engine, request)?.outcome == .unknown)
        try await waitUntil("the server sees the cut") { server.requests.count == 1 }
        #expect(server.requests[0].isCut)
        #expect(server.requests[0].body.count == 200_000)
    }

    @Test func anAnswerBeforeTheBodyIsSentCounts() async throws {
        let nginx = try await NginxServer.start(
            {
                var options = NginxServer.Options()
                options.bodyMax = "1k"
                return options
            }())
        let response = try await engine().perform(put(nginx.url + "/x", 8 << 20))
        #expect(response.status == 413)
    }

    @Test(arguments: ["ftp://127.0.0.1/x", "http://", "nonsense://x", "file:///etc/passwd"])
    func nothingButHTTPIsSpoken(_ url: String) async throws {
        let error = await failure(try engine(), HTTPRequest(.get, url))
        #expect(error?.code == .invalid)
        #expect(error?.outcome == .notDone)
    }

    @Test(arguments: [false, true])
    func tlsNeedsAnAuthorityThatIsBelieved(_ http2: Bool) async throws {
        var options = NginxServer.Options()
        options.tls = true
        let nginx = try await NginxServer.start(options)
        let error = await failure(try engine(), HTTPRequest(.get, nginx.url + "/x"))
        #expect(error?.code == .unreachable)
        #expect(error?.outcome == .notDone)
        #expect(error?.hint?.contains("certificate") == true)
        let engine = try engine {
            $0.caFile = nginx.caFile
            $0.http2 = http2
        }
        #expect(try await engine.perform(put(nginx.url + "/x", 1 << 20)).status == 201)
        var get = HTTPRequest(.get, nginx.url + "/x")
        get.responseLimit = 1 << 20
        #expect(try await engine.perform(get).body.count == 1 << 20)
    }
}
