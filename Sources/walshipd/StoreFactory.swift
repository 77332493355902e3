import Archive
import Logging

/// Makes stores from settings: the one place where every command gets the archive that a URL names.
struct StoreFactory: Sendable {
    var http: HTTPSettings
    var uploadsInFlight: Int
    var logger: Logger

    /// `uploadsInFlight` for each log that shares the store bounds its connections from below.
    init(http: HTTPSettings, uploadsInFlight: Int = ShipSettings().uploadsInFlight, logger: Logger) {
        self.http = http
        self.uploadsInFlight = uploadsInFlight
        self.logger = logger
    }

    /// Nothing is sent yet. Every log below `url` may share the store.
    func store(for url: StoreURL) throws(ArchiveError) -> any ObjectStore {
        switch url.place {
        case .directory(let path): try DirectoryStore(root: path)
        case .http(let base): try HTTPStore(base: base, settings: settings())
        }
    }

    private func settings() -> Archive.HTTPSettings {
        var settings = Archive.HTTPSettings()
        settings.connectTimeout = http.connectTimeout
        settings.stallTimeout = http.stallTimeout
        settings.stallBytesPerSecond = Int(clamping: http.stallBytesPerSecond.bytes)
        // Uploads, and beside them claims, heads and deletions.
        settings.transfersMax = min(Self.transfersMax, uploadsInFlight + Self.smallTransfers)
        settings.userAgent = "walshipd/\(Version.current)"
        settings.proxy = http.proxy
        settings.caFile = http.caFile
        settings.extraHeaders = http.headers.map { ($0.name, $0.value.value) }
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
