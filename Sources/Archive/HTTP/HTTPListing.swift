/// Listing by PROPFIND (RFC 4918 section 9.1): one collection at a time, because servers refuse infinite depth.
extension HTTPStore {
    static let resourceTypeQuery = Array(
        #"<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:"><D:prop><D:resourcetype/></D:prop></D:propfind>"#.utf8)

    public func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] {
        if current.contains(.probed), !current.contains(.list) {
            throw ArchiveError(
                .unsupported, "\(name) cannot list: it has no PROPFIND", key: prefix,
                hint: "use a WebDAV server where a listing is needed")
        }
        return try await walk(prefix)
    }

    /// `list` whatever the probe has found: the probe itself asks this way.
    func walk(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] {
        var keys: [ObjectKey] = []
        var open: [(key: ObjectKey, depth: Int)] = [(prefix, 0)]
        while let (collection, depth) = open.popLast() {
            guard depth <= HTTPLimits.collectionDepthMax else {
                throw ArchiveError(
                    .invalid, "collections lie more than \(HTTPLimits.collectionDepthMax) deep below \(name)/\(prefix)",
                    key: collection)
            }
            for child in try await children(of: collection) {
                if child.isCollection { open.append((child.key, depth + 1)) } else { keys.append(child.key) }
            }
            guard keys.count <= HTTPLimits.listedKeysMax else {
                throw ArchiveError(
                    .invalid, "more than \(HTTPLimits.listedKeysMax) objects lie below \(name)/\(prefix)", key: prefix)
            }
        }
        return keys.sorted()
    }

    /// What lies directly in a collection; nothing where it is missing. Names that no key of ours can have are somebody else's and left out.
    private func children(of collection: ObjectKey) async throws(ArchiveError) -> [(key: ObjectKey, isCollection: Bool)] {
        var request = request(.propfind, collection: collection)
        request.headers = [HTTPHeader("Depth", "1"), HTTPHeader("Content-Type", "application/xml")]
        request.body = HTTPStore.resourceTypeQuery
        request.responseLimit = HTTPLimits.multistatusMax
        let response = try await exchange(request, collection)
        switch response.status {
        case 207: break
        case 404, 410: return []
        default: throw HTTPStatus.error(response, to: request, key: collection)
        }
        let parent = try URLParts.percentDecoded(URLParts(name).path + "/\(collection.path)/") ?? "/"
        var sawItself = false
        var children: [(key: ObjectKey, isCollection: Bool)] = []
        for entry in try Multistatus(response.body).entries {
            if entry.path == parent || entry.path + "/" == parent {
                sawItself = true
                continue
            }
            var child = entry.path.hasPrefix(parent) ? entry.path.dropFirst(parent.count) : ""
            if child.hasSuffix("/") { child.removeLast() }
            guard !child.isEmpty, !child.contains("/") else {
                throw wrong("listed something that does not lie directly in it", request, collection)
            }
            let path = "\(collection.path)/\(child)"
            if ObjectKey.isValid(path) { children.append((ObjectKey(path), entry.isCollection)) }
        }
        // A proxy that maps one path to another gives addresses that are not ours: an error, not an empty collection.
        guard sawItself else { throw wrong("listed another collection than it was asked for", request, collection) }
        return children
    }
}
