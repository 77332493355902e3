internal import Glibc
internal import Synchronization
internal import WAL

/// An archive in a bucket of an S3-compatible store.
///
/// Owns the bucket's address, what was found out about the store, and the credentials in use; signs each request. Does not retry and
/// does not decide what an unknown outcome means. There are no collections. Safe from any task.
public final class S3Store: ObjectStore, HTTPReading {
    /// `s3://bucket/prefix`
    public let name: String
    let address: S3Address
    let digests = S3Digests()
    /// Keys asked for at a time; less in tests.
    let listingPageKeys: Int
    private let settings: S3Settings
    private let http: HTTPSettings
    let session: HTTPSession<S3Credentials>
    private let now: @Sendable () -> Int

    private struct State {
        /// A reply has shown that the bucket exists.
        var hasSeenBucket = false
        /// The store refuses a PUT for its condition, whatever is there.
        var refusesConditions = false
    }
    private let state = Mutex(State())

    /// Nothing is sent yet. Throws `.invalid` for an endpoint or a setting that cannot be used.
    public convenience init(_ place: S3Place, settings: S3Settings, http: HTTPSettings = HTTPSettings()) throws(ArchiveError) {
        try self.init(
            place, settings: settings, http: http, random: HTTPSession<S3Credentials>.systemRandom, now: { time(nil) })
    }

    /// `now` gives seconds since 1970.
    package init(
        _ place: S3Place, settings: S3Settings, http: HTTPSettings, listingPageKeys: Int = S3Limits.listingPageKeys,
        random: @escaping @Sendable () -> UInt64, now: @escaping @Sendable () -> Int
    ) throws(ArchiveError) {
        guard http.credentials == nil, http.fixedQuery == nil else {
            throw ArchiveError(
                .invalid, "a user, a token or a fixed query is set for an S3 store", hint: "S3 requests are signed with an access key, and with nothing else")
        }
        address = try S3Address(place, settings)
        session = HTTPSession(engine: try CurlEngine(settings: http), random: random, source: settings.credentials)
        name = place.prefix.isEmpty ? "s3://\(place.bucket)" : "s3://\(place.bucket)/\(place.prefix)"
        self.listingPageKeys = listingPageKeys
        self.settings = settings
        self.http = http
        self.now = now
    }

    public var capabilities: StoreCapabilities { get async { current } }

    public func assume(_ capabilities: StoreCapabilities) async { current = capabilities }

    /// Ends what is under way with `.cancelled` and closes the connections. The store is of no use afterwards.
    public func shutdown() async { await session.engine.shutdown() }

    var keepsProbes: Bool { http.keepsProbes }

    var takesConditions: Bool {
        get { state.withLock { !$0.refusesConditions } }
        set { state.withLock { $0.refusesConditions = !newValue } }
    }

    public func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities {
        try await S3Probe(store: self, home: ObjectKey("\(prefix.path)/\(Hex.sixteenDigits(session.random()))")).findOut()
    }

    // MARK: Reading and removing

    public func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        try await read(key, range: range, limit: limit)
    }

    public func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        let request = request(.head, key)
        let response = try await exchange(request, key)
        switch response.status {
        case 200: return try await size(response, to: request, key)
        case 404, 410:
            // A missing bucket answers a HEAD just like a missing key, and says which only in a body.
            if !state.withLock({ $0.hasSeenBucket }) { try await explain(key) }
            return nil
        case 301, 307, 400, 403:
            try await explain(key)
            throw refusal(response, to: request, key: key)
        default: throw refusal(response, to: request, key: key)
        }
    }

    /// A HEAD was refused, and a reply to a HEAD has no words: asks for the first byte, and throws what is said to that, unless it is that nothing is there.
    private func explain(_ key: ObjectKey) async throws(ArchiveError) {
        var request = request(.get, key)
        request.headers = [HTTPHeader("Range", "bytes=0-0")]
        request.window = 0..<1
        let response = try await exchange(request, key)
        guard response.isSuccess || response.status == 416 else {
            let error = refusal(response, to: request, key: key)
            if error.code != .notFound { throw error }
            return
        }
    }

    public func delete(_ key: ObjectKey) async throws(ArchiveError) {
        let request = request(.delete, key)
        let response = try await exchange(request, key)
        switch response.status {
        case 200, 204: return
        case 404, 410:
            let error = refusal(response, to: request, key: key)
            if error.code != .notFound { throw error }
        default: throw refusal(response, to: request, key: key)
        }
    }

    /// S3 has keys and no collections.
    public func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome {
        throw ArchiveError(.unsupported, "\(name) has no collections", key: key)
    }

    // MARK: Requests

    func request(_ method: HTTPRequest.Method, _ key: ObjectKey) -> HTTPRequest { HTTPRequest(method, address.url(key)) }

    func refusal(_ response: HTTPResponse, to request: HTTPRequest, key: ObjectKey?) -> ArchiveError {
        S3Failure.error(response, to: request, key: key, place: address.place, now: now())
    }

    /// One signed request.
    func exchange(_ request: HTTPRequest, _ key: ObjectKey?) async throws(ArchiveError) -> HTTPResponse {
        let response = try await session.exchange(
            key, isRefused: { S3Failure.refusesCredentials($0, to: request) }, refusal: { refusal($0, to: request, key: key) },
            { signed(request, $0, key) })
        // Also a missing key's 404 shows it, if its words do not say otherwise.
        if response.isSuccess || S3ErrorDocument(response).code == "NoSuchKey" { state.withLock { $0.hasSeenBucket = true } }
        return response
    }

    /// With the headers that prove who we are. What a proxy may change (Accept-Encoding) is not signed; what S3 wants signed (Host, Content-MD5,
    /// Content-Type and all that begins with x-amz-) is, extra headers of the settings included; and conditions and ranges.
    func signed(_ request: HTTPRequest, _ credentials: S3Credentials, _ key: ObjectKey?) -> HTTPRequest {
        var request = request
        let timestamp = SigV4.timestamp(now())
        let payloadHash = payloadHash(request, key)
        request.headers += [HTTPHeader("Host", address.host), HTTPHeader("x-amz-date", timestamp), HTTPHeader("x-amz-content-sha256", payloadHash)]
        if let token = credentials.sessionToken { request.headers.append(HTTPHeader("x-amz-security-token", token)) }
        let extra = http.extraHeaders.filter { $0.name.lowercased().hasPrefix("x-amz-") }
        let target = request.url.dropFirst(address.origin.count).split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let authorization = SigV4(region: settings.region).authorization(
            SigV4.Request(
                method: request.method.rawValue, path: String(target[0]), query: target.count > 1 ? String(target[1]) : "",
                headers: request.headers.filter { $0.name != "Accept-Encoding" }.map { ($0.name, $0.value) } + extra, payloadHash: payloadHash),
            credentials, timestamp: timestamp)
        request.headers.append(HTTPHeader("Authorization", authorization))
        return request
    }

    private static let emptyHash = SigV4.sha256([])

    private func payloadHash(_ request: HTTPRequest, _ key: ObjectKey?) -> String {
        guard let body = request.body, !body.isEmpty else { return S3Store.emptyHash }
        let isSigned =
            switch settings.payloadSigning {
            case .always: true
            case .automatic: !address.isTLS
            case .never: false
            }
        guard isSigned else { return SigV4.unsignedPayload }
        guard let key else { return SigV4.sha256(body) }
        return digests.sha256(key, body)
    }
}
