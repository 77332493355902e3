/// The answer to a PROPFIND, as far as a listing needs it: what lies where, and whether it is a collection.
///
/// Strict: a document that is cut off, has a DOCTYPE (and with it entities of its own) or a response without an address is an
/// error, never a shorter listing.
struct Multistatus: Sendable {
    struct Entry: Hashable, Sendable {
        /// Percent-decoded, absolute, as the server wrote it (collections usually end in a slash).
        var path: String
        var isCollection: Bool
    }

    private(set) var entries: [Entry] = []

    private var isOpen = false
    private var isClosed = false
    private var href: String?
    private var isCollection = false
    private var inResponse = false
    private var inResourceType = false
    /// Text of the href that is being read.
    private var text: [UInt8]?

    init(_ bytes: [UInt8]) throws(ArchiveError) {
        var scanner = XMLScanner(bytes)
        while let token = try Multistatus.next(&scanner) {
            switch token {
            case .text(let run): text?.append(contentsOf: run)
            case .open(let name, let isEmpty):
                try open(name)
                if isEmpty { try close(name) }
            case .close(let name): try close(name)
            }
        }
        guard isClosed else { throw Multistatus.refusal("it ends too early, or is no multistatus") }
    }

    private static func next(_ scanner: inout XMLScanner) throws(ArchiveError) -> XMLScanner.Token? {
        do throws(XMLFault) {
            return try scanner.next()
        } catch {
            throw refusal(error.reason)
        }
    }

    private mutating func open(_ name: String) throws(ArchiveError) {
        guard isOpen || name == "multistatus" else { throw Multistatus.refusal("its root is <\(name)>, not <multistatus>") }
        switch name {
        case "multistatus": isOpen = true
        case "response":
            guard !inResponse else { throw Multistatus.refusal("a response lies within another") }
            (inResponse, href, isCollection) = (true, nil, false)
        case "resourcetype": inResourceType = true
        case "collection" where inResourceType: isCollection = true
        // The response's own address comes first (RFC 4918 section 14.24); later ones belong to properties.
        case "href" where inResponse && href == nil: text = []
        default: break
        }
    }

    private mutating func close(_ name: String) throws(ArchiveError) {
        switch name {
        case "multistatus": isClosed = true
        case "resourcetype": inResourceType = false
        case "href":
            guard let bytes = text else { return }
            text = nil
            href = try Multistatus.path(of: String(decoding: bytes, as: UTF8.self))
        case "response":
            guard let path = href else { throw Multistatus.refusal("a response has no address") }
            entries.append(Entry(path: path, isCollection: isCollection))
            inResponse = false
        default: break
        }
    }

    /// RFC 4918 section 8.3: an absolute URI or an absolute path.
    private static func path(of href: String) throws(ArchiveError) -> String {
        var path = HTTPText.trimmed(href[...])
        if let mark = path.firstRange(of: "://") {
            let rest = path[mark.upperBound...]
            path = rest[(rest.firstIndex(of: "/") ?? rest.endIndex)...]
        }
        guard path.hasPrefix("/"), let decoded = URLParts.percentDecoded(path.prefix { $0 != "?" && $0 != "#" }) else {
            throw refusal("an address in it is no path")
        }
        return decoded
    }

    private static func refusal(_ reason: String) -> ArchiveError {
        ArchiveError(
            .invalid, "the server's listing cannot be read: \(reason)", hint: "check that the URL is that of a WebDAV collection")
    }
}
