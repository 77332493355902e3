/// Objects behind HTTP: what reading and probing need of a store, whatever dialect it speaks.
protocol HTTPReading: Sendable {
    associatedtype Proof: Equatable & Sendable
    /// What messages call the store.
    var name: String { get }
    var session: HTTPSession<Proof> { get }
    /// Whether a PUT may carry a condition; false once the server has refused one for it.
    var takesConditions: Bool { get }
    /// Whether nothing that a probe makes is removed: `HTTPSettings.keepsProbes`.
    var keepsProbes: Bool { get }
    /// Where a method without a body or headers of its own begins.
    func request(_ method: HTTPRequest.Method, _ key: ObjectKey) -> HTTPRequest
    func putRequest(_ key: ObjectKey, _ bytes: [UInt8], onlyIfAbsent: Bool) -> HTTPRequest
    /// One request and its reply, with credentials; whatever the status.
    func exchange(_ request: HTTPRequest, _ key: ObjectKey?) async throws(ArchiveError) -> HTTPResponse
    /// The error for a reply that is of no use.
    func refusal(_ response: HTTPResponse, to request: HTTPRequest, key: ObjectKey?) -> ArchiveError
    func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome
    func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo?
    func delete(_ key: ObjectKey) async throws(ArchiveError)
}

extension HTTPReading {
    /// What is known of the store now.
    var current: StoreCapabilities {
        get { session.capabilities }
        nonmutating set { session.capabilities = newValue }
    }
}

extension HTTPReading {
    /// `ObjectStore.get`.
    func read(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        precondition(limit >= 0, "a limit of \(limit) bytes")
        var request = request(.get, key)
        request.responseLimit = limit
        // A proxy that compresses on the way would change every digest.
        request.headers.append(HTTPHeader("Accept-Encoding", "identity"))
        guard let range else {
            let response = try await exchange(request, key)
            guard response.status == 200 else { throw refusal(response, to: request, key: key) }
            return try whole(response, request, key)
        }
        guard !range.isEmpty else {
            guard try await head(key) != nil else {
                throw ArchiveError(.notFound, "nothing is at \(URLText.printable(request.url))", key: key)
            }
            return []
        }
        request.window = range
        // A store that was probed and does not understand ranges is asked for everything at once.
        let asks = !current.contains(.probed) || current.contains(.rangeGet)
        if asks { request.headers.append(HTTPHeader("Range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")) }
        let response = try await exchange(request, key)
        switch response.status {
        case 200:
            let bytes = try whole(response, request, key)
            // Some servers answer a range with 200 and only the part: then what was received is not the object's size.
            if asks, try await head(key)?.size != response.bodyReceived {
                throw wrong("answered 200 to a range, but not with the whole object", request, key)
            }
            return bytes
        case 206 where asks:
            return try part(response, of: range, request, key)
        case 416 where asks:
            // Nothing of the range exists: no bytes, if the object is there and really ends before it.
            let total = response.header("content-range").flatMap { ContentRange($0)?.total }
            let size = if let total { total } else { try await head(key)?.size }
            guard let size, size <= range.lowerBound else { throw refusal(response, to: request, key: key) }
            return []
        default:
            throw refusal(response, to: request, key: key)
        }
    }

    /// What a 200 to a HEAD says; where that is nothing, as Apache 2.4 says nothing of an empty object, what is said to a GET.
    func size(_ response: HTTPResponse, to request: HTTPRequest, _ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo {
        if let size = response.contentLength { return ObjectInfo(size: size) }
        var get = self.request(.get, key)
        get.headers = [HTTPHeader("Range", "bytes=0-0"), HTTPHeader("Accept-Encoding", "identity")]
        get.window = 0..<1
        let reply = try await exchange(get, key)
        let size =
            switch reply.status {
            case 200: reply.header("content-range") == nil ? reply.contentLength : nil
            case 206, 416: reply.header("content-range").flatMap { ContentRange($0)?.total }
            default: throw refusal(reply, to: get, key: key)
            }
        guard let size else { throw wrong("did not say how long the object is", request, key) }
        return ObjectInfo(size: size)
    }

    /// The body of a 200, or of its window.
    private func whole(_ response: HTTPResponse, _ request: HTTPRequest, _ key: ObjectKey) throws(ArchiveError) -> [UInt8] {
        try checkEncoding(response, request, key)
        guard response.header("content-range") == nil else { throw wrong("answered 200 with a part of the object", request, key) }
        if let length = response.contentLength, length != response.bodyReceived {
            throw wrong("announced \(length) bytes and sent \(response.bodyReceived)", request, key, .unreachable)
        }
        return response.body
    }

    private func part(
        _ response: HTTPResponse, of range: Range<UInt64>, _ request: HTTPRequest, _ key: ObjectKey
    ) throws(ArchiveError) -> [UInt8] {
        try checkEncoding(response, request, key)
        guard let header = response.header("content-range"), let content = ContentRange(header), let got = content.range else {
            throw wrong("answered 206 without a Content-Range that can be read", request, key)
        }
        guard got.lowerBound == range.lowerBound, got.upperBound <= range.upperBound else {
            throw wrong("answered with the bytes \(got), not \(range)", request, key)
        }
        guard got.upperBound == range.upperBound || content.total == got.upperBound else {
            throw wrong("answered with the bytes \(got) only, though the object goes on", request, key)
        }
        guard UInt64(response.body.count) == got.upperBound - got.lowerBound else {
            throw wrong("announced the bytes \(got) and sent \(response.body.count)", request, key, .unreachable)
        }
        return response.body
    }

    private func checkEncoding(_ response: HTTPResponse, _ request: HTTPRequest, _ key: ObjectKey) throws(ArchiveError) {
        if let encoding = response.header("content-encoding"), encoding.lowercased() != "identity" {
            throw wrong("answered in the encoding \(encoding), which was not asked for", request, key)
        }
    }

    func wrong(_ what: String, _ request: HTTPRequest, _ key: ObjectKey?, _ code: ArchiveError.Code = .invalid) -> ArchiveError {
        ArchiveError(code, "\(request.method.rawValue) \(URLText.printable(request.url)) \(what)", key: key)
    }

    /// Tidying up must also work when the task is cancelled already, which would end each request before it began: hence a task of
    /// its own, awaited here. It is cancelled in its turn after `HTTPLimits.tidyingMax`: a server that hangs must not hold up the end of a program.
    func afterCancellation<T: Sendable>(_ work: @escaping @Sendable () async -> T) async -> T {
        let tidying = Task { await work() }
        let limit = Task {
            do {
                try await Task.sleep(for: HTTPLimits.tidyingMax)
                tidying.cancel()
            } catch {
                // It was done in time.
            }
        }
        let result = await tidying.value
        limit.cancel()
        return result
    }
}
