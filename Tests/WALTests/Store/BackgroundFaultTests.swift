import Synchronization
import Testing
import TestSupport
@testable import WAL

/// Any call of the file system fails, once or for a while, beside the helpers, while records short and long, batches, syncs and cuts come at random.
@Suite struct BackgroundFaultTests {
    private static let calls: [SimulatedCall] = [
        .open, .map, .allocate, .rename, .syncDirectory, .write, .sync, .unlink, .truncate, .read, .fileStatus, .list,
    ]

    /// What one machine's log is expected to hold.
    private struct Expected {
        var records: [(lsn: LSN, data: [UInt8])] = []
        /// Everything below was acknowledged.
        var durable = LSN.zero
        /// Where a cut that did not come back may have put the end.
        var cut: LSN?
    }

    private func make(_ isFile: Bool, _ machine: SimulatedFileSystem) -> AnyStore {
        isFile
            ? AnyStore(FileStore(path: "/log", fileSystem: machine, time: SimulatedTimeSource()))
            : AnyStore(SegmentedStore(directory: "/log", segmentSize: 4096, fileSystem: machine, time: SimulatedTimeSource()))
    }

    @Test(arguments: [HelperMode.background, .synchronous], [true, false])
    func whatWasAcknowledgedIsThereAndRefusalsChangeNothing(_ helpers: HelperMode, _ isFile: Bool) throws {
        for seed in 1...(isFile ? 2 : 25) as ClosedRange<UInt64> {
            try run(seed, helpers, isFile)
        }
    }

    private func run(_ seed: UInt64, _ helpers: HelperMode, _ isFile: Bool) throws {
        let name: Comment = "seed \(seed), \(helpers), \(isFile ? "file" : "segments")"
        var random = SeededGenerator(seed: seed)
        let machine = SimulatedFileSystem()
        var configuration = LogConfiguration()
        configuration.helpers = helpers
        let log = try AnyLog(store: make(isFile, machine), configuration: configuration)
        var expected = Expected()
        let call = Self.calls[Int.random(in: Self.calls.indices, using: &random)]
        let code: Int32 = call == .allocate && Bool.random(using: &random) ? 28 : [5, 24, 12, 28].randomElement(using: &random)!
        let step = Int.random(in: 0..<40, using: &random)
        let unit = isFile ? 256 : 1
        var isStopped = false
        for number in 0..<80 where !isStopped {
            if number == step {
                machine.inject(.init(call, on: "/log*", first: Int.random(in: 1...12, using: &random), count: Int.random(in: 1...3, using: &random), errno: code))
            }
            let end = log.endLSN
            do throws(WALError) {
                try act(number, log, unit, &random, &expected)
            } catch {
                if case .stopped = error {
                    isStopped = true
                } else {
                    #expect(log.endLSN == end, "\(name): \(error)")
                }
            }
            #expect(log.durableLSN <= log.endLSN, name)
            if !isStopped { expected.durable = max(expected.durable, log.durableLSN) }
        }
        machine.removeFaults()
        if !isStopped {
            try log.sync()
            expected.durable = log.endLSN
            let found = try log.iter().map { try $0.get() }
            #expect(found.map(\.lsn) == expected.records.map(\.lsn), name)
            #expect(found.map(\.data) == expected.records.map(\.data), name)
        }
        machine.evict()
        let machines = [machine.crash(choosing: DropEverything()), machine.crash(seed: seed, directories: .anyOrder), machine.kill()]
        do { try log.close() } catch { #expect(isStopped, "\(name): \(error)") }
        #expect(machine.counters.openFiles == 0 && machine.counters.mappings == 0, name)
        for (fate, after) in machines.enumerated() {
            try check(AnyLog(store: make(isFile, after), configuration: .init(verify: .full)), expected, "\(name.rawValue), fate \(fate), \(call) \(code)")
        }
        if !isStopped {
            try check(AnyLog(store: make(isFile, machine), configuration: .init(verify: .full)), expected, "\(name.rawValue), closed")
        }
    }

    private func act(_ number: Int, _ log: AnyLog, _ unit: Int, _ random: inout SeededGenerator, _ expected: inout Expected) throws(WALError) {
        switch Int.random(in: 0..<16, using: &random) {
        case 0, 1:
            let data = sampleRecord(number, count: Int.random(in: 16_400...60_000, using: &random) * unit)
            try append([data], to: &expected, log) { () throws(WALError) in [try log.append(data)] }
        case 2, 3:
            var batch = RecordBatch()
            let data = (0..<Int.random(in: 1...40, using: &random)).map { sampleRecord(number * 50 + $0, count: Int.random(in: 0...1000, using: &random) * unit) }
            for record in data { batch.append(record) }
            try append(data, to: &expected, log) { () throws(WALError) in try log.append(batch: batch) }
        case 4, 5, 6: try log.sync()
        case 7 where !expected.records.isEmpty:
            // Any but those inside a batch, which are refused.
            let last = expected.records[Int.random(in: expected.records.indices, using: &random)].lsn
            let kept = expected.records.filter { $0.lsn <= last }
            let cut = kept.last.map { $0.lsn.advanced(by: UInt64($0.data.count + 8)) }
            do throws(WALError) {
                try log.truncateAfter(last)
            } catch {
                if case .stopped = error { expected.cut = cut }
                throw error
            }
            expected.records = kept
            expected.durable = log.endLSN
        default:
            // Now and then up to a boundary exactly.
            let gap = 4096 - Int(log.endLSN.rawValue % 4096)
            let count = gap >= 8 && Bool.random(using: &random) ? gap - 8 : Int.random(in: 0...3000, using: &random)
            let data = sampleRecord(number, count: count)
            try append([data], to: &expected, log) { () throws(WALError) in [try log.append(data)] }
        }
    }

    /// Records whose append fails are not there, unless the log stopped: then all of them may be.
    private func append(_ data: [[UInt8]], to expected: inout Expected, _ log: AnyLog, _ body: () throws(WALError) -> [LSN]) throws(WALError) {
        let count = expected.records.count
        var end = log.endLSN
        for record in data {
            expected.records.append((end, record))
            end = end.advanced(by: UInt64(record.count + 8))
        }
        do throws(WALError) {
            let lsns = try body()
            #expect(lsns == expected.records[count...].map(\.lsn))
        } catch {
            if case .stopped = error { throw error }
            expected.records.removeSubrange(count...)
            throw error
        }
    }

    /// A prefix of what was appended is there, and all that was acknowledged.
    private func check(_ log: AnyLog, _ expected: Expected, _ name: String) throws {
        let promised = min(expected.durable, expected.cut ?? expected.durable)
        #expect(log.endLSN >= promised, "\(name): promised \(promised), found \(log.endLSN)")
        let found = try log.iter().map { try $0.get() }
        #expect(found.map(\.lsn) == expected.records.prefix(found.count).map(\.lsn), "\(name)")
        #expect(found.map(\.data) == expected.records.prefix(found.count).map(\.data), "\(name)")
        try log.appendAndSync([7])
        try log.close()
    }
}
