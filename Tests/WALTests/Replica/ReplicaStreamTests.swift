import Testing
import TestSupport
@testable import WAL

/// Frames verified as their bytes come: the same whatever the pieces, and wherever the end is asked for.
@Suite struct ReplicaStreamTests {
    /// A log of records, batches and long records over two epochs, made by hand.
    struct Sample {
        var bytes: [UInt8] = []
        /// Each record: where it begins and ends, and whether the batch goes on after it.
        var records: [(start: LSN, end: LSN, continues: Bool)] = []
        let logID = LogID(high: 1, low: 2)
        let epochs = EpochTable([
            Epoch(number: 1, id: EpochID(rawValue: 7), start: .zero), Epoch(number: 2, id: EpochID(rawValue: 9), start: LSN(160)),
        ])!

        init() {
            for (index, count) in [0, 3, 40, 1, 0, 0, 25, 60, 200, 9, 7].enumerated() {
                let start = LSN(UInt64(bytes.count))
                let continues = [3, 4, 9].contains(index)
                let payload = sampleRecord(index, count: count)
                var header = FrameHeader(checksum: 0, lengthField: FrameHeader.lengthField(payloadCount: count, continuesBatch: continues))
                let checksum = FrameChecksum(logID: logID, epoch: epochs.epoch(at: start).id)
                header.checksum = payload.withUnsafeBytes { checksum.value(lengthField: header.lengthField, payload: $0, lsn: start) }
                bytes += header.bytes + payload
                records.append((start, LSN(UInt64(bytes.count)), continues))
            }
        }

        func stream(_ end: ReplicaStream.End) -> ReplicaStream {
            ReplicaStream(logID: logID, epochs: epochs, segmentSize: 4096, start: .zero, end: end)
        }

        /// Where the log ends: after the last record, or batch, that is wanted.
        func boundary(_ end: ReplicaStream.End) -> (LSN, UInt64) {
            var found = (LSN.zero, UInt64(0))
            for (index, record) in records.enumerated() {
                switch end {
                case .everything: break
                case .limit(let lsn): if record.end > lsn { return found }
                case .through(let lsn): if record.start > lsn { return found }
                }
                if !record.continues { found = (record.end, UInt64(index + 1)) }
            }
            return found
        }
    }

    @Test func whateverThePiecesTheEndIsThatOfTheLastWholeRecordOrBatch() throws {
        let sample = Sample()
        for size in [1, 2, 3, 7, 8, 9, 64, sample.bytes.count] {
            var stream = sample.stream(.everything)
            for start in stride(from: 0, to: sample.bytes.count, by: size) {
                let end = min(start + size, sample.bytes.count)
                try stream.add(sample.bytes, start..<end)
                #expect(stream.position == LSN(UInt64(end)))
                let whole = sample.records.lastIndex { $0.end <= stream.position && !$0.continues }
                #expect(stream.boundary == (whole.map { sample.records[$0].end } ?? .zero), "pieces of \(size), at \(end)")
                #expect(stream.recordCount == UInt64(whole.map { $0 + 1 } ?? 0))
            }
            #expect(stream.longestRecord == 200)
        }
    }

    @Test func everyEndThatCanBeAskedForIsFound() throws {
        let sample = Sample()
        for lsn in 0...UInt64(sample.bytes.count) + 10 {
            for end in [ReplicaStream.End.limit(LSN(lsn)), .through(LSN(lsn))] {
                for size in [5, 48, sample.bytes.count] {
                    var stream = sample.stream(end)
                    for start in stride(from: 0, to: sample.bytes.count, by: size) {
                        try stream.add(sample.bytes, start..<min(start + size, sample.bytes.count))
                    }
                    let (boundary, count) = sample.boundary(end)
                    #expect(stream.boundary == boundary && stream.recordCount == count, "\(end) in pieces of \(size)")
                }
            }
        }
    }

    @Test func everyFlippedBitIsCorruptionAtItsFrame() throws {
        let sample = Sample()
        for offset in sample.bytes.indices {
            var bytes = sample.bytes
            bytes[offset] ^= 1 << UInt8(offset % 8)
            for size in [13, bytes.count] {
                var stream = sample.stream(.everything)
                var failure: WALError?
                do throws(WALError) {
                    for start in stride(from: 0, to: bytes.count, by: size) { try stream.add(bytes, start..<min(start + size, bytes.count)) }
                } catch {
                    failure = error
                }
                let frame = try #require(sample.records.last { $0.start.rawValue <= UInt64(offset) }).start
                // A length that was made longer is noticed when the bytes are there, which may be never.
                if let failure {
                    guard case .corruption(frame, _) = failure else { Issue.record("byte \(offset): \(failure)"); continue }
                } else {
                    #expect(stream.boundary <= frame, "byte \(offset)")
                }
            }
        }
    }
}
