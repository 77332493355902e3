/// How to talk to an S3-compatible store, beside what holds for all HTTP (`HTTPSettings`).
public struct S3Settings: Sendable {
    /// Where the bucket stands in a request.
    public enum Addressing: String, CaseIterable, Sendable {
        /// Path style with an endpoint of one's own and for buckets that cannot be part of a host's name, else virtual-host style.
        case automatic = "auto"
        /// `https://host/bucket/key`
        case path
        /// `https://bucket.host/key`
        case virtualHost = "virtual-host"
    }

    /// Whether the body's SHA-256 is part of the signature. It costs a core three seconds a gigabyte.
    public enum PayloadSigning: String, CaseIterable, Sendable {
        /// Signed over plain HTTP; over TLS, which protects it, not.
        case automatic = "auto"
        case always = "signed"
        /// Not even over plain HTTP, where anybody on the way can then change it unseen.
        case never = "unsigned"
    }

    /// `http(s)://host[:port]` of the server, without a path; nil: AWS, in `region`.
    public var endpoint: String?
    /// Part of every signature; servers other than AWS mostly take any.
    public var region = S3Settings.regionDefault
    public var addressing = Addressing.automatic
    public var payloadSigning = PayloadSigning.automatic
    /// Asked before the first request, and again when the store refuses what it was given last. Must not block for long.
    public var credentials: @Sendable () throws(ArchiveError) -> S3Credentials

    public static let regionDefault = "us-east-1"

    public init(credentials: @escaping @Sendable () throws(ArchiveError) -> S3Credentials) {
        self.credentials = credentials
    }
}

extension S3Settings: CustomStringConvertible, CustomReflectable {
    public var description: String {
        "endpoint \(endpoint ?? "AWS"), region \(region), addressing \(addressing.rawValue), payload \(payloadSigning.rawValue)"
    }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
