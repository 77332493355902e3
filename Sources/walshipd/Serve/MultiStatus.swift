/// The answer to PROPFIND (RFC 4918 §14.16): of each entry its path, kind and size.
enum MultiStatus {
    static let begin = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n"
    static let end = "</D:multistatus>\n"

    /// Paths are percent-encoded to characters that mean nothing in XML.
    static func response(_ path: ObjectPath, _ found: Found) -> String {
        response(href: path.description, found)
    }

    static func response(_ name: String, in collection: ObjectPath, _ found: Found) -> String {
        let base = collection.isRoot ? "" : collection.description
        return response(href: "\(base)/\(ObjectPath.encode(name))", found)
    }

    private static func response(href: String, _ found: Found) -> String {
        let properties =
            switch found {
            case .object(let size): "<D:resourcetype/><D:getcontentlength>\(size)</D:getcontentlength>"
            case .collection, .nothing: "<D:resourcetype><D:collection/></D:resourcetype>"
            }
        // A collection's path ends with a slash (RFC 4918 §5.2).
        let slash = if case .collection = found, !href.hasSuffix("/") { "/" } else { "" }
        return """
            <D:response><D:href>\(href)\(slash)</D:href><D:propstat><D:prop>\(properties)</D:prop>\
            <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>

            """
    }
}
