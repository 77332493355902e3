import Archive

/// How S3-compatible storage is spoken to: section `s3`, beside `http`. Keys and tokens stand where the AWS tools look for them, never here; a
/// credentials file or a profile of one's own takes the place of those that the environment names.
struct S3Settings: Equatable, Sendable {
    /// `http(s)://host[:port]`; nil: AWS.
    var endpoint: String?
    /// nil: as `AWS_REGION` or `AWS_DEFAULT_REGION` says, else the library's default.
    var region: String?
    var addressing = Archive.S3Settings.Addressing.automatic
    var payload = Archive.S3Settings.PayloadSigning.automatic
    /// The shared credentials file, and the profile in it; nil: as the AWS tools' variables say.
    var credentialsFile: String?
    var profile: String?

    init() {}

    init(from reader: SettingReader) throws(ConfigurationError) {
        endpoint = try reader.optional(.s3Endpoint, Self.parseEndpoint)
        region = try reader.optional(.s3Region, SettingParsers.nonEmpty)
        addressing = try reader.value(.s3Addressing, default: addressing, SettingParsers.word(Archive.S3Settings.Addressing.self))
        payload = try reader.value(.s3Payload, default: payload, SettingParsers.word(Archive.S3Settings.PayloadSigning.self))
        credentialsFile = try reader.optional(.s3CredentialsFile, SettingParsers.nonEmpty)
        profile = try reader.optional(.s3Profile, SettingParsers.nonEmpty)
    }

    /// The environment in which keys are looked for. Whoever names a file or a profile means the keys in there, so keys that stand in the
    /// environment itself do not count then, as with the AWS tools' own `--profile`.
    func credentialEnvironment(_ environment: [String: String]) -> [String: String] {
        guard credentialsFile != nil || profile != nil else { return environment }
        var environment = environment
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] { environment[name] = nil }
        if let credentialsFile { environment["AWS_SHARED_CREDENTIALS_FILE"] = credentialsFile }
        if let profile { environment["AWS_PROFILE"] = profile }
        return environment
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
