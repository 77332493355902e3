import Synchronization

/// An archive in memory, with the manners and the faults that a test asks for. Safe from any task; nothing outlives it.
///
/// Its `capabilities` are what it is made with, and it behaves accordingly: without `conditionalCreate` a create looks
/// first and then stores, with a suspension between, so that rivals can both succeed.
public final class MemoryObjectStore: ObjectStore {
    /// What a fault can be asked for.
    public enum Operation: Hashable, Sendable, CaseIterable {
        case create, replace, get, head, delete, makeCollection, list, probe
    }

    /// What happens to one call instead of the ordinary.
    public enum Fault: Sendable {
        /// Nothing is done, and the error is thrown.
        case fail(ArchiveError)
        /// It is done, and then the error is thrown: the reply was lost.
        case loseReply(ArchiveError)
        /// Only the first bytes are stored, and then the error is thrown. For create and replace.
        case cut(at: Int, ArchiveError)
        /// It is confirmed and not done: for create and replace.
        case pretend
        /// The bytes are changed on their way in (create, replace) or out (get).
        case corrupt(@Sendable (inout [UInt8]) -> Void)
        /// The closure is awaited first; then the call goes on.
        case delay(@Sendable () async -> Void)
    }

    private struct State {
        var objects: [ObjectKey: [UInt8]] = [:]
        var collections: Set<ObjectKey> = []
        var faults: [Operation: [Fault]] = [:]
        var calls: [Operation: Int] = [:]
        var capabilities: StoreCapabilities
    }

    /// What it can do when it is made with nothing else: everything but MOVE.
    public static let everything: StoreCapabilities = [
        .probed, .conditionalCreate, .exclusiveCollections, .cutUploadsInvisible, .verifiesChecksum, .list, .rangeGet,
    ]

    public let name = "memory"
    private let actual: StoreCapabilities
    private let state: Mutex<State>

    /// `capabilities` is how it behaves and what its probe finds. Before a probe, `capabilities` is what was `assumed`.
    public init(capabilities: StoreCapabilities = MemoryObjectStore.everything, assumed: StoreCapabilities? = nil) {
        actual = capabilities
        state = Mutex(State(capabilities: assumed ?? capabilities))
    }

    /// The next calls of `operation` meet these faults, one each, in order, after those queued before.
    public func inject(_ faults: Fault..., into operation: Operation) {
        state.withLock { $0.faults[operation, default: []] += faults }
    }

    /// How often `operation` was called.
    public func count(of operation: Operation) -> Int {
        state.withLock { $0.calls[operation, default: 0] }
    }

    /// Everything that is stored.
    public var contents: [ObjectKey: [UInt8]] { state.withLock(\.objects) }

    /// Puts bytes there without any manners; nil removes them.
    public func plant(_ key: ObjectKey, _ bytes: [UInt8]?) {
        state.withLock { $0.objects[key] = bytes }
    }

    public var capabilities: StoreCapabilities {
        get async { state.withLock(\.capabilities) }
    }

    public func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities {
        let reply = try await begin(.probe)
        state.withLock { $0.capabilities = actual.union(.probed) }
        try reply.finish()
        return actual.union(.probed)
    }

    public func assume(_ capabilities: StoreCapabilities) async {
        state.withLock { $0.capabilities = capabilities }
    }

    public func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome {
        let reply = try await begin(.create)
        if !actual.contains(.conditionalCreate) {
            if state.withLock({ $0.objects[key] != nil }) { return .exists }
            await Task.yield()
        }
        let isExclusive = actual.contains(.conditionalCreate)
        let outcome = state.withLock { state -> CreateOutcome in
            if isExclusive, state.objects[key] != nil { return .exists }
            reply.store(bytes, at: key, in: &state.objects)
            return .created
        }
        try reply.finish()
        return outcome
    }

    public func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) {
        let reply = try await begin(.replace)
        state.withLock { reply.store(bytes, at: key, in: &$0.objects) }
        try reply.finish()
    }

    public func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        let reply = try await begin(.get)
        guard var bytes = state.withLock({ $0.objects[key] }) else {
            throw ArchiveError(.notFound, "nothing is there", key: key)
        }
        if let range {
            let count = UInt64(bytes.count)
            bytes = Array(bytes[Int(min(range.lowerBound, count))..<Int(min(range.upperBound, count))])
        }
        guard bytes.count <= limit else {
            throw ArchiveError(.refused(status: 0), "the object has more than the \(limit) bytes that were asked for", key: key)
        }
        if case .corrupt(let change) = reply.fault { change(&bytes) }
        try reply.finish()
        return bytes
    }

    public func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        let reply = try await begin(.head)
        let info = state.withLock { $0.objects[key].map { ObjectInfo(size: UInt64($0.count)) } }
        try reply.finish()
        return info
    }

    public func delete(_ key: ObjectKey) async throws(ArchiveError) {
        let reply = try await begin(.delete)
        state.withLock { _ = $0.objects.removeValue(forKey: key) }
        try reply.finish()
    }

    public func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome {
        let reply = try await begin(.makeCollection)
        guard actual.contains(.exclusiveCollections) else {
            throw ArchiveError(.unsupported, "this store has no collections", key: key)
        }
        let outcome: CreateOutcome = state.withLock { $0.collections.insert(key).inserted ? .created : .exists }
        try reply.finish()
        return outcome
    }

    public func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] {
        let reply = try await begin(.list)
        guard actual.contains(.list) else { throw ArchiveError(.unsupported, "this store cannot list", key: prefix) }
        let keys = state.withLock { $0.objects.keys.filter { $0.path.hasPrefix(prefix.path + "/") }.sorted() }
        try reply.finish()
        return keys
    }

    /// Counts the call and takes the next fault for it.
    private func begin(_ operation: Operation) async throws(ArchiveError) -> Reply {
        let fault: Fault? = state.withLock { state in
            state.calls[operation, default: 0] += 1
            guard state.faults[operation]?.isEmpty == false else { return nil }
            return state.faults[operation]?.removeFirst()
        }
        if case .delay(let closure) = fault { await closure() }
        if Task.isCancelled { throw ArchiveError(.cancelled, "cancelled") }
        if case .fail(let error) = fault { throw error }
        return Reply(fault: fault)
    }

    /// What becomes of one call after it has begun.
    private struct Reply {
        let fault: Fault?

        func store(_ bytes: [UInt8], at key: ObjectKey, in objects: inout [ObjectKey: [UInt8]]) {
            switch fault {
            case .cut(let size, _): objects[key] = Array(bytes.prefix(size))
            case .pretend: return
            case .corrupt(let change):
                var bytes = bytes
                change(&bytes)
                objects[key] = bytes
            case .fail, .loseReply, .delay, nil: objects[key] = bytes
            }
        }

        func finish() throws(ArchiveError) {
            switch fault {
            case .loseReply(let error), .cut(_, let error): throw error
            case .fail, .pretend, .corrupt, .delay, nil: return
            }
        }
    }
}
