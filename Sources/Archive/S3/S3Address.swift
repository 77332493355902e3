/// A place in a bucket, as `s3://bucket/prefix` names it.
public struct S3Place: Hashable, Sendable {
    public let bucket: String
    /// Key segments joined by `/`, decoded, without a slash at either end; empty: the whole bucket.
    public let prefix: String

    /// Nil for what is no bucket's name (3 to 63 lower-case letters, digits, `.`, `-`, `_`, the first and last a letter or digit), or a prefix that
    /// is too long, has an empty, `.` or `..` segment, or control characters.
    public init?(bucket: String, prefix: String) {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
        }
        let name = Array(bucket.utf8)
        guard 3...63 ~= name.count, isAlphanumeric(name[0]), isAlphanumeric(name[name.count - 1]),
            name.allSatisfy({ isAlphanumeric($0) || [UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_")].contains($0) }), !bucket.contains("..")
        else { return nil }
        guard prefix.utf8.count <= S3Limits.prefixMax, prefix.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return nil }
        let segments = prefix.split(separator: "/", omittingEmptySubsequences: false)
        guard prefix.isEmpty || !segments.contains(where: { ["", ".", ".."].contains($0) }) else { return nil }
        self.bucket = bucket
        self.prefix = prefix
    }

    /// Whether the name can stand before a host's name: an underscore cannot, and no certificate covers a dot.
    var isHostLabel: Bool { !bucket.utf8.contains(UInt8(ascii: ".")) && !bucket.utf8.contains(UInt8(ascii: "_")) }
}

/// Where requests for a place in a bucket go: addresses with everything encoded as it is signed.
struct S3Address: Hashable, Sendable {
    let place: S3Place
    /// Scheme, host and port: what stands before the path.
    let origin: String
    /// As the Host header says it: with the port only where it is not the scheme's own.
    let host: String
    let isTLS: Bool
    /// The bucket's own path, encoded, with a slash at its end.
    let bucketPath: String

    /// Throws `.invalid` for an endpoint or region that cannot be used.
    init(_ place: S3Place, _ settings: S3Settings) throws(ArchiveError) {
        guard !settings.region.isEmpty, settings.region.utf8.count <= 64, settings.region.utf8.allSatisfy(S3Address.isRegionByte) else {
            throw ArchiveError(.invalid, "\"\(settings.region)\" is no region", hint: "write it like eu-central-1; most servers other than AWS take any")
        }
        let domain = settings.region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
        let endpoint = settings.endpoint ?? "https://s3.\(settings.region).\(domain)"
        let parts = try URLParts(endpoint)
        guard ["http", "https"].contains(parts.scheme), StoreURL.isHostAndPort(parts.authority) else {
            throw ArchiveError(.invalid, "the endpoint \(parts.printable) is not the URL of a server", hint: "write http(s)://host:port")
        }
        guard parts.userInfo == nil, !parts.hasQuery, !parts.hasFragment, parts.path.isEmpty || parts.path == "/" else {
            throw ArchiveError(
                .invalid, "the endpoint \(parts.printable) has more than a host and a port", hint: "the bucket stands in the archive's URL: s3://bucket/prefix")
        }
        isTLS = parts.scheme == "https"
        var authority = parts.authority
        let ownPort = isTLS ? ":443" : ":80"
        if authority.hasSuffix(ownPort) { authority.removeLast(ownPort.count) }
        let byHost =
            switch settings.addressing {
            case .automatic: settings.endpoint == nil && place.isHostLabel
            case .path: false
            case .virtualHost: true
            }
        guard !byHost || place.isHostLabel else {
            throw ArchiveError(.invalid, "the bucket \(place.bucket) cannot be part of a host's name", hint: "use path-style addressing")
        }
        self.place = place
        host = byHost ? "\(place.bucket).\(authority)" : authority
        origin = "\(parts.scheme)://\(host)"
        bucketPath = byHost ? "/" : "/\(place.bucket)/"
    }

    /// The key in the bucket of what `path` names below the place.
    func key(_ path: String) -> String { place.prefix.isEmpty ? path : "\(place.prefix)/\(path)" }

    func url(_ key: ObjectKey) -> String { origin + bucketPath + SigV4.encode(self.key(key.path), keepingSlashes: true) }

    func url(query: [(name: String, value: String)]) -> String { "\(origin)\(bucketPath)?\(SigV4.query(query))" }

    private static func isRegionByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
