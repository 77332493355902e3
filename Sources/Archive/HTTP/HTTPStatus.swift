internal import CCurl
internal import Glibc

/// What a status means for us: the one place where numbers become errors.
enum HTTPStatus {
    static let proxyUserHint =
        "the proxy wants a user: write user and password into the URL of the environment variable http_proxy or https_proxy, and leave the setting out"

    /// The error for a reply that its caller has no use for. `note` is what else was found out on the way.
    static func error(_ response: HTTPResponse, to request: HTTPRequest, key: ObjectKey?, note: String? = nil) -> ArchiveError {
        let status = response.status
        let (code, hint) = meaning(of: status, method: request.method)
        var message = "\(request.method.rawValue) \(URLText.printable(request.url)) answered \(status)"
        if let name = name(of: status) { message += " (\(name))" }
        if (300..<400).contains(status), let location = response.header("location") {
            message += " and points to \(URLText.printable(location))"
        }
        if let note { message += "; \(note)" }
        return ArchiveError(
            code, message, outcome: outcome(of: status, method: request.method), key: key, hint: hint,
            retryAfter: response.header("retry-after").flatMap { retryAfter($0, now: Int(time(nil))) })
    }

    /// After a 500 the same request was answered with "exists": by us or by somebody else, nobody knows.
    static func ambiguous(_ request: HTTPRequest, _ key: ObjectKey) -> ArchiveError {
        ArchiveError(
            .busy(status: 500),
            "\(request.method.rawValue) \(URLText.printable(request.url)) answered 500 (Internal Server Error), then that it exists",
            outcome: .unknown, key: key)
    }

    /// A server that fails in the middle (5xx), or answers with a success that we do not know, may have done what was asked.
    /// 501 says that it does not know the method; 4xx and 3xx are refusals.
    private static func outcome(of status: Int, method: HTTPRequest.Method) -> ArchiveError.Outcome {
        guard method.mutates else { return .notDone }
        return (status >= 500 && status != 501) || (200..<300).contains(status) ? .unknown : .notDone
    }

    private static func meaning(of status: Int, method: HTTPRequest.Method) -> (ArchiveError.Code, hint: String?) {
        switch status {
        case 401: (.unauthorized(status: 401), "check the credentials: the server does not know them, or wants some")
        case 403: (.unauthorized(status: 403), "check the credentials and what they may do here")
        case 407: (.unauthorized(status: 407), proxyUserHint)
        case 404 where method.mutates, 410 where method.mutates:
            (.notFound, "check the archive's URL and that its base exists on the server")
        case 404, 410: (.notFound, nil)
        case 413: (.tooLarge, "raise the server's limit on request bodies (nginx: client_max_body_size), or use smaller segments")
        case 507: (.outOfSpace, "free space on the archive's server")
        case 429, 503: (.busy(status: status), "the server is overloaded or in maintenance")
        case 408, 409, 423, 425, 500, 502, 504: (.busy(status: status), nil)
        case 405, 501:
            (
                .unsupported,
                "the server does not offer \(method.rawValue) at this URL; enable it there (WebDAV), or use another archive"
            )
        case 300..<400: (.refused(status: status), "redirects are not followed: set the archive's URL to where it really is")
        default: (.refused(status: status), nil)
        }
    }

    private static func name(of status: Int) -> String? {
        switch status {
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 407: "Proxy Authentication Required"
        case 409: "Conflict"
        case 410: "Gone"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 423: "Locked"
        case 429: "Too Many Requests"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 507: "Insufficient Storage"
        default: nil
        }
    }

    /// Seconds from `now` (Unix time) on: RFC 9110 section 10.2.3, a number of seconds or a date in one of three forms. nil for
    /// anything else; at most `HTTPLimits.retryAfterMax`, never negative.
    static func retryAfter(_ text: String, now: Int) -> Int? {
        if let seconds = HTTPText.number(text) { return Int(clamping: min(seconds, UInt64(HTTPLimits.retryAfterMax))) }
        guard !text.isEmpty else { return nil }
        // Digits that do not fit any number are a very long time.
        guard !text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else { return HTTPLimits.retryAfterMax }
        // curl_getdate(3) reads all three forms; its -1 means that it could not.
        let date = unsafe curl_getdate(text, nil)
        guard date >= 0 else { return nil }
        return min(max(0, Int(date) - now), HTTPLimits.retryAfterMax)
    }
}
