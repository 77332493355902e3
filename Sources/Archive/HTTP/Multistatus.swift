/// The answer to a PROPFIND, as far as a listing needs it: what lies where, and whether it is a collection.
///
/// A scanner of its own, not Foundation's XMLParser: that one brings FoundationXML and libxml2 into every program that links
/// the library, for one document with three elements that matter. It is strict: a document that is cut off, has a
/// DOCTYPE (and with it entities of its own) or a response without an address is an error, never a shorter listing.
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
        var scanner = Scanner(bytes: bytes[...])
        while let token = try scanner.next() {
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

    /// Tags and text of a document, without any meaning.
    private struct Scanner {
        enum Token {
            case text([UInt8])
            /// The name without its prefix: servers choose prefixes freely, and all names that matter are of one namespace.
            case open(String, isEmpty: Bool)
            case close(String)
        }

        var bytes: ArraySlice<UInt8>

        mutating func next() throws(ArchiveError) -> Token? {
            while let first = bytes.first {
                guard first == UInt8(ascii: "<") else { return .text(try takeText()) }
                if skip("<!--") {
                    _ = try takeUntil("-->")
                } else if skip("<![CDATA[") {
                    return .text(Array(try takeUntil("]]>")))
                } else if skip("<?") {
                    _ = try takeUntil("?>")
                } else if skip("<!") {
                    throw Multistatus.refusal("it has a document type")
                } else {
                    return try takeTag()
                }
            }
            return nil
        }

        private mutating func takeTag() throws(ArchiveError) -> Token {
            bytes.removeFirst()
            var quote: UInt8?
            guard
                let end = bytes.firstIndex(where: { byte in
                    if let open = quote {
                        if byte == open { quote = nil }
                        return false
                    }
                    if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") { quote = byte }
                    return byte == UInt8(ascii: ">")
                })
            else { throw Multistatus.refusal("a tag in it has no end") }
            var tag = bytes[..<end]
            bytes = bytes[(end + 1)...]
            let isClosing = tag.first == UInt8(ascii: "/")
            if isClosing { tag.removeFirst() }
            let isEmpty = tag.last == UInt8(ascii: "/")
            if isEmpty { tag.removeLast() }
            let name = tag.prefix { $0 > 0x20 }
            guard !name.isEmpty, !(isClosing && isEmpty) else { throw Multistatus.refusal("a tag in it has no name") }
            let local = name.lastIndex(of: UInt8(ascii: ":")).map { name[($0 + 1)...] } ?? name
            let text = String(decoding: local, as: UTF8.self)
            return isClosing ? .close(text) : .open(text, isEmpty: isEmpty)
        }

        private mutating func takeText() throws(ArchiveError) -> [UInt8] {
            let run = bytes.prefix { $0 != UInt8(ascii: "<") }
            bytes = bytes[run.endIndex...]
            guard run.contains(UInt8(ascii: "&")) else { return Array(run) }
            var decoded: [UInt8] = []
            var rest = run
            while let byte = rest.popFirst() {
                guard byte == UInt8(ascii: "&") else {
                    decoded.append(byte)
                    continue
                }
                let name = rest.prefix { $0 != UInt8(ascii: ";") }
                guard let scalar = Scanner.entity(String(decoding: name, as: UTF8.self)), name.endIndex < rest.endIndex else {
                    throw Multistatus.refusal("it has an unknown entity")
                }
                decoded.append(contentsOf: Array(String(scalar).utf8))
                rest = rest[(name.endIndex + 1)...]
            }
            return decoded
        }

        private static func entity(_ name: String) -> Unicode.Scalar? {
            switch name {
            case "amp": "&"
            case "lt": "<"
            case "gt": ">"
            case "quot": "\""
            case "apos": "'"
            case _ where name.hasPrefix("#x"): UInt32(name.dropFirst(2), radix: 16).flatMap(Unicode.Scalar.init)
            case _ where name.hasPrefix("#"): UInt32(name.dropFirst(1)).flatMap(Unicode.Scalar.init)
            default: nil
            }
        }

        private mutating func skip(_ mark: String) -> Bool {
            guard bytes.starts(with: mark.utf8) else { return false }
            bytes.removeFirst(mark.utf8.count)
            return true
        }

        private mutating func takeUntil(_ mark: String) throws(ArchiveError) -> ArraySlice<UInt8> {
            var index = bytes.startIndex
            while index < bytes.endIndex {
                if bytes[index...].starts(with: mark.utf8) {
                    defer { bytes = bytes[(index + mark.utf8.count)...] }
                    return bytes[..<index]
                }
                index += 1
            }
            throw Multistatus.refusal("a part of it has no end")
        }
    }
}
