import Archive
import Foundation
import Logging

/// Makes stores from settings: the one place where every command gets the archive that a URL names.
struct StoreFactory: Sendable {
    var http: HTTPSettings
    var s3: S3Settings
    var uploadsInFlight: Int
    /// Bytes per second of uploads; nil: no limit.
    var bandwidthLimit: ByteSize?
    var immutable = false
    var logger: Logger
    /// Where the keys of S3 stores are looked for.
    var environment: [String: String]

    /// `uploadsInFlight` for each log that shares the store bounds its connections from below.
    init(
        http: HTTPSettings, s3: S3Settings, uploadsInFlight: Int = ShipSettings().uploadsInFlight, logger: Logger,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) {
        self.http = http
        self.s3 = s3
        self.environment = environment
        self.uploadsInFlight = uploadsInFlight
        self.logger = logger
    }

    init(_ destination: DestinationSettings, logs: Int, logger: Logger) {
        self.init(http: destination.http, s3: destination.s3, uploadsInFlight: destination.ship.uploadsInFlight * logs, logger: logger)
        bandwidthLimit = destination.ship.bandwidthLimit
        immutable = destination.ship.immutable
    }

    /// Nothing is sent yet. Every log below `url` may share the store.
    func store(for url: StoreURL) throws(ArchiveError) -> any ObjectStore {
        switch url.place {
        case .directory(let path): try DirectoryStore(root: path)
        case .http(let base): try HTTPStore(base: base, settings: httpSettings())
        case .s3(let place): try S3Store(place, settings: s3Settings(), http: connection())
        }
    }

    /// What holds for all that is spoken over HTTP.
    private func connection() -> Archive.HTTPSettings {
        var settings = Archive.HTTPSettings()
        settings.connectTimeout = http.connectTimeout
        settings.stallTimeout = http.stallTimeout
        settings.stallBytesPerSecond = Int(clamping: http.stallBytesPerSecond.bytes)
        // Uploads, and beside them claims, heads and deletions.
        settings.transfersMax = min(Self.transfersMax, uploadsInFlight + Self.smallTransfers)
        settings.sendBytesPerSecondMax = bandwidthLimit.map { Int(clamping: min($0.bytes, 1 << 40)) }
        settings.keepsProbes = immutable
        settings.userAgent = "walshipd/\(Version.current)"
        settings.proxy = http.proxy
        settings.caFile = http.caFile
        settings.clientCertificateFile = http.clientCertificateFile
        settings.clientKeyFile = http.clientKeyFile
        settings.http2 = http.http2
        settings.extraHeaders = http.headers.map { ($0.name, $0.value.value) }
        return settings
    }

    /// With the user or token, and the fixed query, of plain HTTP and WebDAV stores.
    private func httpSettings() -> Archive.HTTPSettings {
        var settings = connection()
        settings.fixedQuery = http.query?.value
        if let credentials = http.credentials {
            let logger = logger
            settings.credentials = {
                do throws(ConfigurationError) {
                    return try credentials.read()
                } catch {
                    // The request goes without, is refused, and says so; this says why.
                    logger.error("credentials cannot be read", metadata: ["reason": "\(error)"])
                    return nil
                }
            }
        }
        return settings
    }

    private func s3Settings() -> Archive.S3Settings {
        let source = S3CredentialSource(environment: s3.credentialEnvironment(environment))
        var settings = Archive.S3Settings { () throws(ArchiveError) in try source.read() }
        settings.endpoint = s3.endpoint
        // The AWS tools' own names, so that what works with those works here; an empty one counts as none.
        let regions = [s3.region, environment["AWS_REGION"], environment["AWS_DEFAULT_REGION"]]
        settings.region = regions.compactMap { $0 }.first { !$0.isEmpty } ?? settings.region
        settings.addressing = s3.addressing
        settings.payloadSigning = s3.payload
        return settings
    }

    private static let transfersMax = 128
    private static let smallTransfers = 6
}

extension HTTPSettings.Credentials {
    /// As of now: files are read again each time.
    fileprivate func read() throws(ConfigurationError) -> Archive.Credentials {
        switch self {
        case .basic(let username, let password): .basic(user: username, password: try password.read().value)
        case .bearer(let token): .bearer(token: try token.read().value)
        }
    }
}
