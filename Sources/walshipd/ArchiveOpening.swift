import Archive
import Foundation
import Logging

/// An archive that was named on the command line: its store and the log's name in it.
///
/// Connection settings, credentials and keys come from the environment (`WALSHIPD_HTTP_…`, `WALSHIPD_S3_…`, `WALSHIPD_ENCRYPTION_…`, `AWS_…`), as for `walshipd run`.
struct ArchiveOpening {
    let store: any ObjectStore
    let log: Archive.LogName
    /// Without credentials.
    let url: String
    /// What opens its encrypted objects.
    let keys: KeyRing

    /// `transfers` large ones are made at one time. Nothing is sent yet. `isImmutable`: nothing there may be replaced or deleted, not even what a probe makes. Outages are
    /// said on standard error, unless `tellsOutages` is false: whoever asks does it then. Throws `.invalid` and `.unsupported` for a URL that cannot be used.
    init(
        _ argument: String, _ options: S3Options, _ keyOptions: KeyOptions, transfers: Int = 1, isImmutable: Bool = false, tellsOutages: Bool = true,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) async throws {
        let url = try ArchiveURL(argument)
        let reader = SettingReader(flags: options.flags.merging(keyOptions.flags) { $1 }, environment: environment, file: nil)
        let logger = StderrLogHandler.logger(level: .warning)
        var factory = StoreFactory(
            http: try HTTPSettings(from: reader), s3: try S3Settings(from: reader), uploadsInFlight: transfers, logger: logger, environment: environment)
        factory.immutable = isImmutable
        let base = try factory.store(for: url.store)
        store = tellsOutages ? TellingStore(base, url: url.text, logger: logger) : base
        log = url.logName
        self.url = url.text
        keys = try await EncryptionSettings(from: reader).keys()
    }
}
