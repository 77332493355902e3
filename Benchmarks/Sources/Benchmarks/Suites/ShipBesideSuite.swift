import Foundation
import Glibc
import WAL

/// The daemon beside a program that writes: how far behind it is, what it costs when nothing is written, and what it takes from the writer.
enum ShipBesideSuite {
    static let benchmarks = [lag, idle, appendsBeside]

    private static let lag: Benchmark = {
        let series = Series("lag", .nanoseconds)
        return Benchmark(
            "ship-lag", about: "5 MB/s are written and synced every 5 ms, tails every 50 ms; from durable to archived, the slowest of a hundred",
            probes: [
                Probe(series) { workplace in
                    try ShippingBench.with(workplace) { bench in
                        let daemon = try bench.start(["--ship-tail-interval", "50ms"])
                        let lag = try measureLag(bench, seconds: workplace.isQuick ? 3 : 10)
                        try daemon.end(by: SIGTERM)
                        return lag
                    }
                }
            ],
            rows: [Row(name: "ship-lag-p99", ours: series, limit: .fixed(150e6), threshold: .atMost(1))])
    }()

    /// Writes for `seconds` after one that does not count, and looks at the slot meanwhile. Nanoseconds.
    private static func measureLag(_ bench: ShippingBench, seconds: Double) throws -> Double {
        let sidecar = try LogSidecar.attach(directory: bench.directory)
        defer { sidecar.detach() }
        let text = StructuredText.shared
        let start = Clock.now()
        let warm = start + 1_000_000_000
        let end = warm + UInt64(seconds * 1e9)
        var line = 0
        var waiting: [(lsn: LSN, at: UInt64)] = []
        var lags: [Double] = []
        let deadline = end + 30_000_000_000
        while true {
            let now = Clock.now()
            if now < end {
                let goal = UInt64(Double(now - start) / 1e9 * 5e6)
                while bench.log.endLSN.rawValue < goal {
                    try bench.log.append(text.lines[line])
                    line = (line + 1) % text.lines.count
                }
                waiting.append((try bench.log.sync(), Clock.now()))
            }
            let archived = try sidecar.slotState(ShippingBench.slot)?.archived ?? .zero
            let seen = Clock.now()
            while let first = waiting.first, first.lsn <= archived {
                if first.at >= warm { lags.append(Double(seen - first.at)) }
                waiting.removeFirst()
            }
            if now >= end && waiting.isEmpty { break }
            guard seen < deadline else { throw BenchmarkError.notAsExpected("the daemon does not catch up") }
            usleep(5000)
        }
        return lags.percentile(99)
    }

    private static let idle: Benchmark = {
        let requests = Series("requests", .requests)
        let processor = Series("processor", .processorShare)
        return Benchmark(
            "ship-idle", about: "nothing is written for a minute, tails every second; after the head was written for the last time",
            probes: [
                Probe(requests, processor, isLong: true) { workplace in
                    try ShippingBench.with(workplace) { bench in
                        let daemon = try bench.start([])
                        try bench.append(1 << 20)
                        // The tail, and the head a while after it.
                        sleep(8)
                        guard try bench.archived() == bench.log.durableLSN, let before = daemon.processorSeconds else {
                            throw BenchmarkError.notAsExpected("the daemon has not come to rest")
                        }
                        let requestsBefore = try bench.nginx.requests()
                        sleep(60)
                        guard let after = daemon.processorSeconds else { throw BenchmarkError.notAsExpected("the daemon has ended") }
                        let result = [requests: Double(try bench.nginx.requests() - requestsBefore), processor: (after - before) / 60]
                        try daemon.end(by: SIGTERM)
                        return result
                    }
                }
            ],
            rows: [
                Row(name: "ship-idle-requests", ours: requests, limit: .fixed(0), threshold: .atMost(1)),
                Row(name: "ship-idle-processor", ours: processor, limit: .fixed(0.001), threshold: .atMost(1)),
            ])
    }()

    /// The writer's thread has processor 0 to itself; the daemon and nginx have the others.
    private static let appendsBeside: Benchmark = {
        let beside = Series("append beside shipping", .nanoseconds)
        let alone = Series("append alone", .nanoseconds)
        @Sendable func measure(_ workplace: Workplace, ships: Bool) throws -> Double {
            try ShippingBench.with(workplace) { bench in
                try bench.append(512 << 20)
                try workplace.settle()
                try Affinity.keep(process: bench.nginx.identifier, off: 0)
                let daemon = ships ? try bench.start(["--ship-retain", "1TiB"], off: 0) : nil
                if let daemon {
                    // It has begun to ship, and has enough to do until the end.
                    for _ in 0..<1000 where try bench.archived() < LSN(32 << 20) { usleep(10_000) }
                }
                let payload = AppendLoad(payloadCount: 128, threads: 1, volume: 64 << 20)
                let elapsed = try Gang.run(1) { _ in
                    try Affinity.pinThread(to: 0)
                    let record = payload.payload.span.bytes
                    for _ in 0..<payload.records { try bench.log.append(record) }
                }
                if let daemon {
                    guard try bench.archived() < LSN(512 << 20) else { throw BenchmarkError.notAsExpected("shipping was done before the appends were") }
                    try daemon.end(by: SIGKILL)
                }
                return elapsed / Double(payload.records)
            }
        }
        return Benchmark(
            "append-beside-shipping", about: "one thread appends 128 bytes while a backlog is shipped from other processors; time a record",
            probes: [
                Probe(beside) { try measure($0, ships: true) },
                Probe(alone) { try measure($0, ships: false) },
            ],
            rows: [Row(name: "append-beside-shipping/alone", ours: beside, limit: .measured(alone, letter: "alone"), threshold: .atLeast(0.9))])
    }()
}
