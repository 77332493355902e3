internal import CCurl
internal import Glibc

/// One transfer: the easy handle, what goes out and what has come in.
///
/// `@unchecked Sendable`: the lets are Sendable; `isCancelled` is touched with `CurlLoop`'s lock held only; everything else
/// by libcurl's callbacks and the loop, all on the one thread that runs it, between `start` and `end`.
@safe final class CurlTransfer: @unchecked Sendable {
    let id: UInt64
    let request: HTTPRequest
    let settings: HTTPSettings
    private let pace: SendPace?
    let deadline: ContinuousClock.Instant
    var isCancelled = false

    /// How often the request has begun to go out on a connection.
    private var sendings = 0
    private var resendDenied = false
    private var bodyOffset = 0
    private var status = 0
    private var headers: [HTTPHeader] = []
    private var headerBytes = 0
    private var headersAreComplete = false
    private var body: [UInt8] = []
    private var bodyReceived: UInt64 = 0
    private var isTooLarge = false

    // SAFETY: all three are made by `start` and freed by `end`, on the loop's thread.
    private var easy: UnsafeMutableRawPointer?
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private var errorText: UnsafeMutablePointer<CChar>?

    init(id: UInt64, request: HTTPRequest, settings: HTTPSettings, pace: SendPace? = nil, deadline: ContinuousClock.Instant) {
        self.pace = pace
        self.id = id
        self.request = request
        self.settings = settings
        self.deadline = deadline
    }

    deinit { precondition(unsafe easy == nil, "a transfer went without its ending") }

    /// What the loop's table calls this transfer; 0 when it was never begun.
    var handleKey: UInt { unsafe UInt(bitPattern: easy) }

    // MARK: Begin and end

    /// Makes the handle, sets it up and gives it to `multi`. On an error the caller still calls `end`.
    func start(on multi: UnsafeMutableRawPointer) throws(ArchiveError) -> UInt {
        guard let easy = unsafe curl_easy_init() else { throw error(.unreachable, "curl_easy_init failed: no memory") }
        unsafe self.easy = easy
        let options = unsafe CurlOptions(easy: easy)
        // SAFETY: libcurl writes at most CURL_ERROR_SIZE bytes, terminator included, and keeps the pointer until the handle is freed.
        let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
        unsafe errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        unsafe self.errorText = errorText
        do {
            try unsafe options.set(CURLOPT_ERRORBUFFER, pointer: errorText)
            try options.apply(settings)
            try setTimes(options)
            try setRequest(options)
            try setCallbacks(options)
        } catch {
            throw self.error(.invalid, "libcurl refused \(error.option): \(error.reason)")
        }
        let added = unsafe curl_multi_add_handle(multi, easy)
        guard added == CURLM_OK else {
            throw error(.unreachable, "curl_multi_add_handle failed: \(unsafe String(cString: curl_multi_strerror(added)))")
        }
        return handleKey
    }

    /// Takes the handle from `multi` and frees everything. The connection is closed unless the transfer was complete.
    func end(on multi: UnsafeMutableRawPointer) {
        pace?.ended(id)
        if let easy = unsafe easy {
            // A handle that was never added is no error here.
            _ = unsafe curl_multi_remove_handle(multi, easy)
            unsafe curl_easy_cleanup(easy)
        }
        unsafe easy = nil
        unsafe curl_slist_free_all(headerList)
        unsafe headerList = nil
        unsafe errorText?.deallocate()
        unsafe errorText = nil
    }

    private func setTimes(_ options: CurlOptions) throws(CurlOptionError) {
        let left = CurlResult.milliseconds(deadline - .now)
        try options.set(CURLOPT_TIMEOUT_MS, long: max(1, left))
        try options.set(CURLOPT_CONNECTTIMEOUT_MS, long: max(1, CurlResult.milliseconds(settings.connectTimeout)))
        try options.set(CURLOPT_LOW_SPEED_LIMIT, long: settings.stallBytesPerSecondInUse)
        try options.set(CURLOPT_LOW_SPEED_TIME, long: max(1, CurlResult.milliseconds(settings.stallTimeout) / 1000))
    }

    private func setRequest(_ options: CurlOptions) throws(CurlOptionError) {
        try options.set(CURLOPT_URL, text: request.url)
        switch request.method {
        case .get: try options.set(CURLOPT_HTTPGET, long: 1)
        case .head: try options.set(CURLOPT_NOBODY, long: 1)
        case .put, .delete, .mkcol, .move, .propfind: try options.set(CURLOPT_CUSTOMREQUEST, text: request.method.rawValue)
        }
        if let body = request.body {
            precondition(request.method != .get, "a GET with a body")
            precondition(request.method != .head, "a HEAD with a body")
            try options.set(CURLOPT_UPLOAD, long: 1)
            try options.set(CURLOPT_INFILESIZE_LARGE, size: Int64(body.count))
        }
        switch request.credentials {
        case nil: break
        case .basic(let user, let password):
            try options.set(CURLOPT_HTTPAUTH, long: walship_curl_auth_basic)
            try options.set(CURLOPT_USERNAME, text: user)
            try options.set(CURLOPT_PASSWORD, text: password)
        case .bearer(let token):
            try options.set(CURLOPT_HTTPAUTH, long: walship_curl_auth_bearer)
            try options.set(CURLOPT_XOAUTH2_BEARER, text: token)
        }
        // Without this line libcurl asks first for bodies above 1 MiB and waits up to a second where the server does not answer.
        var lines = ["Expect:"]
        lines += settings.extraHeaders.map { "\($0.name): \($0.value)" }
        lines += request.headers.map { "\($0.name): \($0.value)" }
        for line in lines {
            guard let longer = unsafe curl_slist_append(headerList, line) else {
                throw CurlOptionError(option: "a header", reason: "no memory")
            }
            unsafe headerList = longer
        }
        try unsafe options.set(CURLOPT_HTTPHEADER, list: headerList)
    }

    private func setCallbacks(_ options: CurlOptions) throws(CurlOptionError) {
        // SAFETY: unretained; the loop holds the transfer while its handle exists.
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        try unsafe options.set(CURLOPT_WRITEFUNCTION, sink: curlBody, context: context, as: CURLOPT_WRITEDATA)
        try unsafe options.set(CURLOPT_HEADERFUNCTION, sink: curlHeader, context: context, as: CURLOPT_HEADERDATA)
        try unsafe options.set(source: curlSource, seek: curlSeek, context: context)
        try unsafe options.set(beforeRequest: curlBeforeRequest, context: context)
    }

    /// Its turn to send has come. curl_easy_pause(3).
    func resumeSending() {
        guard let easy = unsafe easy else { return }
        // Its only error is memory, and then the transfer stands still until its low-speed limit ends it.
        _ = unsafe curl_easy_pause(easy, 0)
    }

    // MARK: From libcurl, on the loop's thread

    /// Whether the request may go out on the connection that is now up.
    fileprivate func mayBegin() -> Bool {
        if sendings > 0, !request.mayResend {
            resendDenied = true
            return false
        }
        sendings += 1
        return true
    }

    fileprivate func nextBody(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let end = request.cutBodyAfter ?? .max
        if bodyOffset >= end { return Int(CURL_READFUNC_ABORT) }
        guard let body = request.body else { return 0 }
        var count = min(buffer.count, min(body.count, end) - bodyOffset)
        guard count > 0 else { return 0 }
        if let pace {
            count = pace.take(id, wanted: count)
            // Until the loop calls resumeSending, when its turn has come.
            if count == 0 { return Int(CURL_READFUNC_PAUSE) }
        }
        unsafe body.withUnsafeBytes { bytes in
            unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[bodyOffset..<bodyOffset + count]))
        }
        bodyOffset += count
        return count
    }

    fileprivate func seekBody(to offset: Int64) -> Bool {
        guard let body = request.body, (0...Int64(body.count)).contains(offset) else { return false }
        bodyOffset = Int(offset)
        return true
    }

    fileprivate func takeHeader(_ line: UnsafeRawBufferPointer) -> Bool {
        headerBytes += line.count
        guard headerBytes <= HTTPLimits.responseHeadersMax else { return false }
        let text = unsafe HTTPText.trimmed(String(decoding: line, as: UTF8.self)[...])
        if text.hasPrefix("HTTP/") {
            // A new reply: whatever came before it (100 Continue, an authentication round) is over.
            headers = []
            headersAreComplete = false
            body = []
            bodyReceived = 0
            let parts = text.split(separator: " ", maxSplits: 2)
            status = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        } else if text.isEmpty {
            headersAreComplete = true
        } else if let colon = text.firstIndex(of: ":") {
            headers.append(HTTPHeader(String(text[..<colon]), String(HTTPText.trimmed(text[text.index(after: colon)...]))))
        }
        return true
    }

    fileprivate func takeBody(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let start = bodyReceived
        bodyReceived += UInt64(bytes.count)
        guard (200..<300).contains(status) else {
            let room = max(0, HTTPLimits.errorBodyMax - body.count)
            unsafe body.append(contentsOf: bytes.prefix(room))
            return true
        }
        var kept = unsafe bytes[...]
        if status == 200, let window = request.window {
            let wanted = window.clamped(to: start..<bodyReceived)
            unsafe kept = bytes[Int(wanted.lowerBound - start)..<Int(wanted.upperBound - start)]
        } else if body.isEmpty, let length = reply.contentLength {
            guard length <= UInt64(request.responseLimit) else {
                isTooLarge = true
                return false
            }
            body.reserveCapacity(Int(length))
        }
        guard unsafe body.count + kept.count <= request.responseLimit else {
            isTooLarge = true
            return false
        }
        unsafe body.append(contentsOf: kept)
        return true
    }

    // MARK: What came of it

    private var reply: HTTPResponse {
        HTTPResponse(status: status, headers: headers, body: body, bodyReceived: bodyReceived)
    }

    func result(_ code: CURLcode) -> Result<HTTPResponse, ArchiveError> {
        if code == CURLE_OK {
            // libcurl takes a connection that closes among the header lines for a reply; half an answer is none.
            guard headersAreComplete else {
                return .failure(error(.unreachable, "the connection was closed in the middle of the reply"))
            }
            return .success(reply)
        }
        // A server that says no while the body is still going out (413, 507) may close at once: its answer counts, not ours.
        if code == CURLE_SEND_ERROR, status >= 400, headersAreComplete { return .success(reply) }
        if let refusal = proxyRefusal() { return .failure(refusal) }
        if isTooLarge {
            return .failure(
                error(.refused(status: status), "the reply has more than the \(request.responseLimit) bytes allowed for it"))
        }
        if resendDenied {
            return .failure(error(.unreachable, "the connection was closed before a reply came"))
        }
        if code == CURLE_UNSUPPORTED_PROTOCOL, sendings > 0 {
            return .failure(
                error(.unreachable, "what came back is not HTTP", hint: "check that the port is that of an HTTP server"))
        }
        var text = unsafe errorText.map { unsafe String(cString: $0) } ?? ""
        // The address of a server is no secret, a token in its query is.
        if text.isEmpty || settings.fixedQuery.map({ text.contains($0) }) == true {
            text = unsafe String(cString: curl_easy_strerror(code))
        }
        let (kind, hint) = CurlResult.explain(code)
        return .failure(error(kind, text, hint: hint))
    }

    /// What a proxy said to CONNECT, where it was no.
    private func proxyRefusal() -> ArchiveError? {
        guard let easy = unsafe easy else { return nil }
        let status = unsafe walship_curl_get_long(easy, CURLINFO_HTTP_CONNECTCODE)
        switch status {
        case 407: return error(.unauthorized(status: 407), "the proxy answered 407 to CONNECT", hint: HTTPStatus.proxyUserHint)
        case 403:
            return error(.unauthorized(status: 403), "the proxy answered 403 to CONNECT", hint: "have the proxy allow connections to the archive's host and port")
        case 400...: return error(.unreachable, "the proxy answered \(status) to CONNECT", hint: "check that the proxy reaches the archive's host")
        default: return nil
        }
    }

    /// The outcome is unknown as soon as the request may have reached the server and could have changed something there.
    func error(_ code: ArchiveError.Code, _ text: String, hint: String? = nil) -> ArchiveError {
        ArchiveError(
            code, "\(request.method.rawValue) \(URLText.printable(request.url)): \(text)",
            outcome: sendings > 0 && request.method.mutates ? .unknown : .notDone, hint: hint)
    }
}

// The callbacks are plain functions: they run on the loop's thread, where a closure of an actor's context would trap.
// SAFETY of all five: libcurl passes back the context set in `setCallbacks`, whose transfer the loop holds, and buffers that
// are valid during the call and have size * count bytes.

private func transfer(_ context: UnsafeMutableRawPointer?) -> CurlTransfer {
    guard let context = unsafe context else { preconditionFailure("libcurl passed no context") }
    return unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
}

private func curlBody(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?) -> Int
{
    unsafe transfer(context).takeBody(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
}

private func curlHeader(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?)
    -> Int
{
    unsafe transfer(context).takeHeader(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
}

private func curlSource(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?)
    -> Int
{
    unsafe transfer(context).nextBody(into: UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
}

private func curlSeek(_ context: UnsafeMutableRawPointer?, _ offset: curl_off_t, _ origin: CInt) -> CInt {
    // libcurl documents that it only ever passes SEEK_SET.
    guard origin == SEEK_SET else { return CURL_SEEKFUNC_FAIL }
    return unsafe transfer(context).seekBody(to: Int64(offset)) ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL
}

private func curlBeforeRequest(
    _ context: UnsafeMutableRawPointer?, _: UnsafeMutablePointer<CChar>?, _: UnsafeMutablePointer<CChar>?, _: CInt, _: CInt
) -> CInt {
    unsafe transfer(context).mayBegin() ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
}
