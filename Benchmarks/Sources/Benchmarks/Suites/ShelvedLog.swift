import Foundation
import WAL

/// A log that is built once in a run and used by many probes: closed cleanly whenever no probe is at work.
struct ShelvedLog: Sendable {
    let name: String
    /// Bytes of log, headers included; as good as.
    let size: UInt64
    let payloadCount: Int

    /// Of the default segment size.
    static let segmentSize: UInt64 = 16 << 20

    /// The log's directory; builds the log where it is not there yet.
    func directory(_ workplace: Workplace) throws -> String {
        let directory = workplace.file(name)
        if FileManager.default.fileExists(atPath: directory) { return directory }
        let log = try SegmentedLog.open(directory: directory)
        let load = AppendLoad(payloadCount: payloadCount, threads: 1, volume: Int(size))
        let record = load.payload.span.bytes
        for _ in 0..<load.records { try log.append(record) }
        try log.close()
        try workplace.settle()
        return directory
    }

    /// The files that hold the log's bytes, as docs/format/log.md names them, and how many bytes of log are in each.
    func segments(_ workplace: Workplace) throws -> [(path: String, size: UInt64)] {
        let directory = try directory(workplace)
        let reader = try LogReader.open(directory: directory)
        defer { reader.close() }
        let (head, end) = (try reader.headLSN.rawValue, try reader.durableLSN.rawValue)
        guard head == 0, reader.segmentSize == Int(Self.segmentSize) else {
            throw BenchmarkError.notAsExpected("\(name) does not begin at 0 with segments of the default size")
        }
        return (0...(end - 1) / Self.segmentSize).map { index in
            let digits = "\(index)"
            let file = String(repeating: "0", count: 20 - digits.count) + digits + ".wal"
            return ("\(directory)/\(file)", min(Self.segmentSize, end - index * Self.segmentSize))
        }
    }
}
