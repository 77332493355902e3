import Synchronization

/// One thread where followers of a log have their blocking reads done, so that none of them holds a thread of the cooperative pool. Jobs
/// come one after the other; each reads at most a chunk.
///
/// Started with the first job. What a job captures must not own this object's owner: it may be released on this thread.
final class ReadingThread: Sendable {
    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var isStopped = false
    }

    /// What the thread keeps alive; the thread ends once this is stopped and empty.
    private final class Queue: Sendable {
        let state = Mutex(State())
        let parker = Parker()

        func run() {
            while true {
                let (jobs, isStopped) = state.withLock { state in
                    defer { state.jobs = [] }
                    return (state.jobs, state.isStopped)
                }
                for job in jobs { job() }
                if !jobs.isEmpty { continue }
                if isStopped { return }
                parker.park()
            }
        }
    }

    private let queue = Queue()
    private let name: String
    private let thread = Mutex<NamedThread?>(nil)

    /// `name` has at most 15 bytes.
    init(name: String) { self.name = name }

    deinit { stop() }

    /// Runs `body` on the thread. `.stopped` after `stop`.
    func run<T: Sendable>(_ body: @escaping @Sendable () throws(WALError) -> T) async throws(WALError) -> T {
        let result: Result<T, WALError> = await withCheckedContinuation { continuation in
            do throws(WALError) {
                try enqueue { continuation.resume(returning: Result { () throws(WALError) in try body() }) }
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
        return try result.get()
    }

    private func enqueue(_ job: @escaping @Sendable () -> Void) throws(WALError) {
        try thread.withLock { thread throws(WALError) in
            guard !queue.state.withLock({ $0.isStopped }) else { throw .stopped(cause: .closed) }
            if thread == nil {
                let queue = queue
                thread = try NamedThread(name: name) { queue.run() }
            }
            queue.state.withLock { $0.jobs.append(job) }
        }
        queue.parker.unpark()
    }

    /// No job begins any more after those that wait; returns when the thread has ended.
    func stop() {
        let thread = thread.withLock { thread in
            queue.state.withLock { $0.isStopped = true }
            defer { thread = nil }
            return thread
        }
        queue.parker.unpark()
        thread?.join()
    }
}
