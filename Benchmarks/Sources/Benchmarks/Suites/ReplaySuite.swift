import Follower
import WAL

/// Replaying a log that is in the page cache to a closure, with positions.
enum ReplaySuite {
    static let benchmarks = [replay]

    private static let replay: Benchmark = {
        let log = ShelvedLog(name: "log-of-128", size: 256 << 20, payloadCount: 128)
        let series = Series("replay", .bytesPerSecond)
        let raw = Series("pread of 1 MiB and checksum", .bytesPerSecond)
        return Benchmark(
            "replay-128", about: "a log of records of 128 bytes is replayed to a closure; bytes of log a second",
            probes: [
                Probe(series) { workplace in
                    let directory = try log.directory(workplace)
                    var records = 0
                    var total = 0
                    var end = LSN.zero
                    let elapsed = try Clock.nanoseconds {
                        end = try LogReplay.run(log: directory) { _, bytes, next in
                            total += bytes.byteCount + Int(bytes.unsafeLoad(as: UInt8.self) & 1) + Int(next.lsn.rawValue & 1)
                            records += 1
                        }.lsn
                    }
                    guard UInt64(records * AppendLoad.frameSize(log.payloadCount)) == end.rawValue, total >= records * log.payloadCount else {
                        throw BenchmarkError.notAsExpected("\(records) records were replayed, up to LSN \(end)")
                    }
                    return Double(end.rawValue) / elapsed * 1e9
                },
                Probe(raw) { try ReadLimit.measure(log, $0) },
            ],
            rows: [Row(name: "replay-128/d", ours: series, limit: .measured(raw, letter: "d"), threshold: .atLeast(0.2))])
    }()
}
