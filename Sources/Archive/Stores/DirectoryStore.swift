import Dispatch
import Synchronization

/// An archive in a directory of the local machine (or of a mounted one): `file://`. Objects are plain files at their keys.
///
/// A create writes to `.incoming/` below the root, syncs, and links the file to its name, which is exclusive; a replace
/// renames. Both answer when file, directory entry and every new parent are on stable storage. One thread at a time does the
/// blocking work, never the cooperative pool. Each call has a deadline; what the file system does not answer by then
/// is `.unreachable` with an unknown outcome, and the calls behind it wait for the same file system. Safe from any task, and
/// beside other processes on the same directory.
public final class DirectoryStore: ObjectStore {
    /// Seconds that one call may take, waiting for the calls before it included: a disk that is this slow is not there.
    public static let deadlineDefault = 120.0

    public let name: String
    private let queue = DispatchQueue(label: "walship.directory-store")
    private let worker: WorkerBox
    private let deadline: Double
    private let known = Mutex(StoreCapabilities())

    /// `root` is an absolute path; it is made, with its parents, by the first write. Throws `.invalid` for any other path.
    public convenience init(root: String, deadline: Double = DirectoryStore.deadlineDefault) throws(ArchiveError) {
        try self.init(root: root, deadline: deadline, trace: nil)
    }

    /// `trace` is told what became durable, in order.
    package init(root: String, deadline: Double, trace: (@Sendable (String) -> Void)?) throws(ArchiveError) {
        guard root.hasPrefix("/"), !root.utf8.contains(0) else {
            throw ArchiveError(.invalid, "the archive's directory must be an absolute path, not \(root)")
        }
        precondition(deadline > 0, "a deadline of \(deadline) s")
        name = "file://\(root)"
        self.deadline = deadline
        worker = WorkerBox(DirectoryWorker(root: root, trace: trace))
    }

    public var capabilities: StoreCapabilities {
        get async { known.withLock { $0 } }
    }

    public func assume(_ capabilities: StoreCapabilities) async {
        known.withLock { $0 = capabilities }
    }

    /// `prefix` stays untouched: the trial takes place in `.incoming/`, on the same file system.
    public func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities {
        let found = try await perform(prefix) { (worker, _) throws(ArchiveError) in try worker.probe() }
        known.withLock { $0 = found }
        return found
    }

    public func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome {
        try await perform(key) { (worker, cancellation) throws(ArchiveError) in try worker.create(key, bytes, cancellation) }
    }

    public func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) {
        try await perform(key) { (worker, cancellation) throws(ArchiveError) in try worker.replace(key, bytes, cancellation) }
    }

    public func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] {
        try await perform(key) { (worker, cancellation) throws(ArchiveError) in
            try worker.get(key, range, limit: limit, cancellation)
        }
    }

    /// An object that it reports is durable, directory entry included, whichever process made it.
    public func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? {
        try await perform(key) { (worker, _) throws(ArchiveError) in try worker.head(key) }
    }

    public func delete(_ key: ObjectKey) async throws(ArchiveError) {
        try await perform(key) { (worker, _) throws(ArchiveError) in try worker.delete(key) }
    }

    public func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome {
        try await perform(key) { (worker, _) throws(ArchiveError) in try worker.makeCollection(key) }
    }

    public func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] {
        try await perform(prefix) { (worker, cancellation) throws(ArchiveError) in try worker.list(prefix, cancellation) }
    }

    /// Runs `work` on the store's queue, and answers when it is done, at the deadline, or when the task is cancelled:
    /// whichever comes first. Work that was given up stops at its next look, before it takes effect; where it cannot stop
    /// any more, the outcome was reported as unknown.
    private func perform<T: Sendable>(
        _ key: ObjectKey, _ work: @escaping @Sendable (DirectoryWorker, Cancellation) throws(ArchiveError) -> T
    ) async throws(ArchiveError) -> T {
        let cancellation = Cancellation()
        let reply = Reply<T>()
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                reply.expect(continuation)
                queue.async { [worker] in
                    guard !cancellation.isRequested else { return reply.give(.failure(Cancellation.error(key))) }
                    do throws(ArchiveError) {
                        reply.give(.success(try work(worker.value, cancellation)))
                    } catch {
                        reply.give(.failure(error))
                    }
                }
                DispatchQueue.global().asyncAfter(deadline: .now() + deadline) { [weak reply, deadline] in
                    guard let reply, !reply.isGiven else { return }
                    cancellation.request()
                    reply.give(.failure(ArchiveError(
                        .unreachable, "the file system did not answer within \(deadline) s", outcome: .unknown, key: key)))
                }
            }
        } onCancel: {
            cancellation.request()
            reply.give(.failure(Cancellation.error(key, outcome: .unknown)))
        }
        return try result.get()
    }
}

/// Carries the worker into the queue's closures.
/// Unchecked, because only closures on the store's serial queue touch it.
private struct WorkerBox: @unchecked Sendable {
    let value: DirectoryWorker

    init(_ value: DirectoryWorker) {
        self.value = value
    }
}

/// Whether the caller has gone away. Set once.
final class Cancellation: Sendable {
    private let flag = Atomic(false)

    var isRequested: Bool { flag.load(ordering: .relaxed) }
    func request() { flag.store(true, ordering: .relaxed) }

    static func error(_ key: ObjectKey?, outcome: ArchiveError.Outcome = .notDone) -> ArchiveError {
        ArchiveError(.cancelled, "cancelled", outcome: outcome, key: key)
    }
}

/// One answer to one waiting task: the first to come is given, later ones are dropped because nobody waits any more.
private final class Reply<T: Sendable>: Sendable {
    private enum State {
        case idle
        case waiting(CheckedContinuation<Result<T, ArchiveError>, Never>)
        case early(Result<T, ArchiveError>)
        case given
    }
    private let state = Mutex(State.idle)

    var isGiven: Bool {
        state.withLock { if case .given = $0 { true } else { false } }
    }

    func expect(_ continuation: CheckedContinuation<Result<T, ArchiveError>, Never>) {
        let early: Result<T, ArchiveError>? = state.withLock { state in
            if case .early(let result) = state {
                state = .given
                return result
            }
            state = .waiting(continuation)
            return nil
        }
        if let early { continuation.resume(returning: early) }
    }

    func give(_ result: Result<T, ArchiveError>) {
        let continuation: CheckedContinuation<Result<T, ArchiveError>, Never>? = state.withLock { state in
            switch state {
            case .idle:
                state = .early(result)
                return nil
            case .waiting(let continuation):
                state = .given
                return continuation
            case .early, .given:
                return nil
            }
        }
        continuation?.resume(returning: result)
    }
}
