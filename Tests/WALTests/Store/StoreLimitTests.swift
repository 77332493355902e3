import Glibc
import TestSupport
import Testing
@testable import WAL

/// What happens at the limits of the small stores, and that truncation gives room again.
@Suite struct StoreLimitTests {
    @Test func aLogInMemoryKeepsItsLimitAndGoesOnAfterTruncation() throws {
        let log = try MemoryLog(store: MemoryStore(segmentSize: 4096, byteLimit: 10 * 4096))
        var lsns: [LSN] = []
        func fill() -> WALError? {
            do throws(WALError) {
                while lsns.count < 1000 { lsns.append(try log.append(sampleRecord(lsns.count, count: 200))) }
                return nil
            } catch { return error }
        }
        let full = WALError.noSpace(path: "the log in memory")
        #expect(fill() == full)
        #expect(lsns.count == 10 * 4096 / 208)
        #expect(throws: full) { try log.append(sampleRecord(0, count: 100_000)) }
        let end = log.endLSN
        #expect(try log.sync() == end)
        #expect(try log.records().count == lsns.count)
        #expect(throws: full) { try log.append(sampleRecord(0, count: 4000)) }
        #expect(try log.truncateBefore(lsns[100]) == lsns[100])
        #expect(fill() == full)
        #expect(try log.records().map(\.lsn) == Array(lsns[100...]))
        // What is cut off gives room, too.
        try log.truncateAfter(lsns[110])
        lsns.removeSubrange(111...)
        #expect(fill() == full)
        #expect(try log.records().map(\.lsn) == Array(lsns[100...]))
        try log.close()
    }

    private func blocks(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_blocks) * 512 : -1
    }

    @Test func aLogInOneFileReturnsTheSpaceOfItsPrefix() throws {
        try withTemporaryDirectory { directory in
            let path = directory + "/log"
            var log = try FileLog.open(path: path, configuration: .deterministic)
            let lsns = try (0..<200).map { try log.append(sampleRecord($0, count: 100_000)) }
            try log.sync()
            let full = blocks(path)
            #expect(full >= 20_000_000)
            #expect(try log.truncateBefore(lsns[180]) == lsns[180])
            #expect(blocks(path) < full / 4)
            #expect(try log.records().map(\.data) == (180..<200).map { sampleRecord($0, count: 100_000) })
            // Nor does a copy of the file take it again.
            try log.truncateAfter(lsns[190])
            #expect(blocks(path) < full / 4)
            try log.close()
            log = try FileLog.open(path: path, configuration: .init(verify: .full))
            #expect(try log.records().map(\.lsn) == Array(lsns[180...190]))
            // To its end, on a boundary or not.
            try log.append(sampleRecord(7, count: Int((1 << 20) - (log.endLSN.rawValue + 8) % (1 << 20))))
            try log.sync()
            #expect(log.endLSN.rawValue % (1 << 20) == 0)
            let last = try log.append([1])
            try log.sync()
            #expect(try log.truncateBefore(last) == last)
            try log.truncateAfter(last)
            try log.append(sampleRecord(8, count: 300_000))
            try log.close()
            log = try FileLog.open(path: path, configuration: .init(verify: .full))
            #expect(try log.records().map(\.count) == [1, 300_000])
            #expect(blocks(path) < 4 << 20)
            try log.close()
        }
    }

    @Test func anEmptyPathIsNoLog() throws {
        #expect { _ = try SegmentedLog.open(directory: "") } throws: { ($0 as? WALError)?.isNotALog ?? false }
        #expect { _ = try FileLog.open(path: "") } throws: { ($0 as? WALError)?.isNotALog ?? false }
        #expect { _ = try LogReader.open(directory: "") } throws: { ($0 as? WALError)?.isNotALog ?? false }
        #expect { _ = try LogReader.exists(directory: "") } throws: { ($0 as? WALError)?.isNotALog ?? false }
    }
}
