/// A URL taken apart, strictly: only what RFC 3986 lets stand unencoded, so that what is sent is what was written.
package struct URLParts: Hashable, Sendable {
    /// In lower case.
    package var scheme: String
    /// As written, before the `@`; nil without one.
    package var userInfo: String?
    /// Host in lower case, and the port if one was written.
    package var authority: String
    /// From the first `/` on, as written; empty where there is none.
    package var path: String
    package var hasQuery: Bool
    package var hasFragment: Bool

    /// Throws `.invalid`, with a message that does not repeat the text: it may hold a password.
    package init(_ text: String) throws(ArchiveError) {
        guard let mark = text.firstRange(of: "://") else {
            throw ArchiveError(.invalid, "the URL has no scheme", hint: "write http://, https://, s3:// or file:/// first")
        }
        scheme = text[..<mark.lowerBound].lowercased()
        guard !scheme.isEmpty,
            scheme.utf8.allSatisfy({ UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 })
        else {
            throw ArchiveError(.invalid, "the URL has no scheme", hint: "write http://, https://, s3:// or file:/// first")
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !URLParts.excluded.contains($0) }) else {
            throw ArchiveError(
                .invalid, "the URL has a space or another character in it that a URL cannot have",
                hint: "percent-encode it (a space is %20)")
        }
        var rest = text[mark.upperBound...]
        hasFragment = rest.contains("#")
        rest = rest.prefix { $0 != "#" }
        hasQuery = rest.contains("?")
        rest = rest.prefix { $0 != "?" }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        path = String(rest[slash...])
        let place = rest[..<slash]
        if let at = place.lastIndex(of: "@") {
            userInfo = String(place[..<at])
            authority = place[place.index(after: at)...].lowercased()
        } else {
            userInfo = nil
            authority = place.lowercased()
        }
        guard URLParts.percentDecoded(path) != nil else {
            throw ArchiveError(
                .invalid, "the URL's path has a % that two hex digits do not follow", hint: "write a percent sign as %25")
        }
    }

    /// Scheme, authority and path: nothing that could be secret.
    package var printable: String { "\(scheme)://\(authority)\(path)" }

    /// Characters between 0x21 and 0x7E that RFC 3986 allows nowhere.
    private static let excluded: [UInt8] = Array("\"<>\\^`{|}".utf8)

    /// The bytes that a percent-encoded text stands for, as UTF-8; nil where a `%` is not followed by two hex digits or the
    /// bytes are no text.
    package static func percentDecoded(_ text: some StringProtocol) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

package enum URLText {
    /// For messages: without user information, query and fragment, which is where URLs carry secrets.
    package static func printable(_ url: String) -> String {
        let bare = url.prefix { $0 != "?" && $0 != "#" }
        guard let mark = bare.firstRange(of: "://") else { return String(bare) }
        let rest = bare[mark.upperBound...]
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        guard let at = rest[..<slash].lastIndex(of: "@") else { return String(bare) }
        return String(bare[..<mark.upperBound] + rest[rest.index(after: at)...])
    }
}
