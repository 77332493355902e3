import Foundation
import WAL

/// Shipping a backlog to nginx on this machine, against command lines that a user would otherwise write; and the daemon's memory meanwhile.
enum ShipSuite {
    static let benchmarks = [backlog("ship-1", level: 1), backlog("ship-3", level: 3), manySegments]

    /// The design's: two segments in flight, their output, and what a program needs.
    private static let memoryMax: Double = 60 * 1024 * 1024

    private static func volume(_ workplace: Workplace) -> UInt64 { workplace.isQuick ? 256 << 20 : 1 << 30 }

    private static func backlog(_ name: String, level: Int) -> Benchmark {
        let speed = Series("ship", .bytesPerSecond)
        let processor = Series("processor time of shipping", .secondsPerGiB)
        let memory = Series("anonymous memory of the daemon", .bytes)
        let pipelines = Series("two pipelines", .bytesPerSecond)
        let pipelineProcessor = Series("processor time of two pipelines", .secondsPerGiB)
        return Benchmark(
            name, about: "1 GiB of structured text in segments of 16 MiB goes to nginx on this machine, zstd level \(level), two uploads in flight",
            probes: [
                Probe(speed, processor, memory) { workplace in
                    try ShippingBench.with(workplace) { bench in
                        try bench.append(volume(workplace))
                        try workplace.settle()
                        let run = try bench.ship(["--ship-compression-level", "\(level)", "--ship-uploads-in-flight", "2", "--ship-retain", "1TiB"])
                        return [
                            speed: Double(volume(workplace)) / run.nanoseconds * 1e9,
                            processor: run.processorSeconds / Double(volume(workplace)) * Double(1 << 30), memory: run.anonymousMemory,
                        ]
                    }
                },
                Probe(pipelines, pipelineProcessor) { workplace in
                    try ShippingBench.with(workplace) { bench in
                        try bench.append(volume(workplace))
                        let segments = try FileManager.default.contentsOfDirectory(atPath: bench.directory).filter { $0.hasSuffix(".wal") }.sorted()
                            .prefix(Int(volume(workplace) / UInt64(bench.log.segmentSize))).map { "\(bench.directory)/\($0)" }
                        try workplace.settle()
                        let run = try PipelineLimit.measure(level: level, bench, segments: segments)
                        let stored = try FileManager.default.contentsOfDirectory(atPath: "\(bench.nginx.root)/pipeline").count
                        guard stored == segments.count else { throw BenchmarkError.notAsExpected("\(stored) of \(segments.count) segments were stored") }
                        return [
                            pipelines: Double(volume(workplace)) / run.nanoseconds * 1e9,
                            pipelineProcessor: run.processorSeconds / Double(volume(workplace)) * Double(1 << 30),
                        ]
                    }
                },
            ],
            rows: [
                Row(name: "\(name)/pipelines", ours: speed, limit: .measured(pipelines, letter: "pipelines"), threshold: .atLeast(1)),
                Row(name: "\(name)-processor/pipelines", ours: processor, limit: .measured(pipelineProcessor, letter: "pipelines"), threshold: .atMost(1)),
                Row(name: "\(name)-memory", ours: memory, limit: .fixed(memoryMax), threshold: .atMost(1)),
            ])
    }

    /// Ten thousand closed segments wait: small ones, as ten thousand of the default size would fill the disk.
    private static let manySegments: Benchmark = {
        let memory = Series("anonymous memory of the daemon", .bytes)
        let segmentSize = 16 << 10
        return Benchmark(
            "ship-10000-segments", about: "a backlog of 10,000 segments of 16 KiB is shipped",
            probes: [
                Probe(memory, isLong: true) { workplace in
                    try ShippingBench.with(workplace, segmentSize: segmentSize) { bench in
                        try bench.append(UInt64(segmentSize) * 10_000)
                        return try bench.ship(["--ship-retain", "1TiB"]).anonymousMemory
                    }
                }
            ],
            rows: [Row(name: "ship-10000-segments-memory", ours: memory, limit: .fixed(memoryMax), threshold: .atMost(1))])
    }()
}
