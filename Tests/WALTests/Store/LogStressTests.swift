import Glibc
import Synchronization
import Testing
import TestSupport
import WAL

/// Everything at once, on the running kernel's files: appenders, commits, readers in the process and beside it, truncation, pins. `make sanitize` runs it under
/// the thread sanitizer.
@Suite(.serialized) struct LogStressTests {
    @Test func appendsCommitsReadersAndTruncationDisturbNobody() throws {
        try withTemporaryDirectory { directory in
            let path = directory + "/log"
            let log = try SegmentedLog.open(directory: path, segmentSize: 16384)
            let problems = Recorder<String>()
            let appenders = Atomic(3)
            let appended = Mutex<[LSN: Int]>([:])
            onThreads(7) { thread in
                do {
                    switch thread {
                    case 0..<3:
                        defer { appenders.subtract(1, ordering: .sequentiallyConsistent) }
                        for number in 0..<1500 {
                            let data = sampleRecord(thread * 10_000 + number, count: number % 97 == 0 ? 20_000 : number % 300)
                            let lsn = try log.append(data)
                            appended.withLock { $0[lsn] = data.count }
                            if number % (20 + thread) == 0 {
                                let durable = try log.sync() as LSN
                                if durable <= lsn || log.durableLSN < durable { problems.append("\(lsn) was acknowledged at \(durable)") }
                            }
                        }
                    case 3:
                        while appenders.load(ordering: .sequentiallyConsistent) > 0 {
                            let durable = log.durableLSN
                            let head = try log.truncateBefore(LSN(durable.rawValue / 2))
                            if head > durable { problems.append("head \(head) above durable \(durable)") }
                        }
                    case 4:
                        while appenders.load(ordering: .sequentiallyConsistent) > 0 { try read(log.iter(upTo: .written), problems) }
                    case 5:
                        let reader = try LogReader.open(directory: path)
                        defer { reader.close() }
                        while appenders.load(ordering: .sequentiallyConsistent) > 0 { try read(reader.iter(), problems) }
                    default:
                        while appenders.load(ordering: .sequentiallyConsistent) > 0 {
                            do {
                                try log.pin("app", at: log.headLSN)
                            } catch WALError.positionLost {
                                // Truncation was faster.
                            }
                            try log.unpin("app")
                            let (head, durable, written, end) = (log.headLSN, log.durableLSN, log.writtenLSN, log.endLSN)
                            if !(durable <= written && written <= end && head <= end) { problems.append("\(head) \(durable) \(written) \(end)") }
                        }
                    }
                } catch { problems.append("thread \(thread): \(error)") }
            }
            #expect(problems.values.isEmpty, "\(problems.values.prefix(3))")
            try log.close()
            let again = try SegmentedLog.open(directory: path, segmentSize: 16384, configuration: .init(verify: .full))
            let expected = appended.withLock { $0 }.filter { $0.key >= again.headLSN }
            let found = try again.iter(upTo: .written).map { try $0.get() }
            #expect(found.count == expected.count)
            #expect(found.allSatisfy { expected[$0.lsn] == $0.count })
            try again.close()
        }
    }

    /// Records follow one another; a reader that truncation has overtaken is told so.
    private func read(_ records: RecordSequence, _ problems: Recorder<String>) throws {
        var next: LSN?
        for element in records {
            switch element {
            case .success(let record):
                if let next, next != record.lsn { problems.append("after \(next) comes \(record.lsn)") }
                next = record.endLSN
            case .failure(.positionLost): return
            case .failure(let error): throw error
            }
        }
    }
}
