import Archive

/// The environment as it holds for the destination of a copy, beside that of its source.
///
/// `WALSHIPD_TO_…` takes the place of `WALSHIPD_…` there, and `WALSHIPD_TO_AWS_…` of `AWS_…`; what is not said is as for the source. But credentials never go
/// to a server that they were not given for: where the two archives lie on different servers of one kind, those of the source do not hold for the destination.
struct DestinationEnvironment {
    static let prefix = "WALSHIPD_TO_"

    /// As commands read it for one archive.
    private(set) var variables: [String: String]
    /// Names that begin with the prefix and mean nothing.
    private(set) var unknown: [String] = []
    /// Which of the variables are the destination's own.
    private var own: Set<String> = []

    /// Where an archive lies: what it is spoken to as, and to whom.
    struct Server: Equatable {
        enum Kind { case http, s3, directory }
        var kind: Kind
        /// Scheme, host and port; empty for AWS and for directories.
        var address: String

        init(_ url: StoreURL, endpoint: String?) {
            switch url.place {
            case .http(let base): self.init(kind: .http, address: Self.address(base))
            case .s3: self.init(kind: .s3, address: endpoint.map(Self.address) ?? "")
            case .directory: self.init(kind: .directory, address: "")
            }
        }

        private init(kind: Kind, address: String) {
            self.kind = kind
            self.address = address
        }

        private static func address(_ url: String) -> String {
            url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).prefix(3).joined(separator: "/")
        }
    }

    /// Keys of buckets stand where the AWS tools look for them.
    private static let bucketKeys: Set<String> = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"]
    private static let bucketSettings: Set<String> = Set([SettingKey.s3CredentialsFile, .s3Profile].map(\.environmentName))
    private static let serverSettings: Set<String> = Set(
        [
            SettingKey.httpUsername, .httpPassword, .httpPasswordFile, .httpBearerToken, .httpBearerTokenFile, .httpQuery, .httpClientCertificateFile,
            .httpClientKeyFile,
        ].map(\.environmentName))
    /// Extra headers may hold tokens, and go to servers and buckets alike.
    private static let headers = SettingKey.httpHeaders.environmentName

    /// `source` and `destination` with the endpoints that hold for them.
    init(_ environment: [String: String], source: Server, destination: (Self) -> Server) {
        let settings = Set(SettingKey.allCases.filter { $0.places.contains(.environment) && $0.places.contains(.destination) }.map(\.environmentName))
            .union([SettingKey.httpPassword, .httpBearerToken].map(\.environmentName))
        variables = environment.filter { !$0.key.hasPrefix(Self.prefix) }
        for (name, value) in environment where name.hasPrefix(Self.prefix) && !value.isEmpty {
            let rest = name.dropFirst(Self.prefix.count)
            let inner = rest.hasPrefix("AWS_") ? String(rest) : SettingKey.environmentPrefix + rest
            guard rest.hasPrefix("AWS_") || settings.contains(inner) else {
                unknown.append(name)
                continue
            }
            own.insert(inner)
            variables[inner] = value
        }
        unknown.sort()
        // What goes together is taken from one place.
        let groups = SettingKey.groups.map { Set($0.map(\.environmentName)) } + [Self.bucketKeys.union(Self.bucketSettings)]
        for group in groups where !group.isDisjoint(with: own) { remove(group) }
        let destination = destination(self)
        guard source.kind != .directory, destination != source else { return }
        remove([Self.headers])
        guard destination.kind == source.kind else { return }
        remove(source.kind == .s3 ? Self.bucketKeys.union(Self.bucketSettings) : Self.serverSettings)
    }

    /// But for the destination's own.
    private mutating func remove(_ names: Set<String>) {
        for name in names.subtracting(own) { variables[name] = nil }
    }

    /// The error with the names that the user wrote.
    func named(_ error: ConfigurationError) -> ConfigurationError {
        var error = error
        switch error.origin {
        case .environment(let name) where own.contains(name):
            error.origin = .environment(Self.prefix + name.dropFirst(SettingKey.environmentPrefix.count))
        case .flag(let name) where ["--endpoint", "--region"].contains(name): error.origin = .flag("--to-" + name.dropFirst(2))
        default: break
        }
        return error
    }
}
