import Testing
import TestSupport
@testable import WAL

/// Iterating and visiting tell the same story, damaged or not.
@Suite struct RecordSequenceTests {
    enum Event: Equatable {
        case record(LSN, [UInt8])
        case damage(WALError)
    }
    private struct Enough: Error {}

    private func iterated(_ sequence: RecordSequence) -> [Event] {
        sequence.map { element in
            switch element {
            case .success(let record): .record(record.lsn, record.data)
            case .failure(let error): .damage(error)
            }
        }
    }

    private func visited(_ sequence: RecordSequence, tellingDamage: Bool) -> [Event] {
        var events: [Event] = []
        do {
            try sequence.forEachRecord(damaged: tellingDamage ? { events.append(.damage($0)) } : nil) { lsn, bytes in
                events.append(.record(lsn, bytes.withUnsafeBytes { Array($0) }))
            }
        } catch let error as WALError {
            events.append(.damage(error))
        } catch { Issue.record("\(error)") }
        return events
    }

    @Test(arguments: 0..<80) func visitingTellsWhatIteratingTells(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let fixture = LogFixture()
        let lsns = try fixture.fill(.random(in: 1...60, using: &random))
        for _ in 0..<Int.random(in: 0...4, using: &random) {
            let place = Int.random(in: 0..<Int(lsns.last!.rawValue) + 200, using: &random)
            try fixture.write([.random(in: .min ... .max, using: &random)], fixture.segment(UInt64(place / 4096)), at: UInt64(place % 4096))
        }
        let reader = try LogReader.open(directory: fixture.directory, fileSystem: fixture.machine, time: SimulatedTimeSource())
        defer { reader.close() }
        for start in [LSN.zero, lsns.randomElement(using: &random)!, LSN(UInt64.random(in: 0..<20_000, using: &random))] {
            let stopping = reader.iterFrom(start), skipping = reader.iterFrom(start, policy: .skipBadRecords)
            #expect(visited(stopping, tellingDamage: false) == iterated(stopping), "stopping, seed \(seed), from \(start)")
            #expect(visited(stopping, tellingDamage: true) == iterated(stopping), "stopping, told of damage, seed \(seed), from \(start)")
            #expect(visited(skipping, tellingDamage: true) == iterated(skipping), "skipping, seed \(seed), from \(start)")
            // Without anybody to tell, damage ends it.
            let until = iterated(skipping).firstIndex { if case .damage = $0 { true } else { false } }
            #expect(visited(skipping, tellingDamage: false) == Array(iterated(skipping).prefix((until ?? .max - 1) + 1)), "skipping, not told, seed \(seed)")
        }
    }

    @Test func anErrorOfTheVisitorEndsTheVisit() throws {
        let fixture = LogFixture()
        try fixture.fill(40)
        let reader = try LogReader.open(directory: fixture.directory, fileSystem: fixture.machine, time: SimulatedTimeSource())
        defer { reader.close() }
        var seen = 0
        #expect(throws: Enough.self) {
            try reader.iter().forEachRecord { _, _ in
                seen += 1
                if seen == 7 { throw Enough() }
            }
        }
        #expect(seen == 7)
    }

    /// A record is a value: it outlives its iteration and the reader.
    @Test func recordsOutliveTheIteration() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill(60)
        let reader = try LogReader.open(directory: fixture.directory, fileSystem: fixture.machine, time: SimulatedTimeSource())
        let records = try reader.iter().map { try $0.get() }
        reader.close()
        #expect(records.map(\.lsn) == lsns)
        for (number, record) in records.enumerated() { #expect(record.data == sampleRecord(number, count: 200)) }
    }
}
