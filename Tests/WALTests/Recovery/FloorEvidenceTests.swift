import Synchronization
import Testing
import TestSupport
@testable import WAL

/// How far back an opening looks for the last word on what was durable.
@Suite struct FloorEvidenceTests {
    /// The record lies in more segments than can be open at one time, so none of the last ones says how far the log was durable.
    @Test(arguments: [1, 10, 100]) func whatWasDurableBeforeALongRecordIsKnownAfterwards(_ more: Int) throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        let lsns = try (0..<30).map { try log.append(sampleRecord($0, count: 200)) }
        let durable = try log.sync()
        try log.append(sampleRecord(1000, count: (FloorEvidence.feetRead + more) * 4096))
        let end = log.endLSN
        let after = LogFixture(fixture.machine.crash(choosing: KeepEverything()))
        try log.close()
        // Were this taken for the torn tail, acknowledged records would go.
        try after.machine.damage(after.segment(lsns[5].rawValue / 4096), at: Int(lsns[5].rawValue % 4096) + 50, xor: 1)
        let again = try after.open()
        #expect(again.recoveryReport.floor == durable)
        #expect(again.endLSN == end)
        try again.close()
    }

    /// Opening costs the tail, not the log.
    @Test func noMoreFeetAreReadThanNeeded() throws {
        let fixture = LogFixture()
        try fixture.fill(10_000)
        for closes in [true, false] {
            let log = try fixture.open()
            try log.append([1])
            try log.sync()
            let machine = fixture.machine.crash(choosing: KeepEverything())
            if closes { try log.close() }
            let opened = Recorder<String>()
            let target = closes ? fixture.machine : machine
            target.observe { call, path in if call == .open && path.hasSuffix(".wal") { opened.append(path) } }
            let again = try LogFixture(target).open()
            #expect(Set(opened.values).count <= FloorEvidence.feetRead + 2, "\(opened.values.count)")
            target.observe(nil)
            #expect(try again.records().count > 10_000)
            try again.close()
            if !closes { try log.close() }
        }
    }
}
