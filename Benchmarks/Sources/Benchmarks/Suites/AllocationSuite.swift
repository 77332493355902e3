import CAllocations
import WAL

/// Heap allocations while records of 128 bytes are appended.
enum AllocationSuite {
    static let benchmarks = [allocations]

    private static let steady = Series("allocations an append", .allocations)
    private static let everywhere = Series("allocations an append, of all threads, across segment switches", .allocations)

    private static let allocations = Benchmark(
        "allocations", about: "heap allocations an append of 128 bytes",
        probes: [
            Probe(steady) { try count(megabytes: 8, allocations_of_this_thread, $0) },
            Probe(everywhere) { try count(megabytes: 128, allocations_of_all_threads, $0) },
        ],
        rows: [
            Row(name: "allocations-append", ours: steady, limit: .fixed(0), threshold: .atMost(1)),
            Row(name: "allocations-across-segments", ours: everywhere, limit: .fixed(0.001), threshold: .atMost(1)),
        ])

    /// Appends so much after a warm-up of 4 MiB, and counts. The next segment has been asked for by then, which counts as part of the switch.
    private static func count(megabytes: Int, _ counter: () -> UInt64, _ workplace: Workplace) throws -> Double {
        guard allocations_are_counted() == 1 else {
            throw BenchmarkError.notAsExpected("allocations cannot be counted with this C library")
        }
        return try workplace.withFresh("allocations") { directory in
            let log = try SegmentedLog.open(directory: directory)
            let warmUp = AppendLoad(payloadCount: 128, threads: 1, volume: 4 << 20)
            let load = AppendLoad(payloadCount: 128, threads: 1, volume: megabytes << 20)
            let record = load.payload.span.bytes
            for _ in 0..<warmUp.records { try log.append(record) }
            allocations_count(1)
            defer { allocations_count(0) }
            // That it counts at all.
            let probe = counter()
            UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 8).deallocate()
            let before = counter()
            for _ in 0..<load.records { try log.append(record) }
            let after = counter()
            guard before > probe else { throw BenchmarkError.notAsExpected("an allocation was not counted") }
            return Double(after - before) / Double(load.records)
        }
    }
}
