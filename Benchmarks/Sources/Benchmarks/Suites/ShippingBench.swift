import Foundation
import Glibc
import WAL

/// A log of structured text and an nginx to ship it to, with everything done once that is done once in a daemon's life: the slot made, the store
/// probed, the epoch claimed.
struct ShippingBench {
    let directory: String
    let nginx: Nginx
    let log: SegmentedLog
    private let place: String

    var archive: String { "\(nginx.url)/archive/orders" }

    static let slot = "archive"

    /// Calls `body`, and removes everything.
    static func with<T>(_ workplace: Workplace, segmentSize: Int = 16 << 20, _ body: (ShippingBench) throws -> T) throws -> T {
        try workplace.withFresh("shipping") { place in
            let bench = try ShippingBench(place, segmentSize: segmentSize)
            defer { try? bench.log.close() }
            try bench.log.append("the first record".utf8)
            try bench.log.sync()
            try bench.ship([])
            return try body(bench)
        }
    }

    private init(_ place: String, segmentSize: Int) throws {
        self.place = place
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        nginx = try Nginx(in: "\(place)/nginx")
        directory = "\(place)/log"
        log = try SegmentedLog.open(directory: directory, segmentSize: segmentSize)
        let configuration = """
            logs: [{path: "\(directory)", name: orders}]
            destinations: [{url: "\(nginx.url)/archive", name: \(Self.slot)}]
            ship: {claim-settle: 10ms}
            log: {level: warning}
            """
        try Data(configuration.utf8).write(to: URL(filePath: "\(place)/walshipd.yaml"))
    }

    /// Appends lines until `bytes` of log more are there, and syncs.
    func append(_ bytes: UInt64) throws {
        let end = log.endLSN.advanced(by: bytes)
        let text = StructuredText.shared
        var index = 0
        while log.endLSN < end {
            try log.append(text.lines[index])
            index = (index + 1) % text.lines.count
        }
        try log.sync()
    }

    /// The daemon's arguments.
    func arguments(_ more: [String]) -> [String] { ["run", "--config", "\(place)/walshipd.yaml"] + more }

    /// `run --once`: everything that is durable.
    @discardableResult
    func ship(_ more: [String]) throws -> Program.Run {
        let run = try Program.run(try Program.walshipd(), arguments(["--once", "--timeout", "10m"] + more), errors: "\(place)/said")
        guard try archived() == log.durableLSN else { throw BenchmarkError.notAsExpected("not everything was shipped") }
        return run
    }

    /// The daemon as it runs for years; `off` keeps it off a processor, where there is another.
    func start(_ more: [String], off processor: Int32? = nil) throws -> Program {
        let walshipd = try Program.walshipd()
        let count = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        guard let processor, count > 1 else { return try Program(walshipd, arguments(more), errors: "\(place)/said") }
        // taskset(1) becomes the program that it starts.
        let others = (0..<count).filter { $0 != Int(processor) }.map { "\($0)" }.joined(separator: ",")
        return try Program("/usr/bin/taskset", ["-c", others, walshipd] + arguments(more), errors: "\(place)/said")
    }

    func archived() throws -> LSN {
        let sidecar = try LogSidecar.attach(directory: directory)
        defer { sidecar.detach() }
        return try sidecar.slotState(Self.slot)?.archived ?? .zero
    }
}
