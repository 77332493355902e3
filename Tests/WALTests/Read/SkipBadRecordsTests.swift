import Testing
import TestSupport
@testable import WAL

/// What `.skipBadRecords` yields beside damage: each damaged place once, every intact record that can be told from chance, nothing twice.
@Suite struct SkipBadRecordsTests {
    enum Seen: Equatable {
        case records(ClosedRange<Int>)
        case damage(at: Int)
    }

    /// Damages a log of 100 records of 208 bytes over six segments with `damage`, and tells what is yielded, runs of records together.
    private func seen(_ damage: (_ write: (_ bytes: [UInt8], _ at: LSN) throws -> Void, _ lsns: [LSN]) throws -> Void) throws -> [Seen] {
        let fixture = LogFixture()
        let lsns = try fixture.fill(100)
        try damage({ bytes, lsn in
            for (offset, byte) in bytes.enumerated() {
                let place = lsn.advanced(by: UInt64(offset)).rawValue
                try fixture.write([byte], fixture.segment(place / 4096), at: place % 4096)
            }
        }, lsns)
        let reader = try LogReader.open(directory: fixture.directory, fileSystem: fixture.machine, time: SimulatedTimeSource())
        defer { reader.close() }
        var seen: [Seen] = []
        for element in reader.iter(policy: .skipBadRecords) {
            switch element {
            case .success(let record):
                let number = try #require(lsns.firstIndex(of: record.lsn))
                #expect(record.data == sampleRecord(number, count: 200))
                if case .records(let range) = seen.last { seen[seen.count - 1] = .records(range.lowerBound...number) } else { seen.append(.records(number...number)) }
            case .failure(.corruption(let lsn, _)): seen.append(.damage(at: try #require(lsns.firstIndex(of: lsn))))
            case .failure(let error): throw error
            }
        }
        // The stricter policy yields what comes before the first damage, and the damage.
        let strict = Array(reader.iter())
        if case .records(let first) = seen.first { #expect(strict.count == first.upperBound + 2) } else { #expect(strict.count == 1) }
        return seen
    }

    @Test func aWrongPayloadCostsItsRecordOnly() throws {
        #expect(try seen { write, lsns in try write([0xEE], lsns[10].advanced(by: 100)) } == [.records(0...9), .damage(at: 10), .records(11...99)])
    }

    @Test func aWrongChecksumCostsItsRecordOnly() throws {
        #expect(try seen { write, lsns in try write([1, 2, 3, 4], lsns[10]) } == [.records(0...9), .damage(at: 10), .records(11...99)])
    }

    /// Where the next record begins is known from the foot of the next segment: record 20 is the first that begins in segment 1.
    @Test(arguments: [[0xFF, 0xFF, 0xFF, 0x7F], [201, 0, 0, 0], [0, 16, 0, 0]] as [[UInt8]])
    func aWildLengthCostsTheRestOfItsSegment(_ length: [UInt8]) throws {
        #expect(try seen { write, lsns in try write(length, lsns[10].advanced(by: 4)) } == [.records(0...9), .damage(at: 10), .records(20...99)])
    }

    @Test func aZeroedRangeCostsTheRestOfItsSegment() throws {
        let found = try seen { write, lsns in try write([UInt8](repeating: 0, count: 3 * 208), lsns[25]) }
        #expect(found == [.records(0...24), .damage(at: 25), .records(40...99)])
    }

    /// Record 19 crosses into segment 1. Its part there is damaged: its length is not, so record 20 is where it says.
    @Test func damageBehindASegmentsStartCostsTheRecordThatCrosses() throws {
        #expect(try seen { write, _ in try write([0xEE, 0xEE], LSN(4096)) } == [.records(0...18), .damage(at: 19), .records(20...99)])
    }

    @Test func damageOfWhatCrossesIntoTheNextSegmentIsPassedByItsFoot() throws {
        #expect(try seen { write, lsns in try write([0xFF, 0xFF, 0xFF, 0x7F], lsns[19].advanced(by: 4)) } == [.records(0...18), .damage(at: 19), .records(20...99)])
    }

    /// A single frame is not believed: two that chain are. So a second damaged record hides the intact one between them.
    @Test func twoInARowAreOneDamageUpToWhatIsBelieved() throws {
        let found = try seen { write, lsns in
            try write([0xEE], lsns[10].advanced(by: 50))
            try write([0xEE], lsns[11].advanced(by: 50))
        }
        #expect(found == [.records(0...9), .damage(at: 10), .records(20...99)])
        let apart = try seen { write, lsns in
            try write([0xEE], lsns[10].advanced(by: 50))
            try write([0xEE], lsns[13].advanced(by: 50))
        }
        #expect(apart == [.records(0...9), .damage(at: 10), .records(11...12), .damage(at: 13), .records(14...99)])
    }

    @Test func damageOfTheLastRecordEndsTheIteration() throws {
        #expect(try seen { write, lsns in try write([0xEE], lsns[99].advanced(by: 100)) } == [.records(0...98), .damage(at: 99)])
        #expect(try seen { write, lsns in try write([0xFF, 0xFF, 0xFF, 0x7F], lsns[99].advanced(by: 4)) } == [.records(0...98), .damage(at: 99)])
        // The one before it: the last ends exactly where the log does, which is believed.
        #expect(try seen { write, lsns in try write([0xEE], lsns[98].advanced(by: 100)) } == [.records(0...97), .damage(at: 98), .records(99...99)])
    }

    @Test func damageOfTheFirstRecordIsPassed() throws {
        #expect(try seen { write, lsns in try write([0xEE], lsns[0].advanced(by: 100)) } == [.damage(at: 0), .records(1...99)])
    }
}
