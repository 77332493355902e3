import Archive
import Synchronization

/// A store that lets a test see each request to another before it is made, and end the copier's life there.
final class WatchedStore: ObjectStore {
    let base: any ObjectStore
    private let before: @Sendable (_ request: Int, _ isWrite: Bool, _ key: ObjectKey) async throws(ArchiveError) -> Void
    private let requests = Mutex(0)

    init(_ base: any ObjectStore, before: @escaping @Sendable (Int, Bool, ObjectKey) async throws(ArchiveError) -> Void = { _, _, _ in }) {
        self.base = base
        self.before = before
    }

    /// Fails from the `n`th request on, counted from 0, as if the process had died there.
    static func dying(_ base: any ObjectStore, at n: Int) -> WatchedStore {
        WatchedStore(base) { (request, _, _) throws(ArchiveError) in
            if request >= n { throw ArchiveError(.unauthorized(status: 403), "dead") }
        }
    }

    var count: Int { requests.withLock { $0 } }

    private func see(_ key: ObjectKey, isWrite: Bool = false) async throws(ArchiveError) {
        let number = requests.withLock { count in
            defer { count += 1 }
            return count
        }
        try await before(number, isWrite, key)
    }

    var name: String { base.name }
    var capabilities: StoreCapabilities { get async { await base.capabilities } }
    func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities { try await base.probe(prefix: prefix) }
    func assume(_ capabilities: StoreCapabilities) async { await base.assume(capabilities) }
    func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome {
        try await see(key, isWrite: true)
        return try await base.create(key, bytes)
    }
    func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) {
        try await see(key, isWrite: true)
        try await base.replace(key, bytes)
    }
    func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        try await see(key)
        return try await base.get(key, range: range, limit: limit)
    }
    func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        try await see(key)
        return try await base.head(key)
    }
    func delete(_ key: ObjectKey) async throws(ArchiveError) {
        try await see(key, isWrite: true)
        try await base.delete(key)
    }
    func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome {
        try await see(key, isWrite: true)
        return try await base.makeCollection(key)
    }
    func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] {
        try await see(prefix)
        return try await base.list(prefix)
    }
}
