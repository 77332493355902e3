import Archive
import Synchronization
import WAL

/// Where the blocking work of one shipper is done, one thing at a time on each of three lanes: reading; the slot and the
/// watermarks, which must not wait behind a large segment; and the watch over the backlog, which waits for neither. Compressing has no lane: what is
/// to be compressed at one time is, as far as there are threads. The threads are those of `WorkerPool`. Any task.
final class LogWorker: Sendable {
    enum Lane: Sendable { case heavy, compressing, light, watch }
    private let heavy = SerialLane(WorkerPool.heavy)
    private let light = SerialLane(WorkerPool.light)
    private let watch = SerialLane(WorkerPool.watch)

    /// Runs `body` to its end; cancelling does not cut it. What it waits for is the local disk.
    func run<T: Sendable>(
        _ lane: Lane, _ body: @escaping @Sendable () throws(WALError) -> T
    ) async throws(ShipperError) -> T {
        try await perform(lane) { () throws(ShipperError) in
            do throws(WALError) {
                return try body()
            } catch {
                throw ShipperError.log(error)
            }
        }
    }

    func perform<T: Sendable>(
        _ lane: Lane, _ body: @escaping @Sendable () throws(ShipperError) -> T
    ) async throws(ShipperError) -> T {
        try await value(lane) { Result { () throws(ShipperError) in try body() } }.get()
    }

    func value<T: Sendable>(_ lane: Lane, _ body: @escaping @Sendable () -> T) async -> T {
        await withCheckedContinuation { continuation in
            let job: WorkerPool.Job = { continuation.resume(returning: body()) }
            switch lane {
            case .heavy: heavy.submit(job)
            case .compressing: WorkerPool.heavy.submit(job)
            case .light: light.submit(job)
            case .watch: watch.submit(job)
            }
        }
    }
}

/// Jobs in order, one at a time; between two of them others have their turn on the pool's threads.
private final class SerialLane: Sendable {
    private let pool: WorkerPool
    /// Nil while nothing is under way, else what waits behind it.
    private let waiting = Mutex<[WorkerPool.Job]?>(nil)

    init(_ pool: WorkerPool) { self.pool = pool }

    func submit(_ job: @escaping WorkerPool.Job) {
        let isFirst = waiting.withLock { waiting in
            guard waiting == nil else {
                waiting?.append(job)
                return false
            }
            waiting = []
            return true
        }
        if isFirst { begin(job) }
    }

    private func begin(_ job: @escaping WorkerPool.Job) {
        pool.submit { [self] in
            job()
            let next = waiting.withLock { waiting -> WorkerPool.Job? in
                guard waiting?.isEmpty == false else {
                    waiting = nil
                    return nil
                }
                return waiting?.removeFirst()
            }
            if let next { begin(next) }
        }
    }
}
