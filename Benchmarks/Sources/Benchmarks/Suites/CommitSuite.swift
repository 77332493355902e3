import Synchronization
import WAL

/// Appending and making durable, from one thread and from many.
enum CommitSuite {
    static let benchmarks = [commit]

    private static let alone = Series("commit with 1 thread, p50", .nanoseconds)
    private static let of16 = Series("commits with 16 threads", .perSecond)
    private static let of64 = Series("commits with 64 threads", .perSecond)
    private static let slowOf64 = Series("commit with 64 threads, p99", .nanoseconds)
    private static let barrier = Series("pwrite and fdatasync, p50", .nanoseconds)
    private static let barriers = Series("pwrite and fdatasync", .perSecond)

    private static let commit = Benchmark(
        "commit", about: "threads call appendAndSync with 128 bytes, again and again",
        probes: [
            Probe(alone) { workplace in
                try commits(threads: 1, perThread: workplace.isQuick ? 1000 : 4000, workplace).latencies.percentile(50)
            },
            Probe(of16) { workplace in
                try commits(threads: 16, perThread: workplace.isQuick ? 300 : 1500, workplace).perSecond
            },
            Probe(of64, slowOf64) { workplace in
                let result = try commits(threads: 64, perThread: workplace.isQuick ? 150 : 600, workplace)
                return [of64: result.perSecond, slowOf64: result.latencies.percentile(99)]
            },
            Probe(barrier, barriers) { workplace in
                let latencies = try BarrierLimit.measure(count: workplace.isQuick ? 1000 : 4000, warmUp: warmUp, workplace)
                let seconds = latencies.reduce(0, +) / 1e9
                return [barrier: latencies.percentile(50), barriers: Double(latencies.count) / seconds]
            },
        ],
        rows: [
            Row(name: "commit-1-thread/c", ours: alone, limit: .measured(barrier, letter: "c"), threshold: .atMost(1.15)),
            Row(name: "commit-16-threads/c", ours: of16, limit: .measured(barriers, letter: "c"), threshold: .atLeast(5)),
            Row(name: "commit-64-threads/c", ours: of64, limit: .measured(barriers, letter: "c"), threshold: .atLeast(8)),
            Row(name: "commit-64-threads-p99/c", ours: slowOf64, limit: .measured(barrier, letter: "c"), threshold: .atMost(22)),
        ])

    /// Calls before the time begins.
    private static let warmUp = 100

    /// Latencies in nanoseconds, of all threads together.
    private static func commits(threads: Int, perThread: Int, _ workplace: Workplace) throws -> (latencies: [Double], perSecond: Double) {
        try workplace.withFresh("commit") { directory in
            let log = try SegmentedLog.open(directory: directory)
            let record = AppendLoad(payloadCount: 128, threads: 1, volume: 0).payload
            for _ in 0..<warmUp { try log.appendAndSync(record) }
            let all = Mutex<[Double]>([])
            let elapsed = try Gang.run(threads) { _ in
                var latencies = [Double](repeating: 0, count: perThread)
                for index in 0..<perThread {
                    let start = Clock.now()
                    try log.appendAndSync(record)
                    latencies[index] = Double(Clock.now() - start)
                }
                all.withLock { $0 += latencies }
            }
            try log.close()
            return (all.withLock { $0 }, Double(threads * perThread) / elapsed * 1e9)
        }
    }
}
