import Testing
import TestSupport

@testable import WAL

/// A large record for which there is no space, while somebody else holds the maintenance lock for long.
@Suite struct GivenUpRecordTests {
    /// The error is the record's own, at once; its segments are gone; and the note of durability, which lay in the first of them, is kept.
    @Test func itsErrorIsToldAtOnceItsSegmentsGoAndTheNoteOfDurabilityStays() throws {
        let fixture = LogFixture()
        let time = SimulatedTimeSource()
        let log = try fixture.open(time: time)
        // Exactly one segment: what comes next is only prepared, and the foot of that has the cell.
        try log.append(sampleRecord(0, count: 4088))
        try log.sync()
        #expect(log.endLSN == LSN(4096))
        let cellOf = { (index: UInt64, machine: SimulatedFileSystem) throws -> LSN? in
            try SegmentFoot.decode(Array(machine.contents(fixture.segment(index))[4096...])).chooseCell()?.durable
        }
        #expect(try cellOf(1, fixture.machine) == LSN(4096) && cellOf(0, fixture.machine) != LSN(4096), "the case that is looked at")
        let maintenance = try fixture.machine.open("/log/maintenance", .createIfAbsent)
        #expect(try maintenance.tryLock(byte: 0, .exclusive))
        fixture.machine.inject(.init(.allocate, on: "*3.wal.tmp", count: 1000, errno: 28))
        let before = time.monotonic()
        #expect { try log.append(sampleRecord(1, count: 40_000)) } throws: { if case WALError.noSpace = $0 { true } else { false } }
        #expect(time.monotonic() == before, "nobody was waited for")
        #expect(try fixture.machine.list("/log").filter { $0.hasSuffix(".wal") }.count == 1)
        #expect(log.endLSN == LSN(4096))

        // Rot of what was durable is damage after a loss of power, not the torn end of a log.
        let after = fixture.machine.crash(choosing: DropEverything())
        #expect(try cellOf(0, after) == LSN(4096))
        try after.damage(fixture.segment(0), at: 100, xor: 1)
        let reopened = try LogFixture(after).open()
        #expect(reopened.endLSN == LSN(4096))
        #expect { try reopened.records() } throws: { ($0 as? WALError)?.isCorruption(at: .zero) ?? false }
        try reopened.close()

        maintenance.close()
        fixture.machine.removeFaults()
        #expect(try log.append(sampleRecord(1, count: 40_000)) == LSN(4096))
        try log.append(sampleRecord(2, count: 10))
        try log.close()
        let again = try fixture.open(.init(verify: .full))
        #expect(try again.records().count == 3)
        try again.close()
    }

    /// That its segments cannot be removed does not hide why it was given up, and they are in nobody's way.
    @Test func whatCannotBeRemovedIsReplacedLater() throws {
        for call in [SimulatedCall.unlink, .syncDirectory, .open] {
            let fixture = LogFixture()
            let log = try fixture.open()
            try log.append(sampleRecord(0, count: 4088))
            try log.sync()
            fixture.machine.inject(.init(.allocate, on: "*4.wal.tmp", count: 1000, errno: 28))
            fixture.machine.observe { [machine = fixture.machine] called, path in
                guard called == .allocate, path.hasSuffix("4.wal.tmp") else { return }
                machine.inject(.init(call, on: call == .syncDirectory ? "/log" : "/log/*.wal", count: 100, errno: 5))
            }
            #expect { try log.append(sampleRecord(1, count: 40_000)) } throws: { if case WALError.noSpace = $0 { true } else { false } }
            fixture.machine.observe(nil)
            fixture.machine.removeFaults()
            let lsns = try (0..<100).map { try log.append(sampleRecord($0, count: 200)) }
            try log.sync()
            let after = fixture.machine.crash(choosing: DropEverything())
            for machine in [fixture.machine, after] {
                if machine === fixture.machine { try log.close() }
                let again = try LogFixture(machine).open(.init(verify: .full))
                #expect(try again.records().map(\.lsn) == [.zero] + lsns, "\(call)")
                try again.close()
            }
        }
    }
}
