import Foundation
import Testing
import WAL

@Suite struct SmokeTests {
    @Test func whatWasSyncedIsThereAfterReopening() throws {
        let directory = NSTemporaryDirectory() + "walship-smoke-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let log = try SegmentedLog.open(directory: directory, segmentSize: 4096)
        #expect(try log.append([1, 2, 3]) == LSN(0))
        #expect(try log.append([UInt8](repeating: 7, count: 100)) == LSN(11))
        var lsns: [LSN] = []
        for i in 0..<2000 { lsns.append(try log.append(Array("record \(i)".utf8))) }
        let big = [UInt8](repeating: 9, count: 100_000)
        let bigLSN = try log.append(big)
        try log.append([5])
        try log.sync()
        #expect(log.durableLSN == log.endLSN)
        let records = try log.iter().map { try $0.get() }
        #expect(records.count == 2004)
        #expect(records[2002].lsn == bigLSN && records[2002].data == big)
        try log.close()
        let again = try SegmentedLog.open(directory: directory)
        #expect(again.recoveryReport.bytesDiscarded == 0 && again.recoveryReport.bytesRecovered == 0)
        #expect(try again.iter().map { try $0.get() }.count == 2004)
        try again.truncateBefore(lsns[1000])
        #expect(again.headLSN == lsns[1000])
        #expect(try again.iter().map { try $0.get() }.count == 1002)
        let sidecar = try LogSidecar.attach(directory: directory)
        #expect(try sidecar.reader.durableLSN == again.durableLSN)
        let range = try sidecar.reader.verifiedRange(LSN(4096 * 6)..<LSN(4096 * 7))
        #expect(range.bytes.count == 4096)
        try again.close()
    }
}
