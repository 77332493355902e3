/// Every setting by its key, the one list from which the file's keys, the environment's names and their check follow.
///
/// `logs` and `destinations` stand beside these: lists of mappings, in the file only.
enum SettingKey: String, CaseIterable, Sendable {
    // One log and one archive, where no list is needed: by flag or environment.
    case log = "log"
    case archive = "archive"

    case shipTailInterval = "ship.tail-interval"
    case shipUploadsInFlight = "ship.uploads-in-flight"
    case shipCompressionLevel = "ship.compression-level"
    case shipRetain = "ship.retain"
    case shipSettle = "ship.settle"
    case shipClaimSettle = "ship.claim-settle"

    case retryDelayMax = "retry.delay-max"

    case httpConnectTimeout = "http.connect-timeout"
    case httpStallTimeout = "http.stall-timeout"
    case httpStallBytesPerSecond = "http.stall-bytes-per-second"
    case httpCAFile = "http.ca-file"
    case httpProxy = "http.proxy"
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

    case logLevel = "log.level"
    case shutdownDeadline = "shutdown-deadline"

    /// Where a setting may stand. Flags exist for few; the command says which.
    enum Place: Hashable, Sendable { case file, environment, flag }

    var places: Set<Place> {
        switch self {
        case .log, .archive: [.environment, .flag]
        // Secrets stand in the environment or in a file of their own: a flag shows in the list of processes, and a
        // configuration file is read by more people than a secret should be.
        case .httpPassword, .httpBearerToken: [.environment]
        case .s3Addressing, .s3Payload: [.file, .environment]
        case .httpUsername, .httpPasswordFile, .httpBearerTokenFile, .httpHeaders: [.file, .environment]
        default: [.file, .environment, .flag]
        }
    }

    /// Whether the value must never be shown.
    var isSecret: Bool {
        switch self {
        case .httpPassword, .httpBearerToken, .httpHeaders: true
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
        default: "--" + rawValue.replacing(".", with: "-")
        }
    }
}
