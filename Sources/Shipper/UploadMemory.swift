package import Archive
import Synchronization

/// How many bytes the objects of one destination may take in memory, over all logs that are shipped to it: read, compressed, and waiting to be acknowledged.
///
/// A destination that fails keeps each log's objects in flight for as long as it fails; without this, two hundred logs of 16 MiB segments with two uploads each
/// would take 6 GiB for it. Whoever comes first is served first; an object that is larger than all of it goes alone. Nobody waits for this while holding some
/// of it, so that what is under way ends by itself. Any thread.
public final class UploadMemory: Sendable {
    private struct Waiting {
        var number: UInt64
        var bytes: UInt64
        var continuation: CheckedContinuation<Bool, Never>
    }
    private struct State {
        var used: UInt64 = 0
        var usedMost: UInt64 = 0
        var waiting: [Waiting] = []
        var lastNumber: UInt64 = 0
        /// Have a number and do not wait yet.
        var coming: Set<UInt64> = []
    }

    /// A part of it, until it is let go, or nobody knows it any more.
    package final class Share: Sendable {
        private let memory: UploadMemory
        private let bytes: Mutex<UInt64>

        fileprivate init(_ memory: UploadMemory, _ bytes: UInt64) {
            self.memory = memory
            self.bytes = Mutex(bytes)
        }

        /// Less is needed from here on. It never grows.
        package func shrink(to count: Int) {
            let freed = bytes.withLock { bytes in
                let kept = min(bytes, UInt64(count))
                defer { bytes = kept }
                return bytes - kept
            }
            memory.free(freed)
        }

        deinit { memory.free(bytes.withLock { $0 }) }
    }

    public let limit: UInt64
    private let state = Mutex(State())

    /// `limit` in bytes. Traps on 0.
    public init(limit: UInt64) {
        precondition(limit > 0, "uploads without memory")
        self.limit = limit
    }

    /// Bytes that are taken now, and at most so far.
    public var used: UInt64 { state.withLock { $0.used } }
    public var usedMost: UInt64 { state.withLock { $0.usedMost } }

    /// How many wait for some.
    package var waitingCount: Int { state.withLock { $0.waiting.count } }

    /// Waits until so many bytes are free. Throws `.cancelled` with its task.
    package func share(_ bytes: UInt64) async throws(ArchiveError) -> Share {
        let number = state.withLock { state in
            state.lastNumber += 1
            state.coming.insert(state.lastNumber)
            return state.lastNumber
        }
        let isGranted = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in begin(Waiting(number: number, bytes: bytes, continuation: continuation)) }
        } onCancel: {
            cancel(number)
        }
        guard isGranted else { throw ArchiveError(.cancelled, "cancelled while waiting for memory") }
        return Share(self, bytes)
    }

    private func begin(_ waiting: Waiting) {
        let isCancelled = state.withLock { state in
            guard state.coming.remove(waiting.number) != nil else { return true }
            state.waiting.append(waiting)
            return false
        }
        if isCancelled { waiting.continuation.resume(returning: false) } else { serve() }
    }

    private func cancel(_ number: UInt64) {
        let continuation = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            guard let index = state.waiting.firstIndex(where: { $0.number == number }) else {
                state.coming.remove(number)
                return nil
            }
            return state.waiting.remove(at: index).continuation
        }
        continuation?.resume(returning: false)
        // It may have stood before others who need less.
        serve()
    }

    private func free(_ bytes: UInt64) {
        guard bytes > 0 else { return }
        state.withLock { state in
            precondition(bytes <= state.used, "more memory is let go than was taken")
            state.used -= bytes
        }
        serve()
    }

    /// Those in front, as long as there is room for them.
    private func serve() {
        let served = state.withLock { state -> [CheckedContinuation<Bool, Never>] in
            var served: [CheckedContinuation<Bool, Never>] = []
            while let first = state.waiting.first, state.used == 0 || first.bytes <= limit - min(state.used, limit) {
                state.used += first.bytes
                state.usedMost = max(state.usedMost, state.used)
                served.append(state.waiting.removeFirst().continuation)
            }
            return served
        }
        for continuation in served { continuation.resume(returning: true) }
    }
}
