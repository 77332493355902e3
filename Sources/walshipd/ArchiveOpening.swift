import Archive
import Foundation
import Logging

/// An archive that was named on the command line: its store and the log's name in it.
///
/// Connection settings and credentials come from the environment (`WALSHIPD_HTTP_…`), as for `walshipd run`.
struct ArchiveOpening {
    let store: any ObjectStore
    let log: Archive.LogName
    /// Without credentials.
    let url: String

    /// Nothing is sent yet. Throws `.invalid` and `.unsupported` for a URL that cannot be used.
    init(_ argument: String, environment: [String: String] = ProcessInfo.processInfo.environment) throws {
        let url = try ArchiveURL(argument)
        let http = try HTTPSettings(from: SettingReader(flags: [:], environment: environment, file: nil))
        store = try StoreFactory(http: http, logger: StderrLogHandler.logger(level: .warning)).store(for: url.store)
        log = url.logName
        self.url = url.text
    }
}
