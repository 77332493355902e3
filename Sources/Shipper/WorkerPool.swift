import Dispatch
import Synchronization

/// The threads on which all shippers of the process do what blocks: a bounded number, however many logs and destinations there are. Never the
/// cooperative pool. Any thread.
final class WorkerPool: Sendable {
    typealias Job = @Sendable () -> Void

    /// For reading, verifying and compressing.
    static let heavy = WorkerPool("walship.ship.read", threads: ShipperLimits.heavyThreads)
    /// For slots, watermarks and truncation, which must not wait behind a large segment.
    static let light = WorkerPool("walship.ship.slot", threads: ShipperLimits.lightThreads)
    /// For the watches over backlogs, which wait for neither.
    static let watch = WorkerPool("walship.ship.backlog", threads: ShipperLimits.lightThreads)

    private struct State {
        var queue: WorkerQueue<Job>
        /// One serial queue for each thread: Dispatch has a thread for it while it works, and takes it back after.
        var threads: [DispatchQueue] = []
    }

    private let label: String
    private let state: Mutex<State>

    init(_ label: String, threads: Int, threadsMax: Int = ShipperLimits.stalledThreadsMax) {
        self.label = label
        state = Mutex(State(queue: WorkerQueue(threads: threads, threadsMax: threadsMax)))
    }

    func submit(_ job: @escaping Job) {
        let submission = state.withLock { $0.queue.submit(job) }
        switch submission {
        case .run(let job, let thread): run(job, on: thread)
        case .wait(let watch?): watchLater(watch)
        case .wait(nil): break
        }
    }

    private func run(_ job: @escaping Job, on thread: Int) {
        let queue = state.withLock { state in
            while state.threads.count <= thread { state.threads.append(DispatchQueue(label: "\(label).\(state.threads.count)")) }
            return state.threads[thread]
        }
        queue.async { [self] in
            var next: Job? = job
            while let job = next {
                job()
                next = state.withLock { $0.queue.finished(thread: thread) }
            }
        }
    }

    private func watchLater(_ since: UInt64) {
        DispatchQueue.global().asyncAfter(deadline: .now() + ShipperLimits.workerStall) { [self] in
            switch state.withLock({ $0.queue.watched(since: since) }) {
            case .end: break
            case .again(let taken): watchLater(taken)
            case .add(let job, let thread, let taken):
                run(job, on: thread)
                watchLater(taken)
            }
        }
    }
}
