import Testing
import TestSupport
@testable import WAL

/// What leaves the machine is verified where it lies, whatever crosses its ends.
@Suite struct VerifiedRangeTests {
    /// A closed log of records of many lengths, some longer than several segments; its bytes, and where its frames begin.
    private func makeLog(_ random: inout SeededGenerator) throws -> (fixture: LogFixture, bytes: [UInt8], starts: [Int]) {
        let fixture = LogFixture()
        let log = try fixture.open()
        var starts: [Int] = []
        var bytes: [UInt8] = []
        for number in 0..<Int.random(in: 1...40, using: &random) {
            let longest = [0, 30, 300, 3000, 20_000].randomElement(using: &random)!
            starts.append(Int(try log.append(sampleRecord(number, count: .random(in: 0...longest, using: &random))).rawValue))
        }
        try log.sync()
        let end = log.endLSN.rawValue
        try log.close()
        for index in 0...(end / 4096) where index * 4096 < end { bytes += try fixture.machine.contents(fixture.segment(index)).prefix(4096) }
        return (fixture, Array(bytes.prefix(Int(end))), starts)
    }

    private func openReader(_ fixture: LogFixture) throws -> LogReader {
        try LogReader.open(directory: fixture.directory, fileSystem: fixture.machine, time: SimulatedTimeSource())
    }

    private func randomRange(_ end: Int, _ starts: [Int], _ random: inout SeededGenerator) -> Range<Int> {
        func place() -> Int {
            switch Int.random(in: 0..<3, using: &random) {
            case 0: starts.randomElement(using: &random)!
            case 1: Int.random(in: 0...end / 4096, using: &random) * 4096
            default: Int.random(in: 0...end, using: &random)
            }
        }
        let (one, other) = (place(), place())
        return min(one, other)..<max(one, other)
    }

    private func expect(_ verified: VerifiedRange, _ range: Range<Int>, _ bytes: [UInt8], _ starts: [Int], _ comment: Comment) {
        let inside = starts.filter { range.contains($0) }
        #expect(verified.bytes == Array(bytes[range]), comment)
        #expect(verified.firstRecord?.rawValue == inside.first.map(UInt64.init), comment)
        #expect(verified.lastRecord?.rawValue == inside.last.map(UInt64.init), comment)
        #expect(verified.recordCount == UInt64(inside.count), comment)
    }

    private func lsns(_ range: Range<Int>) -> Range<LSN> { LSN(UInt64(range.lowerBound))..<LSN(UInt64(range.upperBound)) }

    @Test(arguments: 0..<60) func anyRangeIsWhatWasWritten(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let (fixture, bytes, starts) = try makeLog(&random)
        let reader = try openReader(fixture)
        defer { reader.close() }
        for _ in 0..<20 {
            let range = randomRange(bytes.count, starts, &random)
            expect(try reader.verifiedRange(lsns(range)), range, bytes, starts, "seed \(seed), range \(range)")
        }
        // One behind the other, as the shipper reads them.
        var position = 0
        while position < bytes.count {
            let range = position..<min(bytes.count, position + Int.random(in: 1...9000, using: &random))
            expect(try reader.verifiedRange(lsns(range)), range, bytes, starts, "seed \(seed), next range \(range)")
            position = range.upperBound
        }
    }

    /// A changed bit in any frame that has a byte in the range, also in the part that lies outside, keeps the range from leaving.
    @Test(arguments: 0..<150) func damageOfAFrameThatReachesIntoTheRangeIsFound(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: 5000 + seed)
        let (fixture, bytes, starts) = try makeLog(&random)
        let ends = starts.dropFirst() + [bytes.count]
        let range = randomRange(bytes.count, starts, &random)
        let inReach = zip(starts, ends).filter { $0 < range.upperBound && $1 > range.lowerBound }
        guard !range.isEmpty, let (start, end) = inReach.randomElement(using: &random) else { return }
        let reader = try openReader(fixture)
        defer { reader.close() }
        // Sometimes the range before was read already, and says where the crossing frame begins.
        if Bool.random(using: &random) && range.lowerBound > 0 { _ = try reader.verifiedRange(lsns(0..<range.lowerBound)) }
        let place = Int.random(in: start..<end, using: &random)
        try fixture.write([bytes[place] ^ 1 << UInt8.random(in: 0..<8, using: &random)], fixture.segment(UInt64(place / 4096)), at: UInt64(place % 4096))
        do throws(WALError) {
            _ = try reader.verifiedRange(lsns(range))
            Issue.record("seed \(seed): damage at \(place) in \(range) left")
        } catch {
            #expect(error.isCorruption(at: LSN(UInt64(start))), "seed \(seed): \(error), the frame begins at \(start)")
        }
    }
}
