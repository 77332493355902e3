/// A place below which logs have their archives: `http(s)://host[:port]/…` or `file:///…`.
///
/// Never holds credentials: these come from the environment or from files, so that a URL can be shown anywhere.
public struct StoreURL: Hashable, Sendable {
    public enum Place: Hashable, Sendable {
        /// Without a slash at its end.
        case http(String)
        /// An absolute path without a slash at its end.
        case directory(String)
    }

    public let place: Place
    /// The whole URL: scheme and host in lower case, the path as written, no slash at its end. What may be printed.
    public let text: String

    /// Throws `.invalid` (what is wrong, and what to write instead) or `.unsupported`. No message repeats credentials.
    public init(_ argument: String) throws(ArchiveError) {
        let parts = try URLParts(argument)
        func refuse(_ what: String, _ hint: String) -> ArchiveError { ArchiveError(.invalid, "the URL \(parts.printable) \(what)", hint: hint) }
        guard !parts.hasQuery, !parts.hasFragment else {
            throw refuse("has a ? or # part", "percent-encode the character if it belongs to the path")
        }
        guard parts.userInfo == nil else {
            throw refuse("has a user or password in it", "set http.username and http.password-file, or a bearer token")
        }
        var path = parts.path
        while path.hasSuffix("/") { path.removeLast() }
        let segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        guard !segments.contains(where: { ["", ".", ".."].contains(URLParts.percentDecoded($0)) }) else {
            throw refuse("has an empty part, a . or a .. in its path", "write the path without them")
        }
        switch parts.scheme {
        case "http", "https":
            guard StoreURL.isHostAndPort(parts.authority) else {
                throw refuse("has no host, or no port from 1 to 65535 after the colon", "write \(parts.scheme)://host:port/…")
            }
            place = .http("\(parts.scheme)://\(parts.authority)\(path)")
            text = "\(parts.scheme)://\(parts.authority)\(path)"
        case "file":
            guard parts.authority.isEmpty || parts.authority == "localhost" else {
                throw refuse("names a host", "write file:/// and an absolute path: three slashes")
            }
            guard parts.path.hasPrefix("/"), let directory = URLParts.percentDecoded(path), !directory.utf8.contains(0) else {
                throw refuse("is no path", "write file:/// and an absolute path")
            }
            place = .directory(directory.isEmpty ? "/" : directory)
            // file://localhost/x and file:///x are one place.
            text = "file://\(path)"
        case "s3":
            throw ArchiveError(
                .unsupported, "the URL \(parts.printable) names an S3 store, which this version cannot use yet",
                hint: "use an http://, https:// (PUT or WebDAV) or file:/// archive")
        default:
            throw refuse("has an unknown scheme", "use http://, https:// or file:///")
        }
    }

    /// The archive of a log below this place.
    public func archive(of log: LogName) -> ArchiveURL { ArchiveURL(store: self, logName: log) }

    private static func isHostAndPort(_ authority: String) -> Bool {
        var host = Substring(authority)
        // The colon of a port follows the last bracket of an IPv6 address.
        if let colon = authority.lastIndex(of: ":"), authority[colon...].firstIndex(of: "]") == nil {
            guard let port = Int(authority[authority.index(after: colon)...]), 1...65_535 ~= port else { return false }
            host = authority[..<colon]
        }
        return !host.isEmpty
    }
}

extension StoreURL: CustomStringConvertible {
    public var description: String { text }
}
