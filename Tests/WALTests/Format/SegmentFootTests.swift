import Testing
import WAL

@Suite struct SegmentFootTests {
    @Test(arguments: 1...40 as ClosedRange<UInt64>) func footRoundTrips(seed: UInt64) throws {
        var samples = FormatSamples(seed: seed)
        let header = samples.header()
        var bytes = SegmentFoot.encodeFresh(header)
        #expect(bytes.count == 4096)
        #expect(try SegmentFoot.decode(bytes) == SegmentFoot(header: header), "seed \(seed)")

        let range = header.range
        let first = SegmentFoot.FirstFrameCell(
            lsn: seed % 3 == 0 ? nil : samples.lsn(range.lowerBound.rawValue...range.upperBound.rawValue - 1))
        bytes.replaceSubrange(512..<524, with: first.encode(in: header))
        let cell = samples.durableCell()
        let offset = SegmentFoot.durableOffset(ofSequence: cell.sequence)
        bytes.replaceSubrange(offset..<offset + 28, with: cell.encode(in: header))
        let foot = try SegmentFoot.decode(bytes)
        #expect(foot.firstFrame == .success(first), "seed \(seed)")
        #expect(foot.chooseCell() == cell, "seed \(seed)")
    }

    @Test func everyBitFlipOfTheHeaderIsDetected() {
        var samples = FormatSamples(seed: 1)
        let bytes = SegmentFoot.encodeFresh(samples.header())
        Damage.everyBitFlipIsDetected(in: bytes, below: 44) { _ = try SegmentFoot.decode($0) }
        Damage.everyOtherLengthIsAnError(of: bytes) { _ = try SegmentFoot.decode($0) }
        Damage.everyOtherLengthIsAnError(of: Array(bytes[..<44])) { _ = try SegmentFoot.Header.decode($0) }
    }

    @Test func everyBitFlipOfACellIsDetected() {
        var samples = FormatSamples(seed: 2)
        let header = samples.header()
        let first = SegmentFoot.FirstFrameCell(lsn: header.range.lowerBound).encode(in: header)
        Damage.everyBitFlipIsDetected(in: first) { _ = try SegmentFoot.FirstFrameCell.decode($0, in: header) }
        Damage.everyOtherLengthIsAnError(of: first) { _ = try SegmentFoot.FirstFrameCell.decode($0, in: header) }
        let cell = samples.durableCell().encode(in: header)
        Damage.everyBitFlipIsDetected(in: cell) { _ = try SegmentFoot.DurableCell.decode($0, in: header) }
        Damage.everyOtherLengthIsAnError(of: cell) { _ = try SegmentFoot.DurableCell.decode($0, in: header) }
    }

    @Test func aCellOfAnotherLogOrSegmentDoesNotVerify() throws {
        var samples = FormatSamples(seed: 3)
        let header = SegmentFoot.Header(logID: samples.logID(), index: 5, segmentSize: 4096)
        let others = [
            SegmentFoot.Header(logID: samples.logID(), index: 5, segmentSize: 4096),
            SegmentFoot.Header(logID: header.logID, index: 6, segmentSize: 4096),
        ]
        let cell = samples.durableCell().encode(in: header)
        let first = SegmentFoot.FirstFrameCell(lsn: nil).encode(in: header)
        for other in others {
            let damage = try #require(throws: FormatError.self) { try SegmentFoot.DurableCell.decode(cell, in: other) }
            #expect(damage.kind == .checksum)
            #expect(throws: FormatError.self) { try SegmentFoot.FirstFrameCell.decode(first, in: other) }
        }
    }

    @Test func aFirstFrameOutsideTheSegmentIsRefused() throws {
        var samples = FormatSamples(seed: 4)
        let logID = samples.logID()
        let whole = SegmentFoot.Header(logID: logID, index: 0, segmentSize: 0)
        let small = SegmentFoot.Header(logID: logID, index: 0, segmentSize: 4096)
        let bytes = SegmentFoot.FirstFrameCell(lsn: LSN(4096)).encode(in: whole)
        let error = try #require(throws: FormatError.self) { try SegmentFoot.FirstFrameCell.decode(bytes, in: small) }
        #expect(error.kind == .value)
        #expect(try SegmentFoot.FirstFrameCell.decode(bytes, in: whole)?.lsn == LSN(4096))
    }

    @Test func theIntactCellWithTheGreatestSequenceRules() throws {
        var samples = FormatSamples(seed: 5)
        let header = samples.header()
        func foot(_ sequences: [UInt64], damage: Int? = nil) throws -> SegmentFoot {
            var bytes = SegmentFoot.encodeFresh(header)
            for sequence in sequences {
                let cell = SegmentFoot.DurableCell(
                    epoch: EpochID(rawValue: 1), durable: LSN(1000 + sequence), sequence: sequence)
                let offset = SegmentFoot.durableOffset(ofSequence: sequence)
                bytes.replaceSubrange(offset..<offset + 28, with: cell.encode(in: header))
            }
            if let damage { bytes[damage] ^= 1 }
            return try SegmentFoot.decode(bytes)
        }
        #expect(try foot([]).chooseCell() == nil)
        #expect(try foot([1]).chooseCell()?.sequence == 1)
        #expect(try foot([1, 2]).chooseCell()?.sequence == 2)
        #expect(try foot([1, 2, 3]).chooseCell()?.durable == LSN(1003))
        // Sequence 3 lies in sector 3, sequence 2 in sector 2.
        #expect(try foot([1, 2, 3], damage: 1536 + 8).chooseCell()?.sequence == 2)
        #expect(try foot([1, 2, 3], damage: 1024 + 8).chooseCell()?.sequence == 3)
        #expect(try foot([3], damage: 1536 + 8).chooseCell() == nil)
        #expect(try foot([3], damage: 1536 + 8).cells[1].failureKind == .checksum)
    }

    @Test func aCellInTheOthersPlaceIsRefused() throws {
        var samples = FormatSamples(seed: 6)
        let header = samples.header()
        var bytes = SegmentFoot.encodeFresh(header)
        let cell = SegmentFoot.DurableCell(epoch: EpochID(rawValue: 1), durable: .zero, sequence: 7)
        bytes.replaceSubrange(1024..<1052, with: cell.encode(in: header))
        let foot = try SegmentFoot.decode(bytes)
        #expect(foot.cells[0].failureKind == .value)
        #expect(foot.chooseCell() == nil)
    }

    @Test func anIndexWhoseBytesLieBeyondEveryLogIsRefused() throws {
        var samples = FormatSamples(seed: 7)
        for (size, index) in [(0, 1), (4096, 1 << 50), (1 << 30, 1 << 32), (4096, UInt64.max)] as [(UInt64, UInt64)] {
            var writer = ByteWriter(count: 44)
            writer.put(magic: "WALSHIPS", at: 0)
            writer.put(samples.logID(), at: 8)
            writer.put(index, at: 24)
            writer.put(size, at: 32)
            writer.putChecksum(at: 40)
            let error = try #require(throws: FormatError.self) { try SegmentFoot.Header.decode(writer.bytes) }
            #expect(error.field == "segment index")
        }
        let last = SegmentFoot.Header(logID: samples.logID(), index: (1 << 50) - 1, segmentSize: 4096)
        #expect(last.range.upperBound.rawValue == FormatLimits.lsnMax)
    }
}
