import Archive
import Synchronization

/// A store behind a gate: while it is closed, requests hang until they are cancelled or it opens. Objects that were being created then may be
/// delivered later, as a server does that has the bytes and lost its client.
final class GateStore: ObjectStore {
    enum Gate { case open, closed }

    private struct State {
        var gate = Gate.open
        var late: [(key: ObjectKey, bytes: [UInt8])] = []
        /// Creations that hang although the gate is open.
        var hangs: @Sendable (ObjectKey) -> Bool = { _ in false }
        var heads: [ObjectKey] = []
        var deletions = Deletions.done
        var heldDeletions = 0
        /// Deletions that are done before others hang, and whether these are done too.
        var deletionsLeft = 0
        var doesHeldDeletions = false
    }
    private enum Deletions { case done, held, failing(ArchiveError) }
    let memory: MemoryObjectStore
    private let state = Mutex(State())

    init(_ memory: MemoryObjectStore = MemoryObjectStore()) { self.memory = memory }

    func close() { state.withLock { $0.gate = .closed } }
    func open() { state.withLock { $0.gate = .open } }
    func hang(_ hangs: @escaping @Sendable (ObjectKey) -> Bool) { state.withLock { $0.hangs = hangs } }
    /// Deletions hang, fail, or are done again.
    func holdDeletions(after count: Int = 0, done: Bool = false) {
        state.withLock { state in
            state.deletions = .held
            state.deletionsLeft = count
            state.doesHeldDeletions = done
        }
    }
    func failDeletions(_ error: ArchiveError) { state.withLock { $0.deletions = .failing(error) } }
    func letDeletionsGo() { state.withLock { $0.deletions = .done } }
    /// How often a deletion began to hang.
    var heldDeletions: Int { state.withLock { $0.heldDeletions } }
    /// What hung and was not delivered.
    var late: [ObjectKey] { state.withLock { $0.late.map(\.key) } }
    /// Keys that were asked for with HEAD.
    var heads: [ObjectKey] { state.withLock { $0.heads } }

    /// Stores what hung, where nothing is yet: the server has it after all.
    func deliver(_ isWanted: (ObjectKey) -> Bool = { _ in true }) {
        let late = state.withLock { state in
            defer { state.late.removeAll { isWanted($0.key) } }
            return state.late.filter { isWanted($0.key) }
        }
        for object in late where memory.contents[object.key] == nil { memory.plant(object.key, object.bytes) }
    }

    private func pass(_ key: ObjectKey, creating bytes: [UInt8]? = nil) async throws(ArchiveError) {
        var isNoted = false
        while true {
            let hangs = state.withLock { state in
                let hangs = state.gate == .closed || bytes != nil && state.hangs(key)
                if hangs, let bytes, !isNoted { state.late.append((key, bytes)) }
                return hangs
            }
            guard hangs else { return }
            isNoted = true
            do {
                try await Task.sleep(for: .milliseconds(2))
            } catch {
                throw ArchiveError(.cancelled, "cancelled", outcome: .unknown, key: key)
            }
        }
    }

    var name: String { memory.name }
    var capabilities: StoreCapabilities { get async { await memory.capabilities } }
    func assume(_ capabilities: StoreCapabilities) async { await memory.assume(capabilities) }
    func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities {
        try await pass(prefix)
        return try await memory.probe(prefix: prefix)
    }
    func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome {
        try await pass(key, creating: bytes)
        return try await memory.create(key, bytes)
    }
    func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) {
        try await pass(key)
        try await memory.replace(key, bytes)
    }
    func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        try await pass(key)
        return try await memory.get(key, range: range, limit: limit)
    }
    func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        state.withLock { $0.heads.append(key) }
        try await pass(key)
        return try await memory.head(key)
    }
    func delete(_ key: ObjectKey) async throws(ArchiveError) {
        try await pass(key)
        let (isHeld, isDone) = state.withLock { state -> (Bool, Bool) in
            guard case .held = state.deletions else { return (false, false) }
            state.deletionsLeft -= 1
            guard state.deletionsLeft < 0 else { return (false, false) }
            return (true, state.doesHeldDeletions)
        }
        if isHeld, isDone { try await memory.delete(key) }
        if isHeld { state.withLock { $0.heldDeletions += 1 } }
        while isHeld, case .held = state.withLock({ $0.deletions }) {
            do {
                try await Task.sleep(for: .milliseconds(2))
            } catch {
                throw ArchiveError(.cancelled, "cancelled", outcome: .unknown, key: key)
            }
        }
        if case .failing(let error) = state.withLock({ $0.deletions }) { throw error }
        try await memory.delete(key)
    }
    func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome {
        try await pass(key)
        return try await memory.makeCollection(key)
    }
    func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] {
        try await pass(prefix)
        return try await memory.list(prefix)
    }
}
