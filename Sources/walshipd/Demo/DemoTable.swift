import Foundation
import WAL

/// The short table at the end of the demo.
struct DemoTable: Sendable {
    let comparison: DemoComparison
    let acknowledged: Int
    /// The log's length in bytes, headers included.
    let rawBytes: UInt64
    let localHead: LSN
    let archive: (objects: Int, bytes: UInt64)
    let lag: (bytes: UInt64, seconds: Double)
    let restoreSeconds: Double

    /// How many objects lie below an archive's directory, and how large they are.
    static func measure(_ directory: String) throws -> (objects: Int, bytes: UInt64) {
        var objects = 0
        var bytes: UInt64 = 0
        guard let names = FileManager.default.enumerator(atPath: directory) else { return (0, 0) }
        while let name = names.nextObject() as? String {
            guard name.hasSuffix(".zst") else { continue }
            objects += 1
            bytes += UInt64(names.fileAttributes?[.size] as? Int ?? 0)
        }
        return (objects, bytes)
    }

    var lines: [String] {
        let ratio = String(format: "%.2f", Double(rawBytes) / Double(max(archive.bytes, 1)))
        let speed = String(format: "%.0f", Double(rawBytes) / 1e6 / max(restoreSeconds, 1e-9))
        let rows: [(String, String)] = [
            ("records restored", "\(comparison.records)"),
            ("  acknowledged before", "\(acknowledged), all there and equal"),
            ("  written, not acknowledged", "\(comparison.unacknowledged), from before the writer was killed"),
            ("bytes of log", Amount.bytes(rawBytes)),
            ("bytes archived", "\(Amount.bytes(archive.bytes)), ratio \(ratio)"),
            ("objects", "\(archive.objects)"),
            ("largest lag seen", "\(Amount.bytes(lag.bytes)), \(String(format: "%.1f", lag.seconds)) s"),
            ("local log now begins at", "LSN \(localHead) (truncated once acknowledged)"),
            ("restore speed", "\(speed) MB/s (\(String(format: "%.1f", restoreSeconds)) s)"),
            ("verdict", "nothing acknowledged was lost"),
        ]
        return rows.map { row in row.0.padding(toLength: 30, withPad: " ", startingAt: 0) + row.1 }
    }
}

/// Figures for people.
enum Amount {
    /// With a decimal unit and one digit.
    static func bytes(_ count: UInt64) -> String {
        switch count {
        case 0..<1_000: "\(count) B"
        case 1_000..<1_000_000: String(format: "%.1f kB", Double(count) / 1e3)
        case 1_000_000..<1_000_000_000: String(format: "%.1f MB", Double(count) / 1e6)
        default: String(format: "%.1f GB", Double(count) / 1e9)
        }
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
