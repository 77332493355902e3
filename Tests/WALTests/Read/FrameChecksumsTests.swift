import Testing
import TestSupport
@testable import WAL

/// Frames of many epochs are each verified with the checksum of their own, in whatever order they are asked for.
@Suite struct FrameChecksumsTests {
    private let logID = LogID(high: 0x1122_3344_5566_4788, low: 0x99AA_BBCC_DDEE_FF00)

    /// Epochs of no, one or some frames, and what is written in each: 24 bytes a frame.
    private func sample(seed: UInt64) throws -> (epochs: EpochTable, frames: [(lsn: LSN, epoch: Epoch)], bytes: [UInt8]) {
        var random = SeededGenerator(seed: seed)
        var epochs: [Epoch] = []
        var frames: [(lsn: LSN, epoch: Epoch)] = []
        var position: UInt64 = 0
        for number in 1...60 as ClosedRange<UInt64> {
            let epoch = Epoch(number: number, id: EpochID(rawValue: random.next()), start: LSN(position))
            epochs.append(epoch)
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                frames.append((LSN(position), epoch))
                position += 24
            }
        }
        var bytes: [UInt8] = []
        for (lsn, epoch) in frames {
            let payload = sampleRecord(Int(lsn.rawValue), count: 16)
            let checksum = payload.withUnsafeBytes { FrameChecksum(logID: logID, epoch: epoch.id).value(lengthField: 16, payload: $0, lsn: lsn) }
            bytes += FrameHeader(checksum: checksum, lengthField: 16).bytes + payload
        }
        return (try #require(EpochTable(epochs)), frames, bytes)
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>) func everyFrameVerifiesInAnyOrderAndNowhereElse(_ seed: UInt64) throws {
        let (epochs, frames, bytes) = try sample(seed: seed)
        var random = SeededGenerator(seed: seed)
        var checksums = FrameChecksums(logID: logID, epochs: epochs)
        func header(_ lsn: LSN) -> FrameHeader { bytes[Int(lsn.rawValue)...].withUnsafeBytes { FrameHeader(load: UnsafeRawBufferPointer(rebasing: $0[..<8])) } }
        func payload(_ lsn: LSN) -> [UInt8] { Array(bytes[Int(lsn.rawValue) + 8..<Int(lsn.rawValue) + 24]) }
        for (lsn, epoch) in frames.shuffled(using: &random) {
            let (payload, header) = (payload(lsn), header(lsn))
            let verifies = payload.withUnsafeBytes { checksums.verifies(header, payload: $0, lsn: lsn) }
            #expect(verifies, "seed \(seed), LSN \(lsn)")
            let state = checksums.checksum(at: lsn).state
            #expect(state == FrameChecksum(logID: logID, epoch: epoch.id).state, "seed \(seed), LSN \(lsn)")
            let elsewhere = try #require(frames.randomElement(using: &random)).lsn
            let verifiesElsewhere = payload.withUnsafeBytes { checksums.verifies(header, payload: $0, lsn: elsewhere) }
            #expect(verifiesElsewhere == (elsewhere == lsn), "seed \(seed)")
        }
        // Of no epoch of this log.
        let (lsn, epoch) = try #require(frames.last)
        let bad = payload(lsn).withUnsafeBytes { FrameChecksum(logID: logID, epoch: EpochID(rawValue: epoch.id.rawValue &+ 1)).value(lengthField: 16, payload: $0, lsn: lsn) }
        let verifiesForeign = payload(lsn).withUnsafeBytes { checksums.verifies(FrameHeader(checksum: bad, lengthField: 16), payload: $0, lsn: lsn) }
        #expect(!verifiesForeign)
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>) func aRunOfFramesEndsWhereAnotherEpochBegins(_ seed: UInt64) throws {
        let (_, frames, bytes) = try sample(seed: seed)
        let (epochs, _, _) = try sample(seed: seed)
        var checksums = FrameChecksums(logID: logID, epochs: epochs)
        for (index, frame) in frames.enumerated().reversed() + Array(frames.enumerated()) {
            let expected = frames[index...].prefix { $0.epoch == frame.epoch }
            let found = bytes[Int(frame.lsn.rawValue)...].withUnsafeBytes { checksums.intactFrames(in: $0, at: frame.lsn, payloadMax: 100) }
            #expect(found == IntactFrames(byteCount: expected.count * 24, count: expected.count, last: expected.last?.lsn), "seed \(seed), LSN \(frame.lsn)")
        }
        var other = FrameChecksums(logID: logID, epochs: epochs)
        let tooLong = bytes.withUnsafeBytes { other.intactFrames(in: $0, at: .zero, payloadMax: 15) }
        #expect(tooLong.count == 0)
    }
}
