import Archive
import Synchronization
import TestSupport

/// A store with a planted bug, through which a shipper loses or replaces what is archived.
final class CarelessStore: ObjectStore {
    enum Fault: CaseIterable {
        /// What the server was given is believed to be there: every look is answered from memory.
        case believesReplies
        /// An object that was just stored is replaced by a shorter one.
        case replacesObjects

        /// The script that shows it.
        var script: String {
            switch self {
            case .believesReplies: "yes, and nothing is stored"
            case .replacesObjects: "delayed requests and replies"
            }
        }
    }

    private let store: any ObjectStore
    private let fault: Fault
    private let given = Mutex<[ObjectKey: [UInt8]]>([:])

    init(_ store: any ObjectStore, _ fault: Fault) {
        self.store = store
        self.fault = fault
    }

    var name: String { store.name }
    var capabilities: StoreCapabilities { get async { await store.capabilities } }
    func assume(_ capabilities: StoreCapabilities) async { await store.assume(capabilities) }
    func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities { try await store.probe(prefix: prefix) }

    func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome {
        switch fault {
        case .believesReplies:
            let outcome = try await store.create(key, bytes)
            given.withLock { $0[key] = bytes }
            return outcome
        case .replacesObjects:
            let outcome = try await store.create(key, bytes)
            // Once is enough.
            let isFirst = given.withLock { given in
                guard key.path.contains("/segments/"), given.isEmpty else { return false }
                given[key] = bytes
                return true
            }
            if isFirst { try await store.replace(key, Array(bytes.dropLast())) }
            return outcome
        }
    }

    func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) { try await store.replace(key, bytes) }

    func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        if fault == .believesReplies, range == nil, let bytes = given.withLock({ $0[key] }) { return bytes }
        return try await store.get(key, range: range, limit: limit)
    }

    func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        if fault == .believesReplies, let bytes = given.withLock({ $0[key] }) { return ObjectInfo(size: UInt64(bytes.count)) }
        return try await store.head(key)
    }

    func delete(_ key: ObjectKey) async throws(ArchiveError) { try await store.delete(key) }
    func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome { try await store.makeCollection(key) }
    func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] { try await store.list(prefix) }
}
