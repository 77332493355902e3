import WAL

/// Appending without a sync, across segment switches, to a log with segments of the default size.
enum AppendSuite {
    static let benchmarks = [
        oneThread("append-32", payloadCount: 32, timesPwrite: 10, timesCopy: 2),
        oneThread("append-128", payloadCount: 128, timesPwrite: 10, timesCopy: 2),
        oneThread("append-1K", payloadCount: 1024, timesPwrite: 4, timesCopy: 1.3),
        oneThread("append-16K", payloadCount: 16 << 10, timesPwrite: 2, timesCopy: 1.3),
        manyThreads("append-128-2-threads", 2),
        manyThreads("append-128-4-threads", 4),
    ]

    /// Bytes in a repetition: eight segments. Enough in a quick run to switch twice.
    private static func volume(_ workplace: Workplace) -> Int { workplace.isQuick ? 40 << 20 : 128 << 20 }

    private static func oneThread(_ name: String, payloadCount: Int, timesPwrite: Double, timesCopy: Double) -> Benchmark {
        let log = Series("append", .nanoseconds)
        let pwrite = Series("pwrite", .nanoseconds)
        let copy = Series("copy", .nanoseconds)
        @Sendable func load(_ workplace: Workplace) -> AppendLoad {
            AppendLoad(payloadCount: payloadCount, threads: 1, volume: volume(workplace))
        }
        return Benchmark(
            name, about: "one thread appends records of \(payloadCount) bytes; time a record",
            probes: [
                Probe(log) { try append(load($0), $0) },
                Probe(pwrite) { try PwriteLimit.measure(load($0), $0) },
                Probe(copy) { try CopyLimit.measure(load($0), $0) },
            ],
            rows: [
                Row(name: "\(name)/a", ours: log, limit: .measured(pwrite, letter: "a"), threshold: .atLeast(timesPwrite)),
                Row(name: "\(name)/b", ours: log, limit: .measured(copy, letter: "b"), threshold: .atMost(timesCopy)),
            ])
    }

    private static func manyThreads(_ name: String, _ threads: Int) -> Benchmark {
        let log = Series("append", .nanoseconds)
        let pwrite = Series("pwrite", .nanoseconds)
        let alone = Series("append with one thread", .nanoseconds)
        @Sendable func load(_ workplace: Workplace, _ threads: Int) -> AppendLoad {
            AppendLoad(payloadCount: 128, threads: threads, volume: volume(workplace))
        }
        return Benchmark(
            name, about: "\(threads) threads append records of 128 bytes to one log; time a record, over all threads together",
            probes: [
                Probe(log) { try append(load($0, threads), $0) },
                Probe(pwrite) { try PwriteLimit.measure(load($0, threads), $0) },
                Probe(alone) { try append(load($0, 1), $0) },
            ],
            rows: [
                Row(name: "\(name)/a", ours: log, limit: .measured(pwrite, letter: "a"), threshold: .atLeast(5)),
                Row(name: "\(name)/alone", ours: log, limit: .measured(alone, letter: "1 thread"), threshold: .atLeast(0.6)),
            ])
    }

    /// Appends `load` to a new log. Nanoseconds a record, over all threads together.
    ///
    /// The log is dropped, not closed: closing writes everything to the disk, which nothing here is about.
    private static func append(_ load: AppendLoad, _ workplace: Workplace) throws -> Double {
        try workplace.withFresh("append") { directory in
            let log = try SegmentedLog.open(directory: directory)
            let elapsed = try Gang.run(load.threads) { _ in
                let record = load.payload.span.bytes
                for _ in 0..<load.recordsPerThread { try log.append(record) }
            }
            guard log.writtenLSN.rawValue == UInt64(load.bytes) else {
                throw BenchmarkError.notAsExpected("\(load.bytes) bytes were appended, but the log is written up to \(log.writtenLSN)")
            }
            return elapsed / Double(load.records)
        }
    }
}
