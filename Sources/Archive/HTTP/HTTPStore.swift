internal import Synchronization

/// An archive on a server that knows PUT and GET, plain or with WebDAV.
///
/// Owns its place on the server; what was found out about it and the credentials in use are the session's. Does not retry and does not decide
/// what an unknown outcome means. Safe from any task.
public final class HTTPStore: ObjectStore, HTTPReading {
    /// The base URL: it holds no credentials.
    public let name: String
    let settings: HTTPSettings
    let session: HTTPSession<Credentials?>
    /// Temporary names of uploads that failed.
    let abandoned = Mutex<[ObjectKey]>([])

    /// `base` is an http or https URL without user information (that belongs into `settings.credentials`), query and
    /// fragment; nothing is sent yet. Throws `.invalid` for a URL or a setting that cannot be used.
    public convenience init(base: String, settings: HTTPSettings = HTTPSettings()) throws(ArchiveError) {
        try self.init(
            base: base, settings: settings, engine: CurlEngine(settings: settings), random: HTTPSession<Credentials?>.systemRandom)
    }

    /// With an engine that several stores share; its settings and the store's should be the same.
    package init(
        base: String, settings: HTTPSettings, engine: CurlEngine, random: @escaping @Sendable () -> UInt64
    ) throws(ArchiveError) {
        try settings.validate()
        let parts = try URLParts(base)
        guard parts.scheme == "http" || parts.scheme == "https", !parts.authority.isEmpty, !parts.authority.hasPrefix(":") else {
            throw ArchiveError(
                .invalid, "\(parts.printable) is not the URL of an HTTP store", hint: "write http://host/… or https://host/…")
        }
        guard parts.userInfo == nil, !parts.hasQuery, !parts.hasFragment else {
            throw ArchiveError(
                .invalid, "the base URL \(parts.printable) has credentials, a query or a fragment",
                hint: "credentials and a fixed query are settings of their own")
        }
        var base = parts.printable
        while base.hasSuffix("/") { base.removeLast() }
        name = base
        self.settings = settings
        session = HTTPSession(engine: engine, random: random) { () throws(ArchiveError) in settings.credentials?() }
    }

    public var capabilities: StoreCapabilities { get async { current } }

    public func assume(_ capabilities: StoreCapabilities) async { current = capabilities }

    /// Ends what is under way with `.cancelled` and closes the connections. The store is of no use afterwards.
    public func shutdown() async { await session.engine.shutdown() }

    // MARK: Reading

    public func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        try await read(key, range: range, limit: limit)
    }

    public func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        let request = request(.head, key)
        let response = try await exchange(request, key)
        switch response.status {
        case 200: return try await size(response, to: request, key)
        case 404, 410: return nil
        default: throw refusal(response, to: request, key: key)
        }
    }

    func refusal(_ response: HTTPResponse, to request: HTTPRequest, key: ObjectKey?) -> ArchiveError {
        HTTPStatus.error(response, to: request, key: key)
    }

    // MARK: Removing

    public func delete(_ key: ObjectKey) async throws(ArchiveError) {
        let request = request(.delete, key)
        let response = try await exchange(request, key)
        switch response.status {
        case 200, 204, 404, 410: return
        default: throw HTTPStatus.error(response, to: request, key: key)
        }
    }

    // MARK: Requests

    func request(_ method: HTTPRequest.Method, _ key: ObjectKey) -> HTTPRequest {
        HTTPRequest(method, url("\(name)/\(key.path)"))
    }

    /// Collections are addressed with a slash at the end: nginx insists on it.
    func request(_ method: HTTPRequest.Method, collection key: ObjectKey) -> HTTPRequest {
        HTTPRequest(method, url("\(name)/\(key.path)/"))
    }

    func url(_ bare: String) -> String { settings.fixedQuery.map { "\(bare)?\($0)" } ?? bare }

    /// Whatever it refuses, a server that knows PUT knows the condition, or passes over it.
    var takesConditions: Bool { true }

    var keepsProbes: Bool { settings.keepsProbes }

    func exchange(_ request: HTTPRequest, _ key: ObjectKey?) async throws(ArchiveError) -> HTTPResponse {
        try await session.exchange(
            key, isRefused: { $0.status == 401 || $0.status == 403 }, refusal: { refusal($0, to: request, key: key) },
            { credentials in
                var request = request
                request.credentials = credentials
                return request
            })
    }
}
