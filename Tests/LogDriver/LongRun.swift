import Foundation
import Synchronization
import WAL

/// Many bytes go through a log: several threads append and sync, one reads everything that is durable, checks it, and truncates behind itself.
/// What the process takes meanwhile is looked at again and again; the most of each is the answer:
///
///     BYTES RECORDS ANONYMOUS-KIB MAPPED-KIB DESCRIPTORS MAPPINGS THREADS DISK-KIB
final class LongRun: Sendable {
    /// Bytes that are kept behind the reader, and how far appenders may run ahead of the head: the disk that is taken.
    private static let kept: UInt64 = 64 << 20
    private static let aheadMax: UInt64 = 512 << 20

    private let log: SegmentedLog
    private let directory: String
    private let bytes: Int
    private let numbers = Counter()
    private let running: Atomic<Int>
    private let failure = Mutex<WALError?>(nil)

    init(_ log: SegmentedLog, in directory: String, bytes: Int) {
        self.log = log
        self.directory = directory
        self.bytes = bytes
        running = Atomic(0)
    }

    func run(threads: Int) throws(WALError) -> String {
        let target = log.endLSN.rawValue + UInt64(bytes)
        running.store(threads, ordering: .sequentiallyConsistent)
        for _ in 0..<threads {
            Thread.detachNewThread { [self] in
                do throws(WALError) {
                    while log.endLSN.rawValue < target && failure.withLock({ $0 == nil }) { try append() }
                } catch {
                    failure.withLock { $0 = $0 ?? error }
                }
                running.subtract(1, ordering: .sequentiallyConsistent)
            }
        }
        var most = Usage()
        var (position, records) = (log.headLSN, 0)
        var last: StormRecord?
        while true {
            let isOver = running.load(ordering: .sequentiallyConsistent) == 0
            if isOver { try log.sync() }
            for element in log.iterFrom(position, ifTruncated: .fail) {
                let record = try element.get()
                if let problem = StormRecord.problem(record, after: &last) { throw .corruption(lsn: record.lsn, reason: problem) }
                (position, records) = (record.endLSN, records + 1)
            }
            try log.truncateBefore(LSN(position.rawValue - min(position.rawValue, LongRun.kept)))
            most.take(in: directory)
            if let failure = failure.withLock({ $0 }) { throw failure }
            if isOver { break }
            usleep(10_000)
        }
        guard records == numbers.take() + batched.load(ordering: .sequentiallyConsistent) else {
            throw .corruption(lsn: position, reason: "\(records) records were read, and others were appended")
        }
        return "\(log.endLSN) \(records) \(most.line)"
    }

    /// Records beyond one for each number.
    private let batched = Atomic(0)

    private func append() throws(WALError) {
        let number = numbers.take()
        while log.length > LongRun.aheadMax && failure.withLock({ $0 == nil }) { usleep(1000) }
        if number % 10 == 9 {
            var batch = RecordBatch()
            for index in 0..<4 { batch.append(StormRecord(number: number, index: index, count: 4).bytes(size: 500)) }
            batched.add(3, ordering: .sequentiallyConsistent)
            try log.append(batch: batch)
        } else {
            // Now and then one that takes two segments.
            try log.append(StormRecord(number: number).bytes(size: number % 50_000 == 7 ? log.segmentSize + 9 : number % 13 * 300))
        }
        if number % 64 == 0 { try log.sync() }
    }
}

/// What this process takes now, or took at most.
private struct Usage {
    private var anonymous = 0
    private var mapped = 0
    private var descriptors = 0
    private var mappings = 0
    private var threads = 0
    private var disk = 0

    var line: String { "\(anonymous) \(mapped) \(descriptors) \(mappings) \(threads) \(disk)" }

    /// proc(5): in KiB.
    mutating func take(in directory: String) {
        let status = lines("/proc/self/status")
        func number(_ name: String) -> Int {
            status.first { $0.hasPrefix(name + ":") }?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
        }
        anonymous = max(anonymous, number("RssAnon"))
        mapped = max(mapped, number("RssFile") + number("RssShmem"))
        threads = max(threads, number("Threads"))
        mappings = max(mappings, lines("/proc/self/maps").count { $0.contains(".wal") })
        // The log's own: others may have been inherited.
        descriptors = max(descriptors, names("/proc/self/fd").count { name in
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)"))?.hasPrefix(directory) ?? false
        })
        disk = max(disk, names(directory).reduce(0) { sum, name in
            var status = stat()
            return stat("\(directory)/\(name)", &status) == 0 ? sum + Int(status.st_blocks) / 2 : sum
        })
    }

    private func lines(_ path: String) -> [Substring] { ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n") }

    private func names(_ directory: String) -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [] }
}
