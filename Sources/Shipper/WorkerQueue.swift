/// Which thread does which job, as a value: at most `threads` at one time, and more, up to `threadsMax`, only while none of them gets anywhere.
///
/// A few threads are enough for any number of logs, as long as their disks answer. Where some do not (a network mount that hangs), each of their
/// jobs takes a thread away; then others are added, so that the logs on sound disks go on. Threads are numbers here; who owns them acts.
struct WorkerQueue<Job> {
    let threads: Int
    let threadsMax: Int
    /// Numbers of threads that have nothing to do; all below `begun` that are not among them are working.
    private var idle: [Int] = []
    private(set) var begun = 0
    private var waiting: [Job] = []
    private var isWatched = false
    /// Jobs taken up so far: that this stands still while jobs wait is what a watch notices.
    private(set) var taken: UInt64 = 0

    init(threads: Int, threadsMax: Int) {
        precondition(threads > 0, "a pool that does nothing")
        precondition(threads <= threadsMax, "more threads than the most")
        self.threads = threads
        self.threadsMax = threadsMax
    }

    enum Submission {
        case run(Job, thread: Int)
        /// All are working. `watch`: look again in a while by `watched(since:)` with this number.
        case wait(watch: UInt64?)
    }

    mutating func submit(_ job: Job) -> Submission {
        if let thread = idle.popLast() {
            taken += 1
            return .run(job, thread: thread)
        }
        if begun < threads {
            begun += 1
            taken += 1
            return .run(job, thread: begun - 1)
        }
        waiting.append(job)
        defer { isWatched = true }
        return .wait(watch: isWatched ? nil : taken)
    }

    /// The thread has done its job: the next one for it, or nil.
    mutating func finished(thread: Int) -> Job? {
        precondition(thread < begun, "a thread that never began")
        precondition(!idle.contains(thread), "a thread that was idle has finished")
        guard !waiting.isEmpty else {
            idle.append(thread)
            return nil
        }
        taken += 1
        return waiting.removeFirst()
    }

    enum Watch {
        /// Nothing waits any more.
        case end
        /// Look again, by this number.
        case again(UInt64)
        /// No job was taken up in all that time: one more thread takes the oldest. Then look again.
        case add(Job, thread: Int, UInt64)
    }

    mutating func watched(since: UInt64) -> Watch {
        guard !waiting.isEmpty else {
            isWatched = false
            return .end
        }
        guard taken == since, begun < threadsMax else { return .again(taken) }
        begun += 1
        taken += 1
        return .add(waiting.removeFirst(), thread: begun - 1, taken)
    }
}
