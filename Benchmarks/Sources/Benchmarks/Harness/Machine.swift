import CLimits
import Foundation

/// What a table was measured on. No name and no path of it.
struct Machine: Encodable, CustomStringConvertible {
    let processor: String
    let processors: Int
    let memoryBytes: UInt64
    let kernel: String
    /// The type of the file system that was measured on, as Linux's statfs names it.
    let fileSystem: String
    /// Of the last minute, before the run: much more than 0 means that others use the machine.
    let load: Double

    init(measuringIn path: String) {
        let information = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let model = information.split(separator: "\n").first { $0.hasPrefix("model name") }
        processor = model?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
        processors = ProcessInfo.processInfo.activeProcessorCount
        memoryBytes = ProcessInfo.processInfo.physicalMemory
        kernel = ((try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)) ?? "unknown")
            .trimmingCharacters(in: .whitespacesAndNewlines)
        fileSystem = Machine.fileSystem(path)
        let loads = (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8)) ?? ""
        load = loads.split(separator: " ").first.flatMap { Double($0) } ?? 0
    }

    var description: String {
        "\(processor), \(processors) processors, \(memoryBytes >> 30) GiB, Linux \(kernel), \(fileSystem); load before the run \(load)"
    }

    /// Magic numbers: statfs(2).
    private static func fileSystem(_ path: String) -> String {
        switch limits_file_system(path) {
        case -1: "unknown"
        case 0xEF53: "ext4"
        case 0x5846_5342: "xfs"
        case 0x9123_683E: "btrfs"
        case 0x0102_1994: "tmpfs (nothing is durable here)"
        case 0x794C_7630: "overlay"
        case let other: "file system 0x\(String(other, radix: 16))"
        }
    }
}
