import Archive
import Testing
import WAL

@Suite struct LayoutTests {
    let layout = Layout(log: LogName("orders.v1")!)

    @Test func everyKeyIsWhereTheFormatSays() {
        let epoch = SampleLog.epoch
        #expect(layout.root.path == "orders.v1")
        #expect(layout.probe.path == "orders.v1/.probe")
        #expect(layout.logDocument.path == "orders.v1/log.json")
        #expect(layout.floor.path == "orders.v1/floor.json")
        #expect(layout.claimCollection(12).path == "orders.v1/epochs/0000000012")
        #expect(layout.claim(12).path == "orders.v1/epochs/0000000012/claim.json")
        #expect(layout.start(9_999_999_999).path == "orders.v1/epochs/9999999999/start.json")
        #expect(layout.segments(epoch).path == "orders.v1/segments/0000000002-feedfacecafebeef")
        #expect(layout.segment(epoch, start: LSN(4096)).path == "orders.v1/segments/0000000002-feedfacecafebeef/00000000000000004096.zst")
        #expect(layout.tails(epoch).path == "orders.v1/tail/0000000002-feedfacecafebeef")
        #expect(layout.tails(epoch, level: 3).path == "orders.v1/tail/0000000002-feedfacecafebeef/3")
        #expect(
            layout.tail(epoch, level: 0, start: LSN(.max)).path
                == "orders.v1/tail/0000000002-feedfacecafebeef/0/18446744073709551615.zst")
        #expect(layout.object(.tail(level: 1), epoch, start: .zero) == layout.tail(epoch, level: 1, start: .zero))
        #expect(layout.object(.segment, epoch, start: .zero) == layout.segment(epoch, start: .zero))
        #expect(layout.encryption(12).path == "orders.v1/epochs/0000000012/encryption.json")
        #expect(layout.segment(epoch, start: .zero, isEncrypted: true).path == layout.segment(epoch, start: .zero).path + ".enc")
        #expect(layout.object(.tail(level: 2), epoch, start: .zero, isEncrypted: true).path == layout.tail(epoch, level: 2, start: .zero).path + ".enc")
        #expect(layout.gaps(epoch).path == "orders.v1/gaps/0000000002-feedfacecafebeef")
        #expect(layout.gap(epoch, start: LSN(7)).path == "orders.v1/gaps/0000000002-feedfacecafebeef/00000000000000000007.json")
        #expect(layout.head(epoch).path == "orders.v1/heads/0000000002-feedfacecafebeef.json")
    }

    @Test func keysSortAsTheirPositionsDo() {
        let positions: [UInt64] = [0, 1, 9, 10, 4096, 1 << 40, 1 << 62]
        let keys = positions.map { layout.segment(SampleLog.epoch, start: LSN($0)) }
        #expect(keys == keys.sorted())
    }

    /// Readers of an archive without encryption ask for as many names as if there were none.
    @Test func anObjectIsLookedForUnderTheNamesThatItMayHave() {
        let epoch = SampleLog.epoch
        func names(_ from: LSN?, _ start: UInt64) -> [String] {
            layout.names(.segment, epoch, start: LSN(start), ObjectNaming(encryptedFrom: from)).map { String($0.path.drop { $0 != "." }.drop { $0 != "z" }) }
        }
        #expect(names(nil, 0) == ["zst"] && ObjectNaming.plain.forms(start: LSN(.max)) == [false])
        #expect(names(.zero, 0) == ["zst.enc"])
        #expect(names(LSN(5), 5) == ["zst.enc"] && names(LSN(5), 6) == ["zst.enc"])
        #expect(names(LSN(5), 4) == ["zst", "zst.enc"])
    }

    @Test func logNamesFollowTheirRule() {
        for name in ["a", "A-b_c.d", "0", String(repeating: "x", count: 100)] { #expect(LogName(name)?.text == name) }
        for name in ["", ".a", "-a", "_a", "a/b", "a b", "ä", "a\0", "..", String(repeating: "x", count: 101)] {
            #expect(LogName(name) == nil, "\(name)")
        }
    }

    @Test func idsHaveOneForm() {
        var generator = SystemRandomNumberGenerator()
        let id = ArchiveID.random(using: &generator)
        #expect(ArchiveID(hex: id.description) == id)
        #expect(ArchiveID(SampleLog.archiveID.bytes) == SampleLog.archiveID)
        #expect(SampleLog.archiveID.description == "11112222333344445555666677778888")
        for text in ["", "1111222233334444555566667777888", "1111222233334444555566667777888G", "+1112222333344445555666677778888", "AAAA2222333344445555666677778888"] {
            #expect(ArchiveID(hex: text) == nil)
        }
    }
}
