/// A place below which logs have their archives: `http(s)://host[:port]/…`, `s3://bucket/prefix` or `file:///…`.
///
/// Never holds credentials: these come from the environment or from files, so that a URL can be shown anywhere.
public struct StoreURL: Hashable, Sendable {
    public enum Place: Hashable, Sendable {
        /// Without a slash at its end.
        case http(String)
        /// An absolute path without a slash at its end.
        case directory(String)
        case s3(S3Place)
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
            throw refuse(
                "has a user or password in it",
                parts.scheme == "s3"
                    ? "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use the shared credentials file"
                    : "set http.username and http.password-file, or a bearer token")
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
            // Lower case only: another bucket than the one that was written must not be meant.
            guard argument.dropFirst("s3://".count).prefix(while: { $0 != "/" }) == parts.authority else {
                throw refuse("has upper-case letters in the bucket's name", "buckets have lower-case letters, digits, dots and hyphens")
            }
            // A key has one spelling: a slash within a segment would be another.
            guard !segments.contains(where: { URLParts.percentDecoded($0)?.contains("/") ?? true }),
                let s3 = S3Place(bucket: parts.authority, prefix: segments.compactMap { URLParts.percentDecoded($0) }.joined(separator: "/"))
            else {
                throw refuse(
                    "names no bucket, or a prefix that keys cannot have",
                    "write s3://bucket/prefix: 3 to 63 lower-case letters, digits, dots and hyphens, then at most \(S3Limits.prefixMax) bytes")
            }
            place = .s3(s3)
            text = "s3://\(parts.authority)\(path)"
        default:
            throw refuse("has an unknown scheme", "use http://, https://, s3:// or file:///")
        }
    }

    /// The archive of a log below this place.
    public func archive(of log: LogName) -> ArchiveURL { ArchiveURL(store: self, logName: log) }

    /// Two places with the same text are one: the URL, and for a bucket at an endpoint of its own `s3+http(s)://host[:port]/bucket/prefix`. Without
    /// an endpoint a bucket is AWS's, whose names are the same in every region.
    public func identity(endpoint: String?) -> String {
        guard case .s3 = place, let endpoint else { return text }
        return "s3+\(endpoint)/\(text.dropFirst("s3://".count))"
    }

    static func isHostAndPort(_ authority: String) -> Bool {
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
