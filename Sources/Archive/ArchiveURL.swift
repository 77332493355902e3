internal import Crypto

/// What `--archive` says: `<base>/<log name>`, as `http(s)://[user[:password]@]host[:port]/…/name` or `file:///…/name`.
public struct ArchiveURL: Hashable, Sendable {
    public enum Base: Hashable, Sendable {
        /// Without user information and without a slash at its end.
        case http(String)
        /// An absolute path without a slash at its end.
        case directory(String)
    }

    public let base: Base
    public let logName: LogName
    /// From the URL's user information, percent-decoded; for HTTP only.
    public let credentials: Credentials?
    /// The whole URL without credentials: scheme and host in lower case, the path as written, no slash at its end. What may be
    /// printed, and what `slotName` is made from.
    public let text: String

    /// Throws `.invalid` (what is wrong, and what to write instead) or `.unsupported`. No message repeats credentials.
    public init(_ argument: String) throws(ArchiveError) {
        let parts = try URLParts(argument)
        guard !parts.hasQuery, !parts.hasFragment else {
            throw ArchiveError(
                .invalid, "the archive URL \(parts.printable) has a ? or # part",
                hint: "a fixed query is a setting of its own; percent-encode the character if it belongs to the path")
        }
        var path = parts.path
        while path.hasSuffix("/") { path.removeLast() }
        guard let slash = path.lastIndex(of: "/") else {
            throw ArchiveError(
                .invalid, "the archive URL \(parts.printable) has no log name", hint: "write <base>/<log name>")
        }
        let last = String(path[path.index(after: slash)...])
        guard let logName = LogName(last) else {
            throw ArchiveError(
                .invalid, "\"\(last)\" in the archive URL \(parts.printable) is not a log name",
                hint: "it begins with a letter or digit and has up to 100 letters, digits, dots, hyphens and underscores")
        }
        let basePath = String(path[..<slash])
        guard !basePath.split(separator: "/").contains(where: { [".", ".."].contains(URLParts.percentDecoded($0)) }) else {
            throw ArchiveError(
                .invalid, "the archive URL \(parts.printable) has a . or .. in its path", hint: "write the path without them")
        }
        switch parts.scheme {
        case "http", "https":
            guard !parts.authority.isEmpty, !parts.authority.hasPrefix(":") else {
                throw ArchiveError(
                    .invalid, "the archive URL \(parts.printable) has no host", hint: "write \(parts.scheme)://host/…/<log name>")
            }
            base = .http("\(parts.scheme)://\(parts.authority)\(basePath)")
            credentials = try parts.userInfo.map(ArchiveURL.credentials)
        case "file":
            guard parts.authority.isEmpty || parts.authority == "localhost", parts.userInfo == nil else {
                throw ArchiveError(
                    .invalid, "the archive URL \(parts.printable) names a host",
                    hint: "write file:/// and an absolute path: three slashes")
            }
            guard let directory = URLParts.percentDecoded(basePath), !directory.utf8.contains(0) else {
                throw ArchiveError(
                    .invalid, "the archive URL \(parts.printable) is no path", hint: "write file:/// and an absolute path")
            }
            base = .directory(directory.isEmpty ? "/" : directory)
            credentials = nil
        case "s3":
            throw ArchiveError(
                .unsupported, "the archive URL \(parts.printable) names an S3 store, which this version cannot use yet",
                hint: "use an http://, https:// (PUT or WebDAV) or file:/// archive")
        default:
            throw ArchiveError(
                .invalid, "the archive URL \(parts.printable) has an unknown scheme", hint: "use http://, https:// or file:///")
        }
        self.logName = logName
        // file://localhost/x and file:///x are one place.
        let place = parts.scheme == "file" ? "" : parts.authority
        self.text = "\(parts.scheme)://\(place)\(path)"
    }

    /// The slot's name where the configuration gives none: `d-` and the first 16 hex digits of SHA-256 of `text`.
    public var slotName: String {
        let digits = SHA256.hash(data: Array(text.utf8)).prefix(8).map { byte in
            String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }
        return "d-" + digits.joined()
    }

    private static func credentials(_ userInfo: String) throws(ArchiveError) -> Credentials {
        let parts = userInfo.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let user = URLParts.percentDecoded(parts[0]), !user.isEmpty,
            let password = URLParts.percentDecoded(parts.count > 1 ? parts[1] : ""),
            !(user + password).utf8.contains(where: { $0 < 0x20 || $0 == 0x7F })
        else {
            throw ArchiveError(
                .invalid, "the user and password in the archive URL cannot be read",
                hint: "write user:password@ and percent-encode what is not a letter or digit, or set them by environment or file")
        }
        return .basic(user: user, password: password)
    }
}

extension ArchiveURL: CustomStringConvertible {
    /// Without credentials.
    public var description: String { text }
}
