internal import Crypto
internal import FoundationEssentials

/// Writing: objects, and the collections above them.
extension HTTPStore {
    public func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome {
        // A store that does not honour the condition would replace what is there: the look comes first.
        if !current.contains(.conditionalCreate), try await head(key) != nil { return .exists }
        // Nor does the look help against a PUT that comes late, after another was given up and somebody else's is there: a late MOVE finds that there is something.
        let movesAgainstLateness = key.isDocument && current.contains(.probed) && !current.contains(.conditionalCreate) && current.contains(.move)
        if movesIntoPlace || movesAgainstLateness { return try await moveIntoPlace(key, bytes, overwrite: false) }
        return try await put(key, bytes, onlyIfAbsent: true)
    }

    public func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) {
        let outcome =
            movesIntoPlace
            ? try await moveIntoPlace(key, bytes, overwrite: true) : try await put(key, bytes, onlyIfAbsent: false)
        guard outcome == .created else {
            throw ArchiveError(
                .refused(status: 412),
                "\(name)/\(key) was not replaced: the server answered 412 (Precondition Failed) without a condition",
                key: key)
        }
    }

    public func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome {
        var request = request(.mkcol, collection: key)
        // Sent twice, the second would find what the first one made.
        request.mayResend = false
        var response = try await exchange(request, key)
        let parents = try await makeParents(of: key, after: response)
        if parents.tryAgain { response = try await exchange(request, key) }
        switch response.status {
        case 201: return .created
        case 405 where parents.mayHaveStored: throw HTTPStatus.ambiguous(request, key)
        case 405 where current.contains(.exclusiveCollections): return .exists
        case 403, 405:
            // RFC 4918 section 9.3.1: 405 where something is already. A server without MKCOL says the same, and Apache 2.4 says 403 to those who come
            // while another one makes it: look.
            if try await isCollection(key) { return .exists }
            throw HTTPStatus.error(response, to: request, key: key, note: parents.refusal)
        default: throw HTTPStatus.error(response, to: request, key: key, note: parents.refusal)
        }
    }

    private func isCollection(_ key: ObjectKey) async throws(ArchiveError) -> Bool {
        var look = request(.propfind, collection: key)
        look.headers = [HTTPHeader("Depth", "0"), HTTPHeader("Content-Type", "application/xml")]
        look.body = HTTPStore.resourceTypeQuery
        return try await exchange(look, key).status == 207
    }

    // MARK: Putting

    /// `.exists` for a 412.
    func put(_ key: ObjectKey, _ bytes: [UInt8], onlyIfAbsent: Bool) async throws(ArchiveError) -> CreateOutcome {
        let request = putRequest(key, bytes, onlyIfAbsent: onlyIfAbsent)
        var response = try await exchange(request, key)
        let parents = try await makeParents(of: key, after: response)
        if parents.tryAgain { response = try await exchange(request, key) }
        switch response.status {
        case 200, 201, 204: return .created
        case 412 where parents.mayHaveStored: throw HTTPStatus.ambiguous(request, key)
        case 412: return .exists
        default: throw HTTPStatus.error(response, to: request, key: key, note: parents.refusal)
        }
    }

    func putRequest(_ key: ObjectKey, _ bytes: [UInt8], onlyIfAbsent: Bool) -> HTTPRequest {
        var request = request(.put, key)
        request.body = bytes
        request.headers = [HTTPHeader("Content-Type", "application/octet-stream")]
        if onlyIfAbsent {
            request.headers.append(HTTPHeader("If-None-Match", "*"))
            // Sent twice, the second would be refused because of the first and look like a rival's.
            request.mayResend = false
        }
        // Only where the probe saw that it is checked: some servers refuse headers that they do not know.
        if current.contains(.verifiesChecksum) { request.headers.append(HTTPStore.contentMD5(bytes)) }
        return request
    }

    /// RFC 1864: the one body checksum that plain HTTP servers check. It guards the way, not against forgers.
    package static func contentMD5(_ bytes: [UInt8]) -> HTTPHeader {
        HTTPHeader("Content-MD5", Data(Insecure.MD5.hash(data: bytes)).base64EncodedString())
    }

    // MARK: Parents

    struct Parents: Sendable {
        /// Whether the request that was refused for want of parents may succeed now.
        var tryAgain = false
        /// Whether the first request may have done its work after all, so that "it exists" after the second proves nothing.
        var mayHaveStored = false
        /// What the server refused on the way, for the message of what fails next: servers refuse MKCOL above one's own place.
        var refusal: String?
    }

    /// Makes the collections above `key`, if `response` (to a PUT or MKCOL of `key`) says that they are missing: 409 as RFC 4918 wants
    /// it, 404 or 403 as some servers say, or the 500 of nginx without `create_full_put_path`. After a 403, which mostly means what it says, it is
    /// tried again only when something was missing; after a 500 also when a rival may just have made it.
    func makeParents(of key: ObjectKey, after response: HTTPResponse) async throws(ArchiveError) -> Parents {
        guard [403, 404, 409, 500].contains(response.status) else { return Parents() }
        do throws(ArchiveError) {
            let made = try await makeParents(of: key)
            let tryAgain =
                switch response.status {
                case 403: made.any
                case 500: made.any || current.contains(.exclusiveCollections)
                default: true
                }
            return Parents(tryAgain: tryAgain, mayHaveStored: response.status == 500, refusal: made.refusal)
        } catch {
            var error = error
            error.outcome = response.status == 500 ? .unknown : .notDone
            throw error
        }
    }

    private struct Made {
        var any = false
        var refusal: String?
        var baseIsMissing = false
    }

    /// From the top; those of the base too where it does not exist yet.
    private func makeParents(of key: ObjectKey) async throws(ArchiveError) -> Made {
        let below = HTTPStore.collections(above: key).map { "\(name)/\($0)/" }
        let first = try await makeAll(below, key)
        guard below.isEmpty || first.baseIsMissing else { return first }
        let base = try await makeAll(baseCollections, key)
        let second = try await makeAll(below, key)
        return Made(any: base.any || second.any, refusal: second.refusal ?? base.refusal)
    }

    private func makeAll(_ collections: [String], _ key: ObjectKey) async throws(ArchiveError) -> Made {
        var made = Made()
        for (index, collection) in collections.enumerated() {
            let request = HTTPRequest(.mkcol, url(collection))
            let status = try await exchange(request, key).status
            switch status {
            case 201: made.any = true
            case 405: break
            case 404 where index == 0, 409 where index == 0: return Made(baseIsMissing: true)
            default: made.refusal = "MKCOL \(URLText.printable(collection)) answered \(status)"
            }
        }
        return made
    }

    /// `a/b/c` gives `a`, `a/b`.
    static func collections(above key: ObjectKey) -> [String] {
        let parts = key.path.split(separator: "/")
        return (1..<parts.count).map { parts.prefix($0).joined(separator: "/") }
    }

    /// The base's own path, from the top, each with a slash at the end.
    private var baseCollections: [String] {
        guard let mark = name.firstRange(of: "://"), let slash = name[mark.upperBound...].firstIndex(of: "/") else { return [] }
        var place = String(name[..<slash]) + "/"
        return name[slash...].split(separator: "/").map { part in
            place += part + "/"
            return place
        }
    }
}
