import Synchronization
import Testing
import TestSupport

@testable import Shipper

@Suite struct WorkerQueueTests {
    @Test func noMoreThreadsThanAskedForWhileJobsAreDone() {
        for seed in 0..<200 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            var queue = WorkerQueue<Int>(threads: 3, threadsMax: 9)
            var working: [Int: Int] = [:]
            var done: [Int] = []
            var submitted = 0
            for _ in 0..<300 {
                if Bool.random(using: &random) {
                    if case .run(let job, let thread) = queue.submit(submitted) {
                        #expect(working[thread] == nil, "seed \(seed): one job a thread")
                        working[thread] = job
                    }
                    submitted += 1
                } else if let thread = working.keys.sorted().randomElement(using: &random), let job = working.removeValue(forKey: thread) {
                    done.append(job)
                    if let next = queue.finished(thread: thread) { working[thread] = next }
                }
                #expect(working.count <= 3 && queue.begun <= 3, "seed \(seed)")
            }
            while let (thread, job) = working.first {
                done.append(job)
                working[thread] = queue.finished(thread: thread)
            }
            #expect(done.sorted() == Array(0..<submitted), "seed \(seed): every job once")
        }
    }

    @Test func stalledThreadsAreReplacedUpToTheMost() {
        var queue = WorkerQueue<Int>(threads: 2, threadsMax: 4)
        for job in 0..<2 { guard case .run = queue.submit(job) else { Issue.record("job \(job) waits"); return } }
        guard case .wait(let watch?) = queue.submit(2) else { Issue.record("not watched"); return }
        guard case .wait(nil) = queue.submit(3) else { Issue.record("watched twice"); return }
        guard case .wait(nil) = queue.submit(4) else { Issue.record("watched twice"); return }
        guard case .add(2, thread: 2, let second) = queue.watched(since: watch) else { Issue.record("no thread more"); return }
        // One got somewhere meanwhile: no more threads for now.
        #expect(queue.finished(thread: 0) == 3)
        guard case .again(let third) = queue.watched(since: second) else { Issue.record("a thread too many"); return }
        guard case .add(4, thread: 3, let fourth) = queue.watched(since: third) else { Issue.record("no thread more"); return }
        guard case .wait(nil) = queue.submit(5) else { Issue.record("more threads than the most"); return }
        guard case .again(let fifth) = queue.watched(since: fourth) else { Issue.record("more threads than the most"); return }
        #expect(queue.finished(thread: 1) == 5)
        guard case .end = queue.watched(since: fifth) else { Issue.record("nothing waits"); return }
    }

    /// What several threads have seen.
    private final class Tally: Sendable {
        let counts = Mutex((now: 0, most: 0))
        let order = Mutex<[Int]>([])

        func work() {
            counts.withLock { counts in
                counts.now += 1
                counts.most = max(counts.most, counts.now)
            }
            counts.withLock { $0.now -= 1 }
        }
    }

    /// 200 logs with two destinations, both lanes at work at once: 800 jobs, and eight threads.
    @Test func manyLogsShareFewThreads() async throws {
        let pool = WorkerPool("test", threads: 8, threadsMax: 8)
        let tally = Tally()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<800 {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        pool.submit {
                            tally.work()
                            continuation.resume()
                        }
                    }
                }
            }
        }
        #expect(tally.counts.withLock { $0.now } == 0)
        #expect(tally.counts.withLock { $0.most } <= 8)
    }

    @Test func jobsOfALaneAreDoneOneAtATime() async throws {
        let worker = LogWorker()
        let tally = Tally()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<200 {
                group.addTask {
                    try await worker.perform(.light) { () throws(ShipperError) in
                        tally.work()
                        tally.order.withLock { $0.append(index) }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(tally.order.withLock { $0.sorted() } == Array(0..<200))
        #expect(tally.counts.withLock { $0.most } == 1)
    }
}
