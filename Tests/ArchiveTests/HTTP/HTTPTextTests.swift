import Testing

@testable import Archive

@Suite struct HTTPTextTests {
    @Test func urlsArePrintedWithoutSecrets() {
        #expect(URLText.printable("http://u:secret@host/a?token=secret#x") == "http://host/a")
        #expect(URLText.printable("https://host/a@b/c") == "https://host/a@b/c")
        #expect(URLText.printable("/relative?token=secret") == "/relative")
        #expect(URLText.printable("http://a:b@c@host") == "http://host")
    }

    @Test func settingsPrintNoSecret() {
        var settings = HTTPSettings()
        settings.proxy = "http://u:secret@proxy:3128"
        settings.fixedQuery = "sig=secret"
        settings.extraHeaders = [("X-Token", "secret")]
        settings.credentials = { .bearer(token: "secret") }
        var dumped = ""
        dump(settings, to: &dumped)
        for text in ["\(settings)", String(reflecting: settings), dumped] { #expect(!text.contains("secret")) }
    }

    @Test func contentRangesFollowTheRule() {
        #expect(ContentRange("bytes 0-4/10")?.range == 0..<5)
        #expect(ContentRange("bytes 0-4/10")?.total == 10)
        #expect(ContentRange("Bytes 5-5/*")?.range == 5..<6)
        #expect(ContentRange("bytes 5-5/*")?.total == nil)
        #expect(ContentRange("bytes */10")?.range == nil)
        #expect(ContentRange("bytes */10")?.total == 10)
        for text in [
            "", "bytes", "bytes 0-4", "bytes 4-3/10", "bytes 0-10/10", "bytes */*", "bytes -4/10", "bytes 0-/10", "items 0-4/10",
            "bytes 0-4/1x",
            "bytes +0-4/10", "bytes 0-18446744073709551615/*", "bytes 0-99999999999999999999/*", "bytes 0-4/10/12",
            "bytes 0-1-2/10",
        ] {
            #expect(ContentRange(text) == nil, "\(text)")
        }
    }

    @Test func retryAfterIsReadInEveryFormAndBounded() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let moment = 784_111_777
        #expect(HTTPStatus.retryAfter("120", now: moment) == 120)
        #expect(HTTPStatus.retryAfter("0", now: moment) == 0)
        #expect(HTTPStatus.retryAfter("Sun, 06 Nov 1994 08:50:37 GMT", now: moment) == 60)
        #expect(HTTPStatus.retryAfter("Sunday, 06-Nov-94 08:50:37 GMT", now: moment) == 60)
        #expect(HTTPStatus.retryAfter("Sun Nov  6 08:50:37 1994", now: moment) == 60)
        #expect(HTTPStatus.retryAfter("Sun, 06 Nov 1994 08:00:00 GMT", now: moment) == 0)
        #expect(HTTPStatus.retryAfter("99999999999999999999999", now: moment) == HTTPLimits.retryAfterMax)
        #expect(HTTPStatus.retryAfter("9999999", now: moment) == HTTPLimits.retryAfterMax)
        for text in ["", "soon", "-5", "1.5", "+3"] { #expect(HTTPStatus.retryAfter(text, now: moment) == nil, "\(text)") }
    }

    @Test func headersAreFoundInAnyCaseAndTrimmed() {
        let response = HTTPResponse(status: 200, headers: [HTTPHeader("CONTENT-length", "12")], body: [], bodyReceived: 0)
        #expect(response.contentLength == 12)
        #expect(HTTPText.trimmed(" \t x y\r\n") == "x y")
        #expect(HTTPText.trimmed(" \r\n") == "")
        #expect(HTTPText.number("+1") == nil)
        #expect(HTTPText.number("18446744073709551616") == nil)
    }

    @Test func badSettingsAreRefusedBeforeAnythingIsSent() {
        func expectInvalid(_ change: (inout HTTPSettings) -> Void, _ line: Int = #line) {
            var settings = HTTPSettings()
            change(&settings)
            #expect("line \(line)") { try settings.validate() } throws: { ($0 as? ArchiveError)?.code == .invalid }
        }
        expectInvalid { $0.extraHeaders = [("X", "a\r\nY: b")] }
        expectInvalid { $0.extraHeaders = [("X: y", "a")] }
        expectInvalid { $0.extraHeaders = [("", "a")] }
        expectInvalid { $0.extraHeaders = [("X", "")] }
        expectInvalid { $0.userAgent = "a\nb" }
        expectInvalid { $0.fixedQuery = "?a=b" }
        expectInvalid { $0.fixedQuery = "a=b c" }
        expectInvalid { $0.fixedQuery = "" }
        expectInvalid { $0.transfersMax = 0 }
        expectInvalid { $0.stallBytesPerSecond = 0 }
        expectInvalid { $0.requestTimeout = .zero }
        expectInvalid { $0.connectTimeout = .seconds(-1) }
        expectInvalid { $0.clientKeyFile = "/k" }
        #expect(throws: Never.self) { try HTTPSettings().validate() }
    }

    @Test(arguments: [
        "host", "ftp://host", "http://", "http://u:p@host", "http://host?q", "http://host#f", "http://ho st", "http://:80",
    ])
    func basesThatAreNoneAreRefused(_ base: String) {
        #expect { try HTTPStore(base: base) } throws: { ($0 as? ArchiveError)?.code == .invalid }
    }

    @Test func md5HeaderIsThatOfTheStandard() {
        // RFC 1864's way to write RFC 1321's digest of "abc".
        #expect(HTTPStore.contentMD5(Array("abc".utf8)).value == "kAFQmDzST7DWlj99KOF/cg==")
    }

    @Test func theExplicitLimitsFitTogether() {
        #expect(HTTPLimits.errorBodyMax < HTTPLimits.multistatusMax)
        #expect(HTTPLimits.collectionDepthMax >= 4)
        #expect(HTTPSettings().connectTimeout < HTTPSettings().stallTimeout)
        #expect(HTTPSettings().stallTimeout < HTTPSettings().requestTimeout)
    }
}
