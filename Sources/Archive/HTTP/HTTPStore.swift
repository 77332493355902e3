internal import Synchronization

/// An archive on a server that knows PUT and GET, plain or with WebDAV.
///
/// Owns its place on the server, what was found out about it, and the credentials in use. Does not retry and does not decide what
/// an unknown outcome means. Safe from any task.
public final class HTTPStore: ObjectStore, HTTPReading {
    /// The base URL: it holds no credentials.
    public let name: String
    let settings: HTTPSettings
    let engine: CurlEngine
    /// Where the randomness of temporary names comes from.
    let random: @Sendable () -> UInt64

    private let known = Mutex<StoreCapabilities>([])
    /// The outer nil: not asked yet.
    private let credentials = Mutex<Credentials??>(nil)

    /// `base` is an http or https URL without user information (that belongs into `settings.credentials`), query and
    /// fragment; nothing is sent yet. Throws `.invalid` for a URL or a setting that cannot be used.
    public convenience init(base: String, settings: HTTPSettings = HTTPSettings()) throws(ArchiveError) {
        try self.init(
            base: base, settings: settings, engine: CurlEngine(settings: settings),
            random: {
                var generator = SystemRandomNumberGenerator()
                return generator.next()
            })
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
        self.name = base
        self.settings = settings
        self.engine = engine
        self.random = random
    }

    public var capabilities: StoreCapabilities { get async { current } }

    public func assume(_ capabilities: StoreCapabilities) async { current = capabilities }

    /// Ends what is under way with `.cancelled` and closes the connections. The store is of no use afterwards.
    public func shutdown() async { await engine.shutdown() }

    var current: StoreCapabilities {
        get { known.withLock { $0 } }
        set { known.withLock { $0 = newValue } }
    }

    // MARK: Reading

    public func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        try await read(key, range: range, limit: limit)
    }

    public func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        let request = request(.head, key)
        let response = try await exchange(request, key)
        switch response.status {
        case 200: return try size(response, to: request, key)
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

    /// One request with the credentials in use. After a 401 or 403 they are asked for anew and, if they have changed, the request is
    /// made once more: the refused one did nothing.
    func exchange(_ request: HTTPRequest, _ key: ObjectKey?) async throws(ArchiveError) -> HTTPResponse {
        var request = request
        request.credentials = credentials.withLock { known in
            if let known { return known }
            let first = settings.credentials?()
            known = .some(first)
            return first
        }
        let response = try await perform(request, key)
        guard response.status == 401 || response.status == 403, let source = settings.credentials else { return response }
        let renewed = source()
        guard renewed != request.credentials else { return response }
        credentials.withLock { $0 = .some(renewed) }
        request.credentials = renewed
        return try await perform(request, key)
    }

    private func perform(_ request: HTTPRequest, _ key: ObjectKey?) async throws(ArchiveError) -> HTTPResponse {
        do throws(ArchiveError) {
            return try await engine.perform(request)
        } catch {
            var error = error
            error.key = key
            throw error
        }
    }
}
