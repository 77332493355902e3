import Testing
import TestSupport
@testable import WAL

/// Looking up how far a log was durable at a time.
@Suite struct CommitTimesTests {
    private static let second: UInt64 = 1_000_000_000

    /// A log with a sync at each of these seconds; the LSN that each made durable.
    private func log(at seconds: [UInt64], in fixture: LogFixture, size: Int = 500) throws -> (SegmentedLog, SimulatedTimeSource, [LSN]) {
        let time = SimulatedTimeSource(now: 0)
        let log = try fixture.open(time: time)
        let ends = try seconds.enumerated().map { number, second in
            time.step(to: second * Self.second)
            try log.append(sampleRecord(number, count: size))
            return try log.sync()
        }
        return (log, time, ends)
    }

    @Test func theLastDurableLSNAtOrBeforeATimeIsFound() throws {
        let fixture = LogFixture()
        let seconds = (0..<40 as Range<UInt64>).map { 100 + 3 * $0 }
        let (log, _, ends) = try log(at: seconds, in: fixture)
        let reader = try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
        func found(_ nanoseconds: UInt64) throws -> LSN? {
            let found = try log.durableLSN(at: nanoseconds)
            #expect(try reader.durableLSN(at: nanoseconds) == found)
            #expect(try log.commitTimes(at: nanoseconds).map(\.lsn) == (found.map { [$0] } ?? []))
            return found
        }
        #expect(try found(0) == nil && found(99 * Self.second) == nil)
        #expect(try found(100 * Self.second - 1) == nil)
        for (second, end) in zip(seconds, ends) {
            #expect(try found(second * Self.second) == end)
            #expect(try found((second + 3) * Self.second - 1) == end)
        }
        #expect(try found(.max) == ends.last)
        // What was truncated is not looked up any more.
        let head = try log.truncateBefore(ends[20])
        #expect(head == ends[20])
        #expect(try found(seconds[18] * Self.second) == nil)
        #expect(try found(seconds[20] * Self.second) == ends[20])
        #expect(try found(seconds[30] * Self.second) == ends[30])
        // Nor what was cut off.
        reader.close()
        try log.truncateAfter(ends[29])
        #expect(try log.durableLSN(at: .max).map { $0 <= ends[30] } ?? false)
        try log.close()
        #expect(throws: WALError.stopped(cause: .closed)) { try log.durableLSN(at: .max) }
    }

    @Test func aClockThatWasSetBackHasSeveralCandidates() throws {
        let fixture = LogFixture()
        let (log, _, ends) = try log(at: [100, 110, 120, 50, 60, 115, 200], in: fixture)
        func candidates(_ second: UInt64) throws -> [LSN] {
            let found = try log.commitTimes(at: second * Self.second).map(\.lsn)
            #expect(try log.durableLSN(at: second * Self.second) == found.last)
            return found
        }
        #expect(try candidates(49) == [])
        #expect(try candidates(55) == [ends[3]])
        #expect(try candidates(100) == [ends[0], ends[4]])
        #expect(try candidates(112) == [ends[1], ends[4]])
        #expect(try candidates(118) == [ends[1], ends[5]])
        #expect(try candidates(130) == [ends[5]])
        #expect(try candidates(300) == [ends[6]])
        try log.close()
    }

    @Test func whatIsMissingOrDamagedMakesTheAnswerEarlierOrNone() throws {
        let fixture = LogFixture()
        let seconds = (0..<40 as Range<UInt64>).map { 100 + 3 * $0 }
        let (log, _, ends) = try log(at: seconds, in: fixture)
        func segment(_ lsn: LSN) -> UInt64 { (lsn.rawValue - 1) / LogFixture.segmentSize }
        func times(_ index: UInt64) -> String { fixture.path(SegmentName(index: index).timesName) }
        let middle = segment(ends[20])
        let before = try #require(ends.last { segment($0) < middle })
        let inside = ends.filter { segment($0) == middle }
        let place = try #require(ends.lastIndex { segment($0) == middle })
        let at = seconds[place] * Self.second
        #expect(try log.durableLSN(at: at) == inside.last)
        // Its last entry does not verify.
        let size = try fixture.machine.contents(times(middle)).count
        try fixture.machine.damage(times(middle), at: size - 1, xor: 1)
        #expect(try log.durableLSN(at: at) == inside.dropLast().last ?? before)
        try fixture.machine.damage(times(middle), at: 20, xor: 1)
        #expect(try log.durableLSN(at: at) == before, "another log's, by its header")
        try fixture.machine.unlink(times(middle))
        #expect(try log.durableLSN(at: at) == before)
        for index in 0...middle where try fixture.machine.status(times(index)) != nil { try fixture.machine.unlink(times(index)) }
        #expect(try log.durableLSN(at: at) == nil)
        #expect(try log.durableLSN(at: .max) == ends.last)
        // An error of the disk is not an answer.
        fixture.machine.inject(.init(.read, on: "*.times", errno: 5))
        #expect { try log.durableLSN(at: at) } throws: { if case .io = $0 as? WALError { true } else { false } }
        try log.close()
    }

    @Test(arguments: StoreKind.allCases) func onlyALogOfSegmentsNotesTimes(_ kind: StoreKind) throws {
        try kind.run { place in
            let log = try place.open()
            #expect(try log.durableLSN(at: .max) == nil)
            try log.append([1])
            try log.sync()
            let keepsTimes = kind == .segmentsOnLinux || kind == .segmentsOnSimulation
            #expect(try log.durableLSN(at: .max) == (keepsTimes ? log.durableLSN : nil))
            try log.close()
        }
    }
}
