import Testing
import WAL

@Suite struct FormatLimitsTests {
    @Test func theLimitsFitEachOther() {
        #expect(96 + FormatLimits.epochsInPlace * EpochEntries.entrySize <= 4092)
        #expect(EpochFile.sizeMax == 24_000_044)
        #expect(FormatLimits.recordSizes.upperBound == Int(FrameHeader.batchFlag) - 1)
        // The end of the longest record at the last position, and the sum of two positions, do not overflow.
        #expect(!FormatLimits.lsnMax.addingReportingOverflow(FormatLimits.lsnMax).overflow)
        #expect(UInt64(FormatLimits.recordSizes.upperBound) + 8 < FormatLimits.lsnMax)
        #expect(String(FormatLimits.epochNumberMax).utf8.count == 10)
        #expect(String(FormatLimits.lsnMax).utf8.count <= 20)
        #expect(FormatLimits.isSegmentSize(FormatLimits.segmentSizes.lowerBound))
        #expect(FormatLimits.isSegmentSize(FormatLimits.segmentSizes.upperBound))
        #expect(!FormatLimits.isSegmentSize(0))
        #expect(FormatLimits.segmentIndexMax(segmentSize: 0) == 0)
    }

    /// The largest epochs file there may be is read.
    @Test func theLargestEpochFileIsRead() throws {
        let epochs = (1...UInt64(FormatLimits.epochsInFile)).map {
            Epoch(number: $0, id: EpochID(rawValue: $0), start: LSN($0 / 3))
        }
        let file = EpochFile(generation: 1, logID: LogID(high: 1, low: 2), epochs: epochs)
        let bytes = file.encode()
        #expect(bytes.count == EpochFile.sizeMax)
        #expect(try EpochFile.decode(bytes) == file)
    }
}
