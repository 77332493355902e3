import HTTPTypes

/// Where a request's object or collection lies below the root: checked names, so that joining them never leaves it.
struct ObjectPath: Hashable, Sendable, CustomStringConvertible {
    /// Empty for the root itself.
    let names: [String]
    /// Whether the request's path ended with a slash, which only a collection's may.
    let endsWithSlash: Bool

    /// Where uploads wait and the server's lock lies. Requests for it are refused.
    static let reserved = ".walshipd-uploads"

    // Names are bounded by Linux (NAME_MAX 255); a whole path of 1024 bytes leaves PATH_MAX (4096) to the root.
    static let nameBytesMax = 255
    static let pathBytesMax = 1024
    static let namesMax = 64

    private init(names: [String], endsWithSlash: Bool) {
        self.names = names
        self.endsWithSlash = endsWithSlash
    }

    /// Reads the path of a request target (without query). Percent signs are decoded exactly once; what they may not smuggle in
    /// is a slash, a dot name, a backslash or a control character.
    init(requestPath: String) throws(ServeError) {
        guard requestPath.hasPrefix("/") else { throw ServeError(.badRequest, "the path does not begin with /") }
        guard requestPath.utf8.count <= 3 * Self.pathBytesMax else { throw ServeError(.uriTooLong, "the path is too long") }
        var parts = requestPath.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        var endsWithSlash = false
        if parts.last == "" {
            endsWithSlash = true
            parts.removeLast()
        }
        guard parts.count <= Self.namesMax else {
            throw ServeError(.badRequest, "the path has more than \(Self.namesMax) parts")
        }
        var names: [String] = []
        var bytes = 0
        for part in parts {
            let name = try Self.decode(part)
            bytes += name.utf8.count + 1
            names.append(name)
        }
        guard bytes <= Self.pathBytesMax else {
            throw ServeError(.uriTooLong, "the path has more than \(Self.pathBytesMax) bytes")
        }
        guard names.first != Self.reserved else { throw ServeError(.forbidden, "\(Self.reserved) belongs to the server") }
        self.init(names: names, endsWithSlash: endsWithSlash)
    }

    private static func decode(_ part: Substring) throws(ServeError) -> String {
        var bytes: [UInt8] = []
        var rest = part.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else {
                throw ServeError(.badRequest, "the path has a % that two hex digits do not follow")
            }
            bytes.append(high << 4 | low)
        }
        guard let name = String(validating: bytes, as: UTF8.self) else {
            throw ServeError(.badRequest, "the path is not UTF-8")
        }
        guard !name.isEmpty, name != ".", name != ".." else {
            throw ServeError(.badRequest, "the path has an empty, . or .. part")
        }
        guard bytes.count <= nameBytesMax else {
            throw ServeError(.badRequest, "the path has a part of more than \(nameBytesMax) bytes")
        }
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "\\") }) else {
            throw ServeError(.badRequest, "the path has a part with a slash, a backslash or a control character")
        }
        return name
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// The collection that holds this; the root's is the root.
    var parent: ObjectPath { ObjectPath(names: names.dropLast(), endsWithSlash: true) }

    var isRoot: Bool { names.isEmpty }

    /// As a request path: every byte outside RFC 3986's unreserved characters as %XX.
    var description: String {
        var text = ""
        for name in names { text += "/" + Self.encode(name) }
        return text.isEmpty ? "/" : text
    }

    static func encode(_ name: String) -> String {
        var text = ""
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                text.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                text += digits.utf8.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return text
    }
}
