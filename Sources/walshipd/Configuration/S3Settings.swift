import Archive

/// How S3-compatible storage is spoken to: section `s3`, beside `http`. Keys and tokens stand where the AWS tools look for them, never here.
struct S3Settings: Equatable, Sendable {
    /// `http(s)://host[:port]`; nil: AWS.
    var endpoint: String?
    /// nil: as `AWS_REGION` or `AWS_DEFAULT_REGION` says, else the library's default.
    var region: String?
    var addressing = Archive.S3Settings.Addressing.automatic
    var payload = Archive.S3Settings.PayloadSigning.automatic

    init() {}

    init(from reader: SettingReader) throws(ConfigurationError) {
        endpoint = try reader.optional(.s3Endpoint, Self.parseEndpoint)
        region = try reader.optional(.s3Region, SettingParsers.nonEmpty)
        addressing = try reader.value(.s3Addressing, default: addressing, SettingParsers.word(Archive.S3Settings.Addressing.self))
        payload = try reader.value(.s3Payload, default: payload, SettingParsers.word(Archive.S3Settings.PayloadSigning.self))
    }

    private static func parseEndpoint(_ text: String) throws(ArgumentTextError) -> String {
        do throws(ArchiveError) {
            let url = try StoreURL(text)
            guard case .http(let place) = url.place, place.split(separator: "/").count == 2 else {
                throw ArchiveError(.invalid, "it has a path")
            }
            return place
        } catch {
            throw ArgumentTextError("expected http:// or https://, a host and perhaps a port, and nothing else: \(error.description)")
        }
    }
}
