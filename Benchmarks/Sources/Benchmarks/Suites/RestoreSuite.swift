import Foundation
import WAL

/// Restoring a log from nginx on this machine, every byte verified and synced, against the loop that a user would otherwise write, which verifies no frames and syncs nothing.
enum RestoreSuite {
    static let benchmarks = [restore]

    private static func volume(_ workplace: Workplace) -> UInt64 { workplace.isQuick ? 256 << 20 : 1 << 30 }

    /// The design's: objects in flight, each compressed and as it is in the log, and what a program needs.
    private static let memoryMax: Double = 512 * 1024 * 1024

    private static let restore: Benchmark = {
        let speed = Series("restore", .bytesPerSecond)
        let processor = Series("processor time of restoring", .secondsPerGiB)
        let memory = Series("anonymous memory of restoring", .bytes)
        let serial = Series("serial curl | zstd -d", .bytesPerSecond)
        let serialProcessor = Series("processor time of serial curl | zstd -d", .secondsPerGiB)
        return Benchmark(
            "restore", about: "1 GiB of structured text in segments of 16 MiB comes back from nginx on this machine, verified and synced, four downloads at one time",
            probes: [
                Probe(speed, processor, memory) { workplace in
                    try archived(workplace) { bench, _ in
                        let target = "\(bench.nginx.root)/../restored"
                        try workplace.settle()
                        let run = try Program.run(
                            try Program.walshipd(), ["restore", "--archive", bench.archive, "--to", target], errors: "\(bench.nginx.root)/../restore-said")
                        let restored = try LogReader.open(directory: target)
                        defer { restored.close() }
                        guard try restored.durableLSN == bench.log.durableLSN else { throw BenchmarkError.notAsExpected("not everything was restored") }
                        return [
                            speed: Double(volume(workplace)) / run.nanoseconds * 1e9,
                            processor: run.processorSeconds / Double(volume(workplace)) * Double(1 << 30), memory: run.anonymousMemory,
                        ]
                    }
                },
                Probe(serial, serialProcessor) { workplace in
                    try archived(workplace) { bench, objects in
                        let file = "\(bench.nginx.root)/../serial"
                        try workplace.settle()
                        let run = try SerialRestoreLimit.measure(bench, objects: objects, into: file)
                        let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? UInt64 ?? 0
                        guard size == UInt64(objects.count) * UInt64(bench.log.segmentSize) else {
                            throw BenchmarkError.notAsExpected("\(size) bytes came back from \(objects.count) objects")
                        }
                        return [
                            serial: Double(size) / run.nanoseconds * 1e9, serialProcessor: run.processorSeconds / Double(size) * Double(1 << 30),
                        ]
                    }
                },
            ],
            rows: [
                Row(name: "restore/serial", ours: speed, limit: .measured(serial, letter: "serial"), threshold: .atLeast(1.5)),
                Row(name: "restore-processor/serial", ours: processor, limit: .measured(serialProcessor, letter: "serial"), threshold: .atMost(1)),
                Row(name: "restore-memory", ours: memory, limit: .fixed(memoryMax), threshold: .atMost(1)),
            ])
    }()

    /// An archive of a whole log, and the paths of its segments below the server's root.
    private static func archived(
        _ workplace: Workplace, _ body: (ShippingBench, [String]) throws -> [Series: Double]
    ) throws -> [Series: Double] {
        try ShippingBench.with(workplace) { bench in
            try bench.append(volume(workplace))
            try bench.ship(["--ship-retain", "1TiB"])
            let segments = "archive/orders/segments"
            let objects = try FileManager.default.subpathsOfDirectory(atPath: "\(bench.nginx.root)/\(segments)").filter { $0.hasSuffix(".zst") }.sorted()
            return try body(bench, objects.map { "\(segments)/\($0)" })
        }
    }
}
