import Glibc
import Synchronization
import Testing
import TestSupport
@testable import WAL

/// What went wrong in logs that people use and cannot go wrong here, each named after its property. docs/lessons.md lists all of them, with the tests of
/// those that have their place elsewhere.
@Suite struct LogLessonTests {
    /// 1. Where the log begins is written in two copies, so one that is torn anywhere leaves the other.
    @Test func aTornHeadFileNeverMakesTheLogDisappear() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill()
        let log = try fixture.open()
        var found: Set<LSN> = []
        let crashed = Recorder<SimulatedFileSystem>()
        fixture.machine.observe { [machine = fixture.machine] call, path in
            guard call == .sync, path.hasSuffix("control") else { return }
            for sectors in UInt8.min ... .max { crashed.append(machine.crash(choosing: TornControl(sectors: sectors))) }
        }
        try log.truncateBefore(lsns[40])
        fixture.machine.observe(nil)
        for machine in crashed.values {
            let reopened = try LogFixture(machine).open()
            found.insert(reopened.headLSN)
            #expect(reopened.endLSN == log.endLSN)
            #expect(try reopened.records().map(\.lsn) == lsns.filter { $0 >= reopened.headLSN })
            try reopened.close()
        }
        #expect(found == [.zero, lsns[40]])
        try log.close()
    }

    /// 7. What a process appended and never synced is made durable by the opening that finds it, or by the sync after it.
    @Test(arguments: [1, 30, 100]) func syncAfterReopeningMakesNeverSyncedRecordsDurable(_ count: Int) throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        let lsns = try (0..<count).map { try log.append(sampleRecord($0, count: 200)) }
        let next = LogFixture(fixture.machine.kill())
        let reopened = try next.open()
        try reopened.sync()
        let after = try LogFixture(next.machine.crash(choosing: DropEverything())).open()
        #expect(try after.records().map(\.lsn) == lsns)
        try after.close()
        try reopened.close()
        try log.close()
    }

    /// 8. Threads write to several segments at once, and whoever flushes flushes all of them: after a sync nothing below it is lost with the power.
    @Test func aWriteThatLandsLateInALowerSegmentIsNeverAcknowledgedUnflushed() throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        let problems = Recorder<String>()
        onThreads(4) { [machine = fixture.machine] thread in
            for number in 0..<40 {
                do {
                    try log.append(sampleRecord(thread * 1000 + number, count: number % 5 * 900))
                    guard number % 4 == thread else { continue }
                    let durable = try log.sync() as LSN
                    let after = try LogFixture(machine.crash(choosing: DropEverything())).open()
                    if after.endLSN < durable { problems.append("\(durable) was acknowledged, \(after.endLSN) is there") }
                    try after.close()
                } catch { problems.append("\(error)") }
            }
        }
        #expect(problems.values.isEmpty)
        try log.close()
    }

    /// 11. A file that is no log is refused and stays as it is.
    @Test(arguments: [1, 100, 5000]) func openingAFileThatIsNoLogChangesNothing(_ count: Int) throws {
        let machine = SimulatedFileSystem()
        let text = [UInt8](repeating: UInt8(ascii: "t"), count: count)
        try machine.create("/letter", text)
        #expect(throws: WALError.self) {
            _ = try FileLog(store: FileStore(path: "/letter", fileSystem: machine, time: SimulatedTimeSource()))
        }
        #expect(throws: WALError.self) {
            _ = try SegmentedLog(store: SegmentedStore(directory: "/letter", segmentSize: nil, fileSystem: machine, time: SimulatedTimeSource()))
        }
        #expect(try machine.contents("/letter") == text)
        #expect(try machine.list("/") == ["letter"])
    }

    /// 13. A record verifies at its own place only.
    @Test func swappedRecordsDoNotVerify() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill(10)
        var bytes = try fixture.machine.contents(fixture.segment(0))
        let (first, second) = (Int(lsns[3].rawValue), Int(lsns[4].rawValue))
        let swapped = Array(bytes[second..<second + 208]) + Array(bytes[first..<first + 208])
        bytes.replaceSubrange(first..<second + 208, with: swapped)
        try fixture.write(Array(bytes[..<4096]), fixture.segment(0), at: 0)
        let log = try fixture.open()
        let found = Array(log.iter())
        #expect(found.count == 4)
        guard case .failure(.corruption(lsns[3], _))? = found.last else {
            Issue.record("\(found)")
            return
        }
        try log.close()
        try fixture.expectRefusal("verified whole", .init(verify: .full)) { $0.isCorruption(at: lsns[3]) }
    }

    /// 15. An appender that waits for the disk to make a segment has reserved nothing, so nobody's sync waits for it.
    @Test func anAppenderThatWaitsForTheDiskHoldsUpNobodysSync() throws {
        var fixture = LogFixture()
        fixture.helpers = .off
        let log = try fixture.open()
        try log.append(sampleRecord(1, count: 3000))
        let (isStuck, mayGoOn) = (Parker(), Parker())
        fixture.machine.observe { call, path in
            guard call == .allocate, path.contains("0001.wal") else { return }
            isStuck.unpark()
            mayGoOn.park()
        }
        let done = Parker()
        let thread = try NamedThread(name: "stalled") {
            _ = try? log.append(sampleRecord(2, count: 3000))
            done.unpark()
        }
        #expect(isStuck.park(nanoseconds: 10_000_000_000))
        #expect(try log.sync() as LSN == LSN(3008))
        #expect(!done.park(nanoseconds: 1))
        mayGoOn.unpark()
        thread.join()
        fixture.machine.observe(nil)
        #expect(log.endLSN == LSN(2 * 3008))
        try log.close()
    }

    /// 16. Opening reads the tail in large pieces: as many calls for a long log as for a short one.
    @Test func openingALongLogReadsNoMoreThanAShortOne() throws {
        // Not fewer than there are feet to look at.
        let reads = try [FloorEvidence.feetRead + 3, 300].map { segments in
            let fixture = LogFixture()
            let log = try fixture.open()
            while log.endLSN.rawValue < UInt64(segments) * 4096 { try log.append(sampleRecord(1, count: 60)) }
            try log.sync()
            // Never synced: what recovery has to read.
            for _ in 0..<100 { try log.append(sampleRecord(1, count: 60)) }
            let next = LogFixture(fixture.machine.kill())
            next.machine.resetCounters()
            try next.open().close()
            try log.close()
            return next.machine.counters[.read]
        }
        #expect(reads[1] <= reads[0] + 4)
        #expect(reads[1] < 80)
    }
}

/// Of the control file, the chosen sectors are new; everything else is kept.
private struct TornControl: CrashChooser {
    let sectors: UInt8
    func keeps(_ change: DirectoryChange) -> Bool { true }
    func size(of path: String, synced: Int, volatile: Int) -> Int { volatile }
    func fate(ofPage page: Int, in path: String) -> PageFate {
        path.hasSuffix("control") && page < 3 ? .tear(newSectors: sectors) : .keep
    }
}
