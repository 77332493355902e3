import Archive

/// How HTTP storage is spoken to: section `http`.
struct HTTPSettings: Equatable, Sendable {
    var connectTimeout: Duration = .seconds(10)
    /// A transfer slower than `stallBytesPerSecond` for this long is cut.
    var stallTimeout: Duration = .seconds(30)
    var stallBytesPerSecond = ByteSize(1024)
    /// A PEM file of certificate authorities to trust instead of the system's.
    var caFile: String?
    /// PEM files of our own certificate and its key, for servers that want one.
    var clientCertificateFile: String?
    var clientKeyFile: String?
    /// nil: as the environment says (`http_proxy`, `https_proxy`, `no_proxy`).
    var proxy: String?
    /// HTTP/2 where a TLS server offers it.
    var http2 = false
    /// Behind each URL, without its question mark; not for S3, whose requests are signed.
    var query: Secret?
    var headers: [Header] = []
    var credentials: Credentials?

    /// A header sent with every request. Values may be secret, so they are treated as if they were.
    struct Header: Equatable, Sendable {
        var name: String
        var value: Secret
    }

    enum Credentials: Equatable, Sendable {
        case basic(username: String, password: SecretSource)
        case bearer(SecretSource)

        /// Reads what is in files, to see that it can be read.
        func check() throws(ConfigurationError) {
            switch self {
            case .basic(_, let source), .bearer(let source): _ = try source.read()
            }
        }
    }

    static let connectTimeouts: ClosedRange<Duration> = .milliseconds(100)...(.seconds(300))
    static let stallTimeouts: ClosedRange<Duration> = .seconds(1)...(.seconds(3_600))
    /// Zero would switch the cut off, and a hung transfer would never end.
    static let stallBytesPerSecondMin: UInt64 = 1
    /// Requests stay within what servers take (nginx: 8 KiB a header line).
    static let headersMax = 32
    static let headerBytesMax = 8 << 10

    init() {}

    init(from reader: SettingReader) throws(ConfigurationError) {
        connectTimeout = try reader.value(
            .httpConnectTimeout, default: connectTimeout, SettingParsers.duration(Self.connectTimeouts))
        stallTimeout = try reader.value(.httpStallTimeout, default: stallTimeout, SettingParsers.duration(Self.stallTimeouts))
        stallBytesPerSecond = try reader.value(
            .httpStallBytesPerSecond, default: stallBytesPerSecond, SettingParsers.bytes(atLeast: Self.stallBytesPerSecondMin))
        caFile = try reader.optional(.httpCAFile, SettingParsers.nonEmpty)
        proxy = try reader.optional(.httpProxy, Self.parseProxy)
        headers = try reader.value(.httpHeaders, default: headers, Self.parseHeaders)
        credentials = try Self.credentials(from: reader)
        try credentials?.check()
        http2 = try reader.value(.httpHTTP2, default: http2, SettingParsers.yesOrNo)
        query = try reader.optional(.httpQuery, Self.parseQuery)
        clientCertificateFile = try reader.optional(.httpClientCertificateFile, SettingParsers.nonEmpty)
        clientKeyFile = try reader.optional(.httpClientKeyFile, SettingParsers.nonEmpty)
        if (clientCertificateFile == nil) != (clientKeyFile == nil) {
            throw try reader.error(
                clientKeyFile == nil ? .httpClientCertificateFile : .httpClientKeyFile,
                "a certificate needs its key, and a key its certificate; both may be in one file, which is then named twice")
        }
        for key in [SettingKey.httpCAFile, .httpClientCertificateFile, .httpClientKeyFile] {
            // A bundle of all public authorities has about 200 KiB.
            if let found = try reader.text(key) { _ = try SmallFile.read(found.text, limit: 16 << 20, for: found.name, at: found.origin) }
        }
    }

    private static func parseQuery(_ text: String) throws(ArgumentTextError) -> Secret {
        guard !text.isEmpty, !text.hasPrefix("?"), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else {
            throw ArgumentTextError("expected what shall stand behind the ? of each URL, percent-encoded, without the ? itself")
        }
        return Secret(text)
    }

    private static func parseProxy(_ text: String) throws(ArgumentTextError) -> String {
        let schemes = ["http", "https", "socks5", "socks5h"]
        guard let mark = text.firstRange(of: "://"), schemes.contains(text[..<mark.lowerBound].lowercased()) else {
            throw ArgumentTextError("expected a URL that begins with \(schemes.map { "\($0)://" }.joined(separator: ", "))")
        }
        do throws(ArchiveError) {
            // The rest follows the rules of any HTTP address.
            let url = try StoreURL("http" + text[mark.lowerBound...])
            guard case .http(let place) = url.place, place.dropFirst("http://".count).firstIndex(of: "/") == nil else {
                throw ArchiveError(.invalid, "the proxy has a path")
            }
        } catch {
            throw ArgumentTextError("expected a proxy's scheme, host and port, and nothing else: \(error.description)")
        }
        return text
    }

    /// Fields that the client sets itself, or that would change what a request means.
    private static let reservedHeaders: Set<String> = [
        "host", "content-length", "content-md5", "content-range", "transfer-encoding", "connection", "expect", "range",
        "if-match", "if-none-match", "overwrite", "destination", "depth",
    ]

    /// Lines of `Name: value`.
    static func parseHeaders(_ text: String) throws(ArgumentTextError) -> [Header] {
        var headers: [Header] = []
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { throw ArgumentTextError("expected lines of \"Name: value\"") }
            let name = String(line[..<colon])
            let value = String(line[line.index(after: colon)...].drop { $0 == " " })
            guard !name.isEmpty, name.utf8.allSatisfy(isTokenByte) else {
                throw ArgumentTextError("expected a header name of letters, digits and -, before the colon")
            }
            guard !reservedHeaders.contains(name.lowercased()) else {
                throw ArgumentTextError("the header \(name) is set by the client itself; remove it")
            }
            guard !value.isEmpty, line.utf8.count <= headerBytesMax, value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
                throw ArgumentTextError(
                    "expected a value of the header \(name), at most \(headerBytesMax) bytes, without control characters")
            }
            headers.append(Header(name: name, value: Secret(value)))
        }
        guard headers.count <= headersMax else { throw ArgumentTextError("expected at most \(headersMax) headers") }
        return headers
    }

    /// RFC 9110 §5.6.2, the characters of a token.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    private static func credentials(from reader: SettingReader) throws(ConfigurationError) -> Credentials? {
        let username = try reader.optional(.httpUsername) { (text: String) throws(ArgumentTextError) in
            // RFC 7617 §2: a colon would end the user name.
            guard !text.contains(":") else { throw ArgumentTextError("expected a user name without a colon") }
            return try SettingParsers.nonEmpty(text)
        }
        let password = try source(reader, value: .httpPassword, file: .httpPasswordFile)
        let token = try source(reader, value: .httpBearerToken, file: .httpBearerTokenFile)
        switch (username, password, token) {
        case (nil, nil, nil): return nil
        case (let username?, let password?, nil): return .basic(username: username, password: password)
        case (nil, nil, let token?): return .bearer(token)
        case (_?, _, _?), (_, _?, _?):
            throw reader.error(groupOf: .httpUsername, "a user name with a password, or a bearer token, not both; remove one")
        case (_?, nil, nil):
            // A variable is one for all destinations: which of them it would be for, nobody could see.
            throw try reader.error(
                .httpUsername,
                reader.isOwn(.httpUsername)
                    ? "has no password; set password-file beside it (where there are several destinations, \(SettingKey.httpPassword.environmentName) is for those without a user of their own)"
                    : "has no password; set http.password-file or \(SettingKey.httpPassword.environmentName)")
        case (nil, _?, nil):
            throw reader.error(
                groupOf: .httpUsername,
                reader.isOwn(.httpPasswordFile)
                    ? "a password without a user name; set username beside password-file" : "a password without a user name; set http.username")
        }
    }

    /// A secret given directly or by file. Only the environment gives one directly, so it is the nearer one where both stand.
    private static func source(
        _ reader: SettingReader, value: SettingKey, file: SettingKey
    ) throws(ConfigurationError) -> SecretSource? {
        let direct = try reader.text(value)
        let named = try reader.text(file)
        if direct != nil, let named, case .environment = named.origin {
            throw ConfigurationError(
                origin: named.origin, key: named.name, value: named.text,
                problem: "\(value.environmentName) is set too; remove one")
        }
        if let direct { return .value(Secret(direct.text)) }
        if let named { return .file(path: named.text, key: named.name, origin: named.origin) }
        return nil
    }
}
