import Testing
import WAL

@Suite struct FrameFormatTests {
    private let logID = LogID("00112233-4455-4677-8899-aabbccddeeff")!

    private func value(
        _ payload: [UInt8], epoch: UInt64 = 7, flag: Bool = false, lsn: UInt64 = 0, logID: LogID? = nil
    ) -> UInt32 {
        let frame = FrameChecksum(logID: logID ?? self.logID, epoch: EpochID(rawValue: epoch))
        let lengthField = FrameHeader.lengthField(payloadCount: payload.count, continuesBatch: flag)
        return payload.withUnsafeBytes { frame.value(lengthField: lengthField, payload: $0, lsn: LSN(lsn)) }
    }

    /// Spells the hashed bytes out one by one, as the format document does.
    @Test func checksumCoversLogIDEpochLengthPayloadAndLSNInThatOrder() {
        let hashed: [UInt8] =
            [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x46, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF]
            + [0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01] + [0x03, 0, 0, 0x80] + [0x61, 0x62, 0x63]
            + [0x0B, 0, 0, 0, 0, 0, 0, 0x10]
        let expected = hashed.withUnsafeBytes { CRC32C.of($0) }
        #expect(value([0x61, 0x62, 0x63], epoch: 0x0102_0304_0506_0708, flag: true, lsn: 0x1000_0000_0000_000B) == expected)
    }

    @Test func anythingThatIsHashedChangesTheChecksum() {
        let payload: [UInt8] = Array("a record".utf8)
        let original = value(payload)
        #expect(value(payload, epoch: 8) != original)
        #expect(value(payload, flag: true) != original)
        #expect(value(payload, lsn: 1) != original)
        #expect(value(payload, logID: LogID(high: logID.high, low: logID.low ^ 1)) != original)
        #expect(value(payload + [0]) != original)
    }

    /// Solves for the LSN that makes the checksum 0: the map from LSN to checksum is affine over bits.
    @Test func aComputedZeroIsStoredAsAllOnes() throws {
        let begun = FrameChecksum(logID: logID, epoch: EpochID(rawValue: 1))
            .begin(lengthField: 0, payload: UnsafeRawBufferPointer(start: nil, count: 0))
        func raw(_ lsn: UInt64) -> UInt32 {
            var checksum = begun
            checksum.update(littleEndian: lsn)
            return checksum.value
        }
        // Gaussian elimination: rows are (change of the checksum, bits of the LSN that make it).
        var rows: [(change: UInt32, lsn: UInt64)] = []
        for bit in 0..<62 {
            var row = (change: raw(1 << bit) ^ raw(0), lsn: UInt64(1) << bit)
            for other in rows where row.change ^ other.change < row.change {
                row = (row.change ^ other.change, row.lsn ^ other.lsn)
            }
            if row.change != 0 { rows.append(row) }
        }
        rows.sort { $0.change > $1.change }
        var rest = raw(0)
        var lsn: UInt64 = 0
        for row in rows where rest ^ row.change < rest {
            rest ^= row.change
            lsn ^= row.lsn
        }
        try #require(raw(lsn) == 0, "no LSN found whose checksum is 0")
        #expect(FrameChecksum.finish(begun, lsn: LSN(lsn)) == 0xFFFF_FFFF)
    }

    @Test func aRegionOfZerosIsNoFrame() {
        let zeros = [UInt8](repeating: 0, count: 8)
        let frame = FrameChecksum(logID: logID, epoch: EpochID(rawValue: 1))
        let header = zeros.withUnsafeBytes { FrameHeader(load: $0) }
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        for lsn in 0..<UInt64(1000) { #expect(!frame.verifies(header, payload: empty, lsn: LSN(lsn))) }
    }

    @Test func headerRoundTripsAtAnyOffset() {
        var bytes = [UInt8](repeating: 0xEE, count: 20)
        let header = FrameHeader(checksum: 0x0102_0304, lengthField: 0x8000_0102)
        bytes.withUnsafeMutableBytes { header.store(into: $0, at: 3) }
        #expect(bytes[3..<11] == [4, 3, 2, 1, 2, 1, 0, 0x80])
        #expect(bytes.filter { $0 == 0xEE }.count == 12)
        let loaded = bytes.withUnsafeBytes { FrameHeader(load: $0, at: 3) }
        #expect(loaded == header)
        #expect(loaded.payloadCount == 0x102)
        #expect(loaded.continuesBatch)
        #expect(FrameHeader(checksum: 1, lengthField: 0x7FFF_FFFF).payloadCount == 0x7FFF_FFFF)
        #expect(!FrameHeader(checksum: 1, lengthField: 0x7FFF_FFFF).continuesBatch)
    }

    @Test func everyBitFlipOfAFrameIsDetected() throws {
        let payload = Array("sixteen bytes ok".utf8)
        let lengthField = FrameHeader.lengthField(payloadCount: payload.count)
        var frame = [UInt8](repeating: 0, count: 8) + payload
        frame.withUnsafeMutableBytes {
            FrameHeader(checksum: value(payload, lsn: 11), lengthField: lengthField).store(into: $0)
        }
        let checksum = FrameChecksum(logID: logID, epoch: EpochID(rawValue: 7))
        /// Reads as a scan does: the length the header claims, if that much is there.
        func verifies(_ bytes: [UInt8]) -> Bool {
            bytes.withUnsafeBytes { bytes in
                let header = FrameHeader(load: bytes)
                guard header.payloadCount <= bytes.count - 8 else { return false }
                return checksum.verifies(
                    header, payload: UnsafeRawBufferPointer(rebasing: bytes[8..<8 + header.payloadCount]), lsn: LSN(11))
            }
        }
        #expect(verifies(frame))
        for bit in 0..<frame.count * 8 {
            var damaged = frame
            damaged[bit / 8] ^= 1 << (bit % 8)
            #expect(!verifies(damaged), "bit \(bit)")
        }
    }

    @Test func hashingInTwoStepsGivesTheSame() {
        let payload = [UInt8](0..<200)
        let frame = FrameChecksum(logID: logID, epoch: EpochID(rawValue: 7))
        let begun = payload.withUnsafeBytes { frame.begin(lengthField: 200, payload: $0) }
        #expect(FrameChecksum.finish(begun, lsn: LSN(99)) == value(payload, lsn: 99))
    }
}
