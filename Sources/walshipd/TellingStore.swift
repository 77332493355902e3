import Archive
import Logging
import Synchronization

/// A store that says so when it fails in a way that is tried again, once until it answers: without it a command would be silent for as long as its patience lasts, which is a minute a request.
///
/// Everything goes through to the base as it is. Safe from any task.
final class TellingStore: ObjectStore {
    private let base: any ObjectStore
    private let logger: Logger
    private let isFailing = Mutex(false)

    /// `url` is the archive's, without credentials.
    init(_ base: any ObjectStore, url: String, logger: Logger) {
        self.base = base
        var logger = logger
        logger[metadataKey: "archive"] = "\(url)"
        self.logger = logger
    }

    private func telling<T>(_ request: () async throws(ArchiveError) -> T) async throws(ArchiveError) -> T {
        do throws(ArchiveError) {
            let answer = try await request()
            isFailing.withLock { $0 = false }
            return answer
        } catch {
            guard error.isRetryable else { throw error }
            let isNews = isFailing.withLock { isFailing in
                defer { isFailing = true }
                return !isFailing
            }
            if isNews { logger.warning("storage failed; trying again", metadata: ["reason": "\(error)"]) }
            throw error
        }
    }

    var name: String { base.name }

    var capabilities: StoreCapabilities { get async { await base.capabilities } }

    func assume(_ capabilities: StoreCapabilities) async { await base.assume(capabilities) }

    func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities {
        try await telling { () throws(ArchiveError) in try await base.probe(prefix: prefix) }
    }

    func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome {
        try await telling { () throws(ArchiveError) in try await base.create(key, bytes) }
    }

    func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) {
        try await telling { () throws(ArchiveError) in try await base.replace(key, bytes) }
    }

    func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        try await telling { () throws(ArchiveError) in try await base.get(key, range: range, limit: limit) }
    }

    func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        try await telling { () throws(ArchiveError) in try await base.head(key) }
    }

    func delete(_ key: ObjectKey) async throws(ArchiveError) {
        try await telling { () throws(ArchiveError) in try await base.delete(key) }
    }

    func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome {
        try await telling { () throws(ArchiveError) in try await base.makeCollection(key) }
    }

    func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] {
        try await telling { () throws(ArchiveError) in try await base.list(prefix) }
    }
}
