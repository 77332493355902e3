import Testing
import TestSupport
@testable import WAL

/// Where the log begins is what the facts say, whatever has failed on the way.
@Suite struct HeadTests {
    @Test(arguments: [SimulatedCall.sync, .write, .unlink, .syncDirectory, .open, .read])
    func afterATruncationThatFailedTheHeadIsOneThatCanBePinned(_ call: SimulatedCall) throws {
        var failures = 0
        for nth in 1...12 {
            let fixture = LogFixture()
            let lsns = try fixture.fill()
            let log = try fixture.open()
            let reader = try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
            fixture.machine.inject(.init(call, on: "/log*", first: nth, errno: 5))
            do { try log.truncateBefore(lsns[30]) } catch { failures += 1 }
            fixture.machine.removeFaults()
            #expect(try log.headLSN == reader.headLSN, "\(call) \(nth)")
            #expect(throws: Never.self, "\(call) \(nth)") { try log.pin("a", at: log.headLSN) }
            #expect(try log.records().first?.lsn == log.headLSN)
            try log.unpin("a")
            #expect(try log.truncateBefore(lsns[40]) == lsns[40])
            reader.close()
            try log.close()
        }
        #expect(failures > 0)
    }

    /// A hole that cannot be punched costs space, and nothing else: the log is truncated, opens, and gives it back later.
    @Test func aHoleThatCannotBePunchedStopsNoLog() throws {
        let machine = SimulatedFileSystem()
        func open() throws -> FileLog { try FileLog(store: FileStore(path: "/log", fileSystem: machine, time: SimulatedTimeSource()), configuration: .deterministic) }
        let log = try open()
        let lsns = try (0..<6).map { try log.append(sampleRecord($0, count: 1 << 20)) }
        try log.sync()
        func zeros() throws -> Int { try machine.contents("/log").prefix { $0 == 0 }.count }
        machine.inject(.init(.write, on: "/log", count: 1000, errno: 5))
        #expect(try log.truncateBefore(lsns[2]) == lsns[2])
        #expect(log.headLSN == lsns[2])
        #expect(try zeros() == 0)
        try log.close()
        let again = try open()
        #expect(again.headLSN == lsns[2] && again.iter().reduce(0) { count, _ in count + 1 } == 4)
        #expect(try zeros() == 0)
        machine.removeFaults()
        #expect(try again.truncateBefore(lsns[3]) == lsns[3])
        #expect(try zeros() == 3 << 20)
        try again.close()
    }

    /// Readers in this process and others are told of the head by the live page: whoever misses a segment then finds that it was truncated away.
    @Test func theHeadIsToldBeforeTheFirstSegmentGoes() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill()
        let log = try fixture.open()
        let heads = Recorder<LSN>()
        fixture.machine.observe { call, path in if call == .unlink, path.hasSuffix(".wal") { heads.append(log.headLSN) } }
        #expect(try log.truncateBefore(lsns[50]) == lsns[50])
        fixture.machine.observe(nil)
        #expect(!heads.values.isEmpty && heads.values.allSatisfy { $0 == lsns[50] })
        try log.close()
    }

    /// A sidecar that was killed after it had written the facts told nobody.
    @Test func aHeadThatNobodyToldOfIsLearntWithTheNextTruncation() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill()
        let log = try fixture.open()
        let control = try ControlFile.open(LogPaths(directory: "/log"), fixture.machine, writable: true)
        var facts = try control.requireFacts()
        facts.head = lsns[20]
        facts.floor = max(facts.floor, facts.head)
        _ = try control.writeFacts(facts, epochs: try control.epochTable(facts))
        control.close()
        #expect(log.headLSN == .zero)
        #expect(try log.truncateBefore(lsns[5]) == lsns[20])
        #expect(log.headLSN == lsns[20])
        try log.close()
    }
}
