/// Why a document is not the XML that is taken here.
struct XMLFault: Error {
    var reason: String
}

/// Tags and text of an XML document, without any meaning.
///
/// A scanner of its own, not Foundation's XMLParser: that one brings FoundationXML and libxml2 into every program that links the
/// library, for documents with a few elements that matter. It is strict, and has no entities but XML's own five and numbers: a document type is refused.
struct XMLScanner {
    enum Token {
        case text([UInt8])
        /// The name without its prefix: servers choose prefixes freely, and all names that matter are of one namespace.
        case open(String, isEmpty: Bool)
        case close(String)
    }

    private var bytes: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    mutating func next() throws(XMLFault) -> Token? {
        while let first = bytes.first {
            guard first == UInt8(ascii: "<") else { return .text(try takeText()) }
            if skip("<!--") {
                _ = try takeUntil("-->")
            } else if skip("<![CDATA[") {
                return .text(Array(try takeUntil("]]>")))
            } else if skip("<?") {
                _ = try takeUntil("?>")
            } else if skip("<!") {
                throw XMLFault(reason: "it has a document type")
            } else {
                return try takeTag()
            }
        }
        return nil
    }

    private mutating func takeTag() throws(XMLFault) -> Token {
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
        else { throw XMLFault(reason: "a tag in it has no end") }
        var tag = bytes[..<end]
        bytes = bytes[(end + 1)...]
        let isClosing = tag.first == UInt8(ascii: "/")
        if isClosing { tag.removeFirst() }
        let isEmpty = tag.last == UInt8(ascii: "/")
        if isEmpty { tag.removeLast() }
        let name = tag.prefix { $0 > 0x20 }
        guard !name.isEmpty, !(isClosing && isEmpty) else { throw XMLFault(reason: "a tag in it has no name") }
        let local = name.lastIndex(of: UInt8(ascii: ":")).map { name[($0 + 1)...] } ?? name
        let text = String(decoding: local, as: UTF8.self)
        return isClosing ? .close(text) : .open(text, isEmpty: isEmpty)
    }

    private mutating func takeText() throws(XMLFault) -> [UInt8] {
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
            guard let scalar = XMLScanner.entity(String(decoding: name, as: UTF8.self)), name.endIndex < rest.endIndex else {
                throw XMLFault(reason: "it has an unknown entity")
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

    private mutating func takeUntil(_ mark: String) throws(XMLFault) -> ArraySlice<UInt8> {
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if bytes[index...].starts(with: mark.utf8) {
                defer { bytes = bytes[(index + mark.utf8.count)...] }
                return bytes[..<index]
            }
            index += 1
        }
        throw XMLFault(reason: "a part of it has no end")
    }
}
