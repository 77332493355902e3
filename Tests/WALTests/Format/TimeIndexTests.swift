import Testing
import WAL

@Suite struct TimeIndexTests {
    private let logID = LogID(high: 0x1122_3344_5566_4788, low: 0x99AA_BBCC_DDEE_FF00)

    private func entries(seed: UInt64, count: Int) -> [TimeEntry] {
        var samples = FormatSamples(seed: seed)
        var lsn: UInt64 = 0
        return (0..<count).map { index in
            lsn = samples.number(lsn...(index == count - 1 ? FormatLimits.lsnMax : max(lsn, 1 << 40)))
            return TimeEntry(nanoseconds: samples.random.next(), lsn: LSN(lsn))
        }
    }

    private func file(_ entries: [TimeEntry], index: UInt64 = 3) -> (bytes: [UInt8], ends: [Int]) {
        var encoder = TimeIndexEncoder(logID: logID, index: index)
        var bytes = encoder.header
        var ends = [bytes.count]
        for entry in entries {
            bytes += encoder.append(entry)
            ends.append(bytes.count)
        }
        return (bytes, ends)
    }

    @Test(arguments: 1...30 as ClosedRange<UInt64>) func timesRoundTripAlsoWhenTheClockSteps(seed: UInt64) throws {
        let entries = entries(seed: seed, count: 50)
        let (bytes, _) = file(entries)
        let read = try TimeIndexDecoder.decode(bytes, expecting: logID, index: 3)
        #expect(read.entries == entries, "seed \(seed)")
        #expect(read.validCount == bytes.count, "seed \(seed)")
    }

    @Test func everyCutEndsTheListAtAWholeEntry() throws {
        let entries = entries(seed: 1, count: 8)
        let (bytes, ends) = file(entries)
        for count in 0..<bytes.count {
            let cut = Array(bytes[..<count])
            guard count >= 32 else {
                #expect(throws: FormatError.self) { try TimeIndexDecoder.decode(cut, expecting: logID, index: 3) }
                continue
            }
            let read = try TimeIndexDecoder.decode(cut, expecting: logID, index: 3)
            let whole = ends.lastIndex { $0 <= count }!
            #expect(read.entries == Array(entries[..<whole]))
            #expect(read.validCount == ends[whole])
        }
    }

    @Test func everyBitFlipEndsTheListBeforeTheDamagedEntry() throws {
        let entries = entries(seed: 2, count: 6)
        let (bytes, ends) = file(entries)
        for bit in 0..<bytes.count * 8 {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << (bit % 8)
            if bit / 8 < 32 {
                #expect(throws: FormatError.self) { try TimeIndexDecoder.decode(damaged, expecting: logID, index: 3) }
            } else {
                let read = try TimeIndexDecoder.decode(damaged, expecting: logID, index: 3)
                let whole = ends.lastIndex { $0 <= bit / 8 }!
                #expect(read.entries == Array(entries[..<whole]), "bit \(bit)")
            }
        }
    }

    @Test func aFileOfAnotherLogOrSegmentIsRefused() {
        let (bytes, _) = file(entries(seed: 3, count: 2))
        let other = LogID(high: logID.high, low: 1)
        #expect(throws: FormatError.self) { try TimeIndexDecoder.decode(bytes, expecting: logID, index: 4) }
        #expect(throws: FormatError.self) { try TimeIndexDecoder.decode(bytes, expecting: other, index: 3) }
    }

    @Test func writingGoesOnAfterTheLastGoodEntry() throws {
        let all = entries(seed: 4, count: 9)
        let (bytes, ends) = file(all)
        let torn = Array(bytes[..<(ends[6] + 1)])
        let read = try TimeIndexDecoder.decode(torn, expecting: logID, index: 3)
        var encoder = TimeIndexEncoder(logID: logID, index: 3, resumingAfter: read.entries.last)
        let resumed = all[6...].reduce(into: Array(torn[..<read.validCount])) { $0 += encoder.append($1) }
        #expect(resumed == bytes)
    }

    @Test func zigZagKeepsSmallNumbersSmall() {
        #expect([0, -1, 1, -2, 2].map(ZigZag.encode) == [0, 1, 2, 3, 4])
        for value in [0, 1, -1, .max, .min, 123_456_789, -987_654_321] as [Int64] {
            #expect(ZigZag.decode(ZigZag.encode(value)) == value)
        }
    }

    @Test func onlyTheShortestVarintsAreRead() {
        func read(_ bytes: [UInt8]) -> UInt64? { ByteReader("", bytes).varint(at: 0)?.value }
        for value in [0, 1, 127, 128, 16_383, 16_384, 1 << 62, UInt64.max] {
            var writer = ByteWriter()
            writer.append(varint: value)
            #expect(read(writer.bytes) == value)
            for count in 0..<writer.bytes.count { #expect(read(Array(writer.bytes[..<count])) == nil) }
        }
        #expect(read([0x80, 0x00]) == nil)
        #expect(read([0xFF, 0x80, 0x00]) == nil)
        #expect(read([UInt8](repeating: 0xFF, count: 9) + [0x02]) == nil)
        #expect(read([UInt8](repeating: 0xFF, count: 10) + [0x01]) == nil)
    }
}
