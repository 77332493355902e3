import Foundation
import Glibc
import WAL

/// A replica beside a log that is written and shipped all the time.
enum FollowSuite {
    static let benchmarks = [lag]

    private static let lag: Benchmark = {
        let series = Series("lag of a replica", .nanoseconds)
        return Benchmark(
            "follow-lag", about: "5 MB/s are written and synced every 5 ms, tails every 50 ms, a follower looks every 50 ms; from durable to readable in the replica",
            probes: [
                Probe(series) { workplace in
                    try ShippingBench.with(workplace) { bench in
                        let daemon = try bench.start(["--ship-tail-interval", "50ms"])
                        let replica = "\(bench.directory)-replica"
                        let follower = try Program(
                            try Program.walshipd(), ["follow", "--archive", bench.archive, "--to", replica, "--interval", "50ms"],
                            errors: "\(bench.directory)-follower")
                        let lag = try measureLag(bench, replica: replica, seconds: workplace.isQuick ? 4 : 10)
                        try follower.end(by: SIGTERM)
                        try daemon.end(by: SIGTERM)
                        return lag
                    }
                }
            ],
            rows: [Row(name: "follow-lag-p99", ours: series, limit: .fixed(250e6), threshold: .atMost(1))])
    }()

    /// Writes for `seconds` after one that does not count, and looks at the replica meanwhile. Nanoseconds.
    private static func measureLag(_ bench: ShippingBench, replica: String, seconds: Double) throws -> Double {
        let reader = try open(replica, reaching: bench.log.durableLSN)
        defer { reader.close() }
        let text = StructuredText.shared
        let start = Clock.now()
        let warm = start + 1_000_000_000
        let end = warm + UInt64(seconds * 1e9)
        let deadline = end + 30_000_000_000
        let first = bench.log.endLSN.rawValue
        var line = 0
        var waiting: [(lsn: LSN, at: UInt64)] = []
        var lags: [Double] = []
        while true {
            let now = Clock.now()
            if now < end {
                let goal = first + UInt64(Double(now - start) / 1e9 * 5e6)
                while bench.log.endLSN.rawValue < goal {
                    try bench.log.append(text.lines[line])
                    line = (line + 1) % text.lines.count
                }
                waiting.append((try bench.log.sync(), Clock.now()))
            }
            let applied = try reader.durableLSN
            let seen = Clock.now()
            while let oldest = waiting.first, oldest.lsn <= applied {
                if oldest.at >= warm { lags.append(Double(seen - oldest.at)) }
                waiting.removeFirst()
            }
            if now >= end && waiting.isEmpty { break }
            guard seen < deadline else { throw BenchmarkError.notAsExpected("the replica does not catch up") }
            usleep(5000)
        }
        return lags.percentile(99)
    }

    private static func open(_ replica: String, reaching lsn: LSN) throws -> LogReader {
        for _ in 0..<3000 {
            if let reader = try? LogReader.open(directory: replica) {
                if try reader.durableLSN >= lsn { return reader }
                reader.close()
            }
            usleep(10_000)
        }
        throw BenchmarkError.notAsExpected("the replica was not made")
    }
}
