import Testing
import WAL

@Suite struct FileNameTests {
    @Test(arguments: [0, 1, 42, (1 << 50) - 1] as [UInt64]) func segmentNamesRoundTrip(index: UInt64) {
        let name = SegmentName(index: index)
        #expect(name.fileName.utf8.count == 24)
        #expect(SegmentName(fileName: name.fileName) == name)
        #expect(SegmentName(timesName: name.timesName) == name)
        #expect(SegmentName(fileName: name.timesName) == nil)
        #expect(SegmentName(timesName: name.fileName) == nil)
    }

    @Test(
        arguments: [
            "", ".wal", "0.wal", "0000000000000000000.wal", "000000000000000000000.wal", "+0000000000000000000.wal",
            "-0000000000000000000.wal", "0000000000000000000x.wal", "00000000000000000000.WAL",
            "00000000000000000000.wal.tmp", " 0000000000000000000.wal", "0000000000000000000٣.wal",
            "18446744073709551616.wal", "99999999999999999999.wal", "00001125899906842624.wal",
        ])
    func otherNamesAreNoSegments(name: String) {
        #expect(SegmentName(fileName: name) == nil)
    }

    @Test func segmentNamesAreAsDocumented() {
        #expect(SegmentName(index: 7).fileName == "00000000000000000007.wal")
        #expect(SegmentName(index: 7).timesName == "00000000000000000007.times")
        #expect(EpochFile.name(generation: 7) == "epochs-00000000000000000007")
    }

    @Test func otherNamesAreNoEpochFiles() {
        for name in ["epochs-", "epochs-7", "epochs-00000000000000000000", "epochs-00000000000000000007.tmp"] {
            #expect(EpochFile.generation(ofName: name) == nil)
        }
    }

    @Test func slotNamesAreCheckedByteByByte() {
        for byte in UInt8.min...UInt8(127) {
            let character = Character(UnicodeScalar(byte))
            let isAllowed = "abcdefghijklmnopqrstuvwxyz0123456789._-".contains(character)
            #expect(SlotName.isValid("a\(character)") == isAllowed, "byte \(byte)")
        }
        #expect(SlotName.isValid(String(repeating: "x", count: 64)))
        #expect(!SlotName.isValid(String(repeating: "x", count: 65)))
        for name in ["", ".", "..", "a/b", "é", "A", ".tmp", "a.tmp"] { #expect(!SlotName.isValid(name)) }
        for name in ["...", "tmp", "a.tmp.b", "d-0123456789abcdef", "-", "_"] { #expect(SlotName.isValid(name)) }
    }
}
