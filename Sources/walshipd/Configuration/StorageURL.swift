/// The address of an archive, `<base>/<log name>`, or of a base below which each log has its own.
///
/// Never holds credentials: these come from the environment or from files, so that a URL can be shown anywhere.
struct StorageURL: Hashable, Sendable, CustomStringConvertible {
    /// Without a slash at its end.
    let description: String

    struct Parts {
        var scheme: String
        var authority: String
        var path: String
    }

    static let schemes: Set<String> = ["http", "https", "file"]

    static func parse(_ text: String) throws(ArgumentTextError) -> StorageURL {
        if text.hasPrefix("s3://") {
            throw ArgumentTextError("s3:// is not supported by this version; use http(s):// or file://")
        }
        var parts = try parseParts(text, schemes: schemes)
        while parts.path.hasSuffix("/") { parts.path.removeLast() }
        if parts.scheme == "file" {
            guard parts.authority.isEmpty, !parts.path.isEmpty else {
                throw ArgumentTextError("expected an absolute path after file://, like file:///var/lib/archive")
            }
        }
        guard !parts.path.contains("//"), !parts.path.split(separator: "/").contains(where: { $0 == "." || $0 == ".." }) else {
            throw ArgumentTextError("expected a path without empty, . and .. parts")
        }
        return StorageURL(description: "\(parts.scheme)://\(parts.authority)\(parts.path)")
    }

    /// Scheme, authority and path of an absolute URL without user, query and fragment.
    static func parseParts(_ text: String, schemes: Set<String>) throws(ArgumentTextError) -> Parts {
        let known = schemes.sorted().map { "\($0)://" }.joined(separator: ", ")
        guard let separator = text.firstRange(of: "://") else {
            throw ArgumentTextError("expected a URL that begins with \(known)")
        }
        let scheme = text[..<separator.lowerBound].lowercased()
        guard schemes.contains(scheme) else { throw ArgumentTextError("expected a URL that begins with \(known)") }
        let rest = text[separator.upperBound...]
        guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }) else {
            throw ArgumentTextError("expected a URL without spaces; write others than ASCII characters as %XX")
        }
        guard !rest.contains("?"), !rest.contains("#") else { throw ArgumentTextError("expected a URL without ? and #") }
        let authority = String(rest.prefix { $0 != "/" })
        guard !authority.contains("@") else {
            throw ArgumentTextError("expected a URL without user and password; set http.username and http.password-file")
        }
        if scheme != "file" { try checkHostAndPort(authority) }
        return Parts(scheme: scheme, authority: authority, path: String(rest.dropFirst(authority.count)))
    }

    private static func checkHostAndPort(_ authority: String) throws(ArgumentTextError) {
        var host = Substring(authority)
        // The colon of a port follows the last bracket of an IPv6 address.
        if let colon = authority.lastIndex(of: ":"), authority[colon...].firstIndex(of: "]") == nil {
            guard let port = Int(authority[authority.index(after: colon)...]), 1...65_535 ~= port else {
                throw ArgumentTextError("expected a port from 1 to 65535 after the colon")
            }
            host = authority[..<colon]
        }
        guard !host.isEmpty else { throw ArgumentTextError("expected a host name after ://") }
    }

    /// The archive of the log `name` below this base.
    func appending(log name: String) -> StorageURL { StorageURL(description: "\(description)/\(name)") }

    /// Base and log name of an archive's address.
    func splitLogName() throws(ArgumentTextError) -> (base: StorageURL, log: String) {
        guard let slash = description.lastIndex(of: "/") else { preconditionFailure("a parsed URL has slashes") }
        let name = String(description[description.index(after: slash)...])
        let base = description[..<slash]
        guard !base.hasSuffix("/"), !base.hasSuffix(":"), LogName.isValid(name) else {
            throw ArgumentTextError("expected <base>/<log name>, like http://127.0.0.1:9180/archive/orders; \(LogName.rule)")
        }
        return (StorageURL(description: String(base)), name)
    }
}

/// The name of a log in an archive (design: `[A-Za-z0-9][A-Za-z0-9._-]{0,99}`).
enum LogName {
    static let rule = "a log name has 1 to 100 letters, digits, dots, _ and -, and begins with a letter or digit"

    static func isValid(_ name: String) -> Bool {
        guard let first = name.utf8.first, isAlphanumeric(first), name.utf8.count <= 100 else { return false }
        return name.utf8.allSatisfy {
            isAlphanumeric($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-")
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }
}
