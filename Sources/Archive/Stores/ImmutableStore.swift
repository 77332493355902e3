/// A store in which nothing is ever replaced or deleted, whatever is asked for: for buckets that keep everything they were given (object lock).
///
/// Reads and creates go through as they are. `replace` creates where nothing is, succeeds where the same bytes are, and is refused by name otherwise;
/// `delete` is refused. So no path through the program, however rare, can rely on what such a bucket does not do. The probe is the base's; over HTTP it is
/// told to keep what it makes (`HTTPSettings.keepsProbes`). Safe from any task.
public struct ImmutableStore: ObjectStore {
    private let base: any ObjectStore

    public init(_ base: any ObjectStore) { self.base = base }

    public var name: String { base.name }

    public var capabilities: StoreCapabilities { get async { await base.capabilities } }

    public func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities { try await base.probe(prefix: prefix) }

    public func assume(_ capabilities: StoreCapabilities) async { await base.assume(capabilities) }

    public func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome { try await base.create(key, bytes) }

    /// `.unsupported` where something else is there: nothing was changed.
    public func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) {
        guard try await base.create(key, bytes) == .exists else { return }
        var found: [UInt8]?
        do throws(ArchiveError) {
            found = try await base.get(key, range: nil, limit: ArchiveLimits.objectSizeMax)
        } catch where error.code == .notFound {
            // It is there and cannot be read: not what was asked for.
            found = nil
        }
        guard found == bytes else {
            throw ArchiveError(
                .unsupported, "something else is there already, and nothing is replaced in an immutable archive", key: key,
                hint: "look at it; if it is a damaged object of this log, ship to a new archive, or remove it by the store's own means")
        }
    }

    public func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        try await base.get(key, range: range, limit: limit)
    }

    public func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? { try await base.head(key) }

    /// `.unsupported`, always.
    public func delete(_ key: ObjectKey) async throws(ArchiveError) {
        throw ArchiveError(.unsupported, "nothing is deleted from an immutable archive", key: key)
    }

    public func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome { try await base.makeCollection(key) }

    public func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] { try await base.list(prefix) }
}
