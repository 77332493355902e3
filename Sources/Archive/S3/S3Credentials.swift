/// An access key and its secret, with a session token where they are temporary. Prints as its kind only.
public struct S3Credentials: Hashable, Sendable {
    public var accessKeyID: String
    public var secretAccessKey: String
    /// Sent and signed as `x-amz-security-token`.
    public var sessionToken: String?

    /// Throws `.invalid` for what cannot stand in a header: a line break would smuggle in another one.
    public init(accessKeyID: String, secretAccessKey: String, sessionToken: String? = nil) throws(ArchiveError) {
        func check(_ what: String, _ text: String) throws(ArchiveError) {
            guard !text.isEmpty, text.utf8.count <= S3Limits.credentialMax, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
                throw ArchiveError(
                    .invalid, "the S3 \(what) is empty, or has a blank or another character that it cannot have",
                    hint: "check how it was copied: it is one word of printable ASCII")
            }
        }
        try check("access key id", accessKeyID)
        try check("secret access key", secretAccessKey)
        if let sessionToken { try check("session token", sessionToken) }
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = sessionToken
    }
}

extension S3Credentials: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { sessionToken == nil ? "access key (not shown)" : "temporary access key (not shown)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
