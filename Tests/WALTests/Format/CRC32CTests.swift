import CCRC32C
import Testing
import TestSupport
import WAL

/// CRC-32C: what it is (RFC 3720, appendix B.4), and that every implementation agrees.
@Suite struct CRC32CTests {
    static let vectors: [(name: String, bytes: [UInt8], checksum: UInt32)] = [
        ("nothing", [], 0),
        ("check string", Array("123456789".utf8), 0xE306_9283),
        ("32 zeros", [UInt8](repeating: 0, count: 32), 0x8A91_36AA),
        ("32 ones", [UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
        ("ascending", Array(0..<32), 0x46DD_794E),
        ("descending", (0..<32).reversed(), 0x113F_DB5C),
        (
            "iSCSI read command",
            [
                0x01, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
                0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
            ], 0xD996_3A56
        ),
    ]

    @Test(arguments: vectors.indices) func knownVectorsHold(_ index: Int) {
        let (name, bytes, checksum) = Self.vectors[index]
        #expect(CRC32C.of(bytes) == checksum, "\(name)")
        #expect(bytes.withUnsafeBytes { walship_crc32c_portable(0, $0.baseAddress, $0.count) } == checksum, "\(name)")
    }

    /// Every length up to past the threshold of three streams, at every alignment; then lengths around the longest stream.
    @Test func hardwareEqualsPortable() {
        var random = SeededGenerator(seed: 1)
        let bytes = (0..<70_000).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        let longest = 3 * 2048
        let lengths = Array(0...400) + Array(longest - 30...longest + 30) + [2 * longest + 79, 5 * longest + 1, 65_536]
        for length in lengths {
            for offset in length <= 400 ? 0..<16 : 0..<3 {
                let initial = UInt32.random(in: .min ... .max, using: &random)
                bytes.withUnsafeBytes { buffer in
                    let start = buffer.baseAddress! + offset
                    #expect(
                        walship_crc32c(initial, start, length) == walship_crc32c_portable(initial, start, length),
                        "length \(length), offset \(offset), initial \(initial)")
                }
            }
        }
    }

    @Test func checksumOfPartsIsChecksumOfWhole() {
        var random = SeededGenerator(seed: 2)
        let bytes = (0..<20_000).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        for round in 0..<200 {
            let cut = Int.random(in: 0...bytes.count, using: &random)
            bytes.withUnsafeBytes { buffer in
                var checksum = CRC32C()
                checksum.update(UnsafeRawBufferPointer(rebasing: buffer[..<cut]))
                checksum = CRC32C(state: checksum.value)
                checksum.update(UnsafeRawBufferPointer(rebasing: buffer[cut...]))
                #expect(checksum.value == CRC32C.of(buffer), "round \(round), cut at \(cut)")
            }
        }
    }

    @Test func numbersAreHashedLeastSignificantByteFirst() {
        var numbers = CRC32C()
        numbers.update(littleEndian: UInt32(0x0403_0201))
        numbers.update(littleEndian: UInt64(0x0C0B_0A09_0807_0605))
        #expect(numbers.value == CRC32C.of(Array(1...12)))
    }

    @Test func everyInputFormGivesTheSameChecksum() {
        let bytes = Array("walship".utf8)
        var fromSpan = CRC32C()
        fromSpan.update(bytes.span.bytes)
        #expect(fromSpan.value == CRC32C.of(bytes))
        #expect(CRC32C.of(bytes.span.bytes) == CRC32C.of(bytes))
        #expect(bytes.withUnsafeBytes { CRC32C.of($0) } == CRC32C.of(bytes))
    }
}
