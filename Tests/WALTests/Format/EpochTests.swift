import Testing
import WAL

@Suite struct EpochTests {
    private func makeTable(_ starts: [UInt64], firstNumber: UInt64 = 1) -> EpochTable? {
        EpochTable(
            starts.enumerated().map { index, start in
                Epoch(
                    number: firstNumber + UInt64(index), id: EpochID(rawValue: 100 + firstNumber + UInt64(index)),
                    start: LSN(start))
            })
    }

    /// Every table of up to four epochs with starts 0 to 3, against the rule said plainly.
    @Test func theEpochOfAnLSNIsTheLastThatStartsAtOrBelowIt() throws {
        for count in 1...4 {
            for code in 0..<(1 << (2 * count)) {
                let starts = (0..<count).map { UInt64(code >> (2 * $0) & 3) }
                guard let table = makeTable(starts) else {
                    #expect(starts != starts.sorted())
                    continue
                }
                #expect(starts == starts.sorted())
                for lsn in 0...4 as ClosedRange<UInt64> {
                    let expected = table.epochs.last { $0.start.rawValue <= lsn } ?? table.epochs[0]
                    #expect(table.epoch(at: LSN(lsn)) == expected, "\(starts) at \(lsn)")
                    let needed = table.epochs.lastIndex { $0.start.rawValue < lsn } ?? 0
                    #expect(table.entries(neededFor: LSN(lsn)) == Array(table.epochs[needed...]), "\(starts) at \(lsn)")
                }
            }
        }
    }

    @Test func aPositionIsInTheHistoryUpToTheSuccessorsStart() throws {
        let table = try #require(makeTable([0, 100, 100, 200]))
        let ids = table.epochs.map(\.id)
        #expect(table.contains(LSN(100), of: ids[0]))
        #expect(!table.contains(LSN(101), of: ids[0]))
        #expect(table.contains(LSN(100), of: ids[1]))
        #expect(!table.contains(LSN(101), of: ids[1]))
        #expect(table.contains(LSN(200), of: ids[2]))
        #expect(table.contains(LSN(1 << 40), of: ids[3]))
        #expect(!table.contains(.zero, of: EpochID(rawValue: 1)))
    }

    @Test func anEpochThatBeginsBelowOthersLeavesThemNothing() throws {
        var table = try #require(makeTable([0, 100, 200]))
        let new = Epoch(number: 4, id: EpochID(rawValue: 9), start: LSN(150))
        table.begin(new)
        #expect(table.current == new)
        #expect(table.epochs.map(\.start) == [LSN(0), LSN(100), LSN(150), LSN(150)])
        #expect(EpochTable(table.epochs) == table)
        for lsn in [150, 199, 200, 5000] as [UInt64] { #expect(table.epoch(at: LSN(lsn)) == new) }
        #expect(table.epoch(at: LSN(149)).number == 2)
    }

    @Test func noHistoryIsMadeOfNothingOrOfGaps() {
        #expect(EpochTable([]) == nil)
        #expect(makeTable([0], firstNumber: 0) == nil)
        #expect(makeTable([0, 0], firstNumber: 9_999_999_999) == nil)
        #expect(makeTable([0], firstNumber: 9_999_999_999) != nil)
        #expect(makeTable([(1 << 62) + 1]) == nil)
        let id = EpochID(rawValue: 1)
        #expect(
            EpochTable([Epoch(number: 1, id: id, start: .zero), Epoch(number: 3, id: id, start: .zero)]) == nil)
        #expect(
            EpochTable([Epoch(number: .max, id: id, start: .zero), Epoch(number: 0, id: id, start: .zero)]) == nil)
    }

    @Test(arguments: [1, 2, 127, 1000]) func epochFileRoundTrips(count: Int) throws {
        var samples = FormatSamples(seed: UInt64(count))
        let file = EpochFile(
            generation: samples.number(1...FormatLimits.counterMax), logID: samples.logID(),
            epochs: samples.epochs(count: count))
        let bytes = file.encode()
        #expect(bytes.count == 44 + 24 * count)
        #expect(try EpochFile.decode(bytes, expecting: file.logID) == file)
        #expect(throws: FormatError.self) { try EpochFile.decode(bytes, expecting: samples.logID()) }
        #expect(EpochFile.generation(ofName: file.name) == file.generation)
    }

    @Test func everyBitFlipOfAnEpochFileIsDetected() {
        var samples = FormatSamples(seed: 11)
        let bytes = EpochFile(generation: 1, logID: samples.logID(), epochs: samples.epochs(count: 3)).encode()
        Damage.everyBitFlipIsDetected(in: bytes) { _ = try EpochFile.decode($0) }
        Damage.everyOtherLengthIsAnError(of: bytes) { _ = try EpochFile.decode($0) }
    }

    @Test func aCountIsComparedWithTheLimitBeforeAnythingElse() throws {
        var writer = ByteWriter(count: 64)
        writer.put(magic: "WALSHIPE", at: 0)
        for count in [0, 1_000_001, UInt32.max] {
            writer.put(count, at: 32)
            let error = try #require(throws: FormatError.self) { try EpochFile.decode(writer.bytes) }
            #expect(error.field == "epoch count")
        }
    }
}
