internal import CCurl

/// An option that libcurl did not take: it is older than this program, or the value is bad.
struct CurlOptionError: Error {
    var option: String
    var reason: String
}

/// Sets the options of one easy handle, each through its typed wrapper, and checks each.
@safe struct CurlOptions {
    // SAFETY: not owned; used only inside `CurlTransfer.start`, which owns the handle.
    private let easy: UnsafeMutableRawPointer

    init(easy: UnsafeMutableRawPointer) { unsafe self.easy = easy }

    func set(_ option: CURLoption, long value: Int) throws(CurlOptionError) {
        try unsafe check(option, walship_curl_set_long(easy, option, value))
    }

    func set(_ option: CURLoption, size value: Int64) throws(CurlOptionError) {
        try unsafe check(option, walship_curl_set_size(easy, option, curl_off_t(value)))
    }

    func set(_ option: CURLoption, text value: String) throws(CurlOptionError) {
        try unsafe check(option, walship_curl_set_text(easy, option, value))
    }

    func set(_ option: CURLoption, pointer value: UnsafeMutableRawPointer) throws(CurlOptionError) {
        try unsafe check(option, walship_curl_set_pointer(easy, option, value))
    }

    func set(_ option: CURLoption, list value: UnsafeMutablePointer<curl_slist>?) throws(CurlOptionError) {
        try unsafe check(option, walship_curl_set_list(easy, option, value))
    }

    func set(
        _ option: CURLoption, sink: @escaping walship_curl_sink, context: UnsafeMutableRawPointer, as contextOption: CURLoption
    ) throws(CurlOptionError) {
        try unsafe check(option, walship_curl_set_sink(easy, option, sink))
        try unsafe set(contextOption, pointer: context)
    }

    func set(
        source: @escaping walship_curl_source, seek: @escaping walship_curl_seek, context: UnsafeMutableRawPointer
    ) throws(CurlOptionError) {
        try unsafe check(CURLOPT_READFUNCTION, walship_curl_set_source(easy, source))
        try unsafe set(CURLOPT_READDATA, pointer: context)
        try unsafe check(CURLOPT_SEEKFUNCTION, walship_curl_set_seek(easy, seek))
        try unsafe set(CURLOPT_SEEKDATA, pointer: context)
    }

    func set(beforeRequest: @escaping walship_curl_before_request, context: UnsafeMutableRawPointer) throws(CurlOptionError) {
        try unsafe check(CURLOPT_PREREQFUNCTION, walship_curl_set_before_request(easy, beforeRequest))
        try unsafe set(CURLOPT_PREREQDATA, pointer: context)
    }

    /// What is the same for all requests of an engine.
    func apply(_ settings: HTTPSettings) throws(CurlOptionError) {
        // Nothing but HTTP, whatever a URL says, and the path as it was written.
        try set(CURLOPT_PROTOCOLS_STR, text: "http,https")
        try set(CURLOPT_PATH_AS_IS, long: 1)
        try unsafe check(CURLOPT_OPENSOCKETFUNCTION, walship_curl_set_close_on_exec(easy))
        // A redirected PUT loses its body or its method; a redirected HEAD may find a login page: nothing is followed.
        try set(CURLOPT_FOLLOWLOCATION, long: 0)
        try set(CURLOPT_SUPPRESS_CONNECT_HEADERS, long: 1)
        // Timeouts of the resolver use threads here, not SIGALRM; and a resolver that hangs must not hold up the loop when its
        // transfer has ended (libcurl would join its thread).
        try set(CURLOPT_NOSIGNAL, long: 1)
        try set(CURLOPT_QUICK_EXIT, long: 1)
        try set(CURLOPT_TCP_KEEPALIVE, long: 1)
        try set(CURLOPT_MAXAGE_CONN, long: Int(settings.idleConnectionAgeMax.components.seconds))
        try set(CURLOPT_BUFFERSIZE, long: HTTPLimits.receiveBuffer)
        try set(CURLOPT_UPLOAD_BUFFERSIZE, long: HTTPLimits.sendBuffer)
        try set(CURLOPT_HTTP_VERSION, long: settings.http2 ? walship_curl_http_2_tls : walship_curl_http_1_1)
        try set(CURLOPT_USERAGENT, text: settings.userAgent)
        if let proxy = settings.proxy { try set(CURLOPT_PROXY, text: proxy) }
        if let file = settings.caFile { try set(CURLOPT_CAINFO, text: file) }
        if let file = settings.clientCertificateFile { try set(CURLOPT_SSLCERT, text: file) }
        if let file = settings.clientKeyFile { try set(CURLOPT_SSLKEY, text: file) }
    }

    private func check(_ option: CURLoption, _ code: CURLcode) throws(CurlOptionError) {
        guard code == CURLE_OK else {
            // The value may be a secret: the option's name and libcurl's reason must do.
            let name = unsafe curl_easy_option_by_id(option).flatMap { unsafe $0.pointee.name }.map { unsafe String(cString: $0) }
            throw CurlOptionError(
                option: name ?? "option \(option.rawValue)", reason: unsafe String(cString: curl_easy_strerror(code)))
        }
    }
}

/// libcurl's result codes in our words.
enum CurlResult {
    static func explain(_ code: CURLcode) -> (ArchiveError.Code, hint: String?) {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY:
            (.unreachable, "check the host's name and the resolver")
        case CURLE_COULDNT_CONNECT:
            (.unreachable, "check that the server runs, its address and port")
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR,
            CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_CLIENTCERT:
            (.unreachable, "check the certificates: the server's, the CA file, the client certificate and its key")
        case CURLE_OPERATION_TIMEDOUT:
            (.unreachable, "the server or the network is slow or stands still; the timeouts are settings")
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL:
            (.invalid, "check the URL")
        default:
            (.unreachable, nil)
        }
    }

    /// For options in milliseconds; what is shorter than one counts as none.
    static func milliseconds(_ duration: Duration) -> Int {
        let (seconds, attoseconds) = duration.components
        return Int(clamping: seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
    }
}
