/// Limits of the S3 side that no setting changes, each with its reason.
package enum S3Limits {
    /// Bytes of a key id, secret or token: temporary tokens have one to four thousand; servers stop at 8 KiB a header line.
    package static let credentialMax = 8 << 10
    /// Bytes of the shared credentials file: hundreds of profiles fit.
    package static let credentialsFileMax = 1 << 20
    /// Bytes of the key prefix that a URL names: keys have at most 1024 bytes in S3, and ours need up to 200 below it.
    package static let prefixMax = 512
    /// Bytes of one page of a listing: a thousand keys of at most 1024 bytes, each in about 700 bytes of XML.
    package static let listingPageMax = 8 << 20
    /// Keys asked for at a time: S3 gives no more than this.
    package static let listingPageKeys = 1000
    /// Characters of a server's message that go into ours.
    package static let messageMax = 300
    /// Digests of bodies that are kept for retries: more than there are uploads in flight.
    package static let digestsMax = 64
}
