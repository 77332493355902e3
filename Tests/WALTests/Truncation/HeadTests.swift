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
