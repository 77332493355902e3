import Glibc
import Synchronization

/// Threads that begin together.
enum Gang {
    /// Runs `body` once on each of `count` new threads, with numbers from 0, and waits for all of them.
    ///
    /// - Returns: nanoseconds from the first call's beginning to the last one's end.
    /// - Throws: the first error of a thread, after all have ended.
    static func run(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws -> Double {
        let gate = Gate(count)
        let results = Mutex<(start: UInt64, end: UInt64, error: (any Error)?)>((.max, 0, nil))
        let threads = try (0..<count).map { index in
            try start {
                gate.wait()
                let start = Clock.now()
                var failure: (any Error)?
                do { try body(index) } catch { failure = error }
                let end = Clock.now()
                results.withLock { result in
                    result.start = min(result.start, start)
                    result.end = max(result.end, end)
                    if result.error == nil { result.error = failure }
                }
            }
        }
        for thread in threads { pthread_join(thread, nil) }
        return try results.withLock { result in
            if let error = result.error { throw error }
            return Double(result.end - result.start)
        }
    }

    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private static func start(_ body: @escaping @Sendable () -> Void) throws -> pthread_t {
        let work = Unmanaged.passRetained(Work(body))
        var thread = pthread_t()
        let code = pthread_create(&thread, nil, { argument in
            let work = Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue()
            work.body()
            return nil
        }, work.toOpaque())
        if code != 0 {
            work.release()
            throw BenchmarkError.system(call: "pthread_create", path: "", errno: code)
        }
        return thread
    }
}

/// Lets threads through when all have come.
private final class Gate: Sendable {
    private let missing: Atomic<Int>

    init(_ count: Int) { missing = Atomic(count) }

    /// Spinning and yielding: nobody sleeps when it opens.
    func wait() {
        missing.subtract(1, ordering: .sequentiallyConsistent)
        while missing.load(ordering: .sequentiallyConsistent) > 0 { sched_yield() }
    }
}
