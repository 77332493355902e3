/// Every setting by its key, the one list from which the file's keys, the environment's names and their check follow.
///
/// `logs` and `destinations` stand beside these: lists of mappings, in the file only.
enum SettingKey: String, CaseIterable, Sendable {
    // One log and one archive, where no list is needed: by flag or environment.
    case log = "log"
    case archive = "archive"

    case shipTailInterval = "ship.tail-interval"
    case shipUploadsInFlight = "ship.uploads-in-flight"
    case shipMemoryLimit = "ship.memory-limit"
    case shipCompressionLevel = "ship.compression-level"
    case shipRetain = "ship.retain"
    case shipArchiveRetain = "ship.archive-retain"
    case shipSettle = "ship.settle"
    case shipMaxLocalBytes = "ship.max-local-bytes"
    case shipBacklogPolicy = "ship.backlog-policy"
    case shipClaimSettle = "ship.claim-settle"
    case shipBandwidthLimit = "ship.bandwidth-limit"
    case shipImmutable = "ship.immutable"
    case shipFencing = "ship.fencing"

    case retryDelayMax = "retry.delay-max"

    case httpConnectTimeout = "http.connect-timeout"
    case httpStallTimeout = "http.stall-timeout"
    case httpStallBytesPerSecond = "http.stall-bytes-per-second"
    case httpCAFile = "http.ca-file"
    case httpClientCertificateFile = "http.client-certificate-file"
    case httpClientKeyFile = "http.client-key-file"
    case httpProxy = "http.proxy"
    case httpHTTP2 = "http.http2"
    case httpQuery = "http.query"
    case httpHeaders = "http.headers"
    case httpUsername = "http.username"
    case httpPassword = "http.password"
    case httpPasswordFile = "http.password-file"
    case httpBearerToken = "http.bearer-token"
    case httpBearerTokenFile = "http.bearer-token-file"

    case s3Endpoint = "s3.endpoint"
    case s3Region = "s3.region"
    case s3Addressing = "s3.addressing"
    case s3Payload = "s3.payload"
    case s3CredentialsFile = "s3.credentials-file"
    case s3Profile = "s3.profile"

    case encryptionKeyFile = "encryption.key-file"
    case encryptionKeyCommand = "encryption.key-command"
    case encryptionOldKeyFiles = "encryption.old-key-files"

    case logLevel = "log.level"
    case shutdownDeadline = "shutdown-deadline"

    /// Where a setting may stand. Flags exist for few; the command says which. `destination` is an entry of `destinations`, where the
    /// setting holds for that one alone.
    enum Place: Hashable, Sendable { case file, destination, environment, flag }

    var places: Set<Place> {
        switch self {
        case .log, .archive: [.environment, .flag]
        case .logLevel, .shutdownDeadline: [.file, .environment, .flag]
        // Secrets stand in the environment or in a file of their own: a flag shows in the list of processes, and a
        // configuration file is read by more people than a secret should be.
        case .httpPassword, .httpBearerToken: [.environment]
        case .s3Addressing, .s3Payload, .s3CredentialsFile, .s3Profile: [.file, .destination, .environment]
        case .encryptionKeyCommand: [.file, .destination, .environment]
        case .httpUsername, .httpPasswordFile, .httpBearerTokenFile, .httpHeaders, .httpQuery: [.file, .destination, .environment]
        default: [.file, .destination, .environment, .flag]
        }
    }

    /// Settings that mean something only together: an entry of `destinations` that has one of them has them all, so that one
    /// destination's user is never paired with another's password.
    static let groups: [Set<SettingKey>] = [
        [.httpUsername, .httpPassword, .httpPasswordFile, .httpBearerToken, .httpBearerTokenFile],
        [.encryptionKeyFile, .encryptionKeyCommand, .encryptionOldKeyFiles],
        [.httpClientCertificateFile, .httpClientKeyFile],
    ]

    /// The setting and those that go with it.
    var group: Set<SettingKey> { Self.groups.first { $0.contains(self) } ?? [self] }

    /// Whether the value must never be shown.
    var isSecret: Bool {
        switch self {
        // A command may name a token.
        case .httpPassword, .httpBearerToken, .httpHeaders, .httpQuery, .encryptionKeyCommand: true
        default: false
        }
    }

    var components: [String] { rawValue.split(separator: ".").map(String.init) }

    /// `WALSHIPD_` and the key in capitals, anything but letters and digits as `_`.
    var environmentName: String {
        Self.environmentPrefix
            + String(rawValue.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    }

    static let environmentPrefix = "WALSHIPD_"

    /// The flag's name where a command has one.
    var flagName: String {
        switch self {
        case .s3Endpoint: "--endpoint"
        case .s3Region: "--region"
        case .encryptionKeyFile, .encryptionOldKeyFiles: "--key-file"
        default: "--" + rawValue.replacing(".", with: "-")
        }
    }
}
