import Foundation
import Testing
import WAL

/// The formats as they lie on disk, byte for byte. `WALSHIP_REGENERATE_GOLDEN=1 swift test --filter Golden` writes the
/// files anew; a difference that this makes is a change of the format and needs what such a change needs.
@Suite struct GoldenTests {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Golden/log", directoryHint: .isDirectory)

    static func stored(_ path: String) throws -> [UInt8] {
        try [UInt8](Data(contentsOf: root.appending(path: path)))
    }

    /// Runs once, before the first test looks.
    static let regeneration = Result {
        guard ProcessInfo.processInfo.environment["WALSHIP_REGENERATE_GOLDEN"] == "1" else { return }
        for (path, bytes) in GoldenFixture.files {
            let url = root.appending(path: path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(bytes).write(to: url)
        }
    }

    init() throws { try Self.regeneration.get() }

    @Test func everyFileIsAsItWasWhenTheFormatWasDecided() throws {
        for (path, bytes) in GoldenFixture.files.sorted(by: { $0.key < $1.key }) {
            let stored = try Self.stored(path)
            let difference = zip(stored, bytes).enumerated().first { $0.element.0 != $0.element.1 }?.offset
            #expect(stored.count == bytes.count, "\(path)")
            #expect(difference == nil, "\(path) differs from byte \(difference ?? 0)")
        }
    }

    @Test func thereIsNoGoldenFileThatNothingChecks() throws {
        let found = try FileManager.default.subpathsOfDirectory(atPath: Self.root.path).filter { path in
            var isDirectory: ObjCBool = false
            _ = FileManager.default.fileExists(
                atPath: Self.root.appending(path: path).path, isDirectory: &isDirectory)
            return !isDirectory.boolValue
        }
        #expect(Set(found) == Set(GoldenFixture.files.keys).union(["README.md"]))
    }

    @Test func eachStructureIsReadBack() throws {
        #expect(
            try IdentityPage.decode(Self.stored("control-identity.bin"))
                == IdentityPage(
                    logID: GoldenFixture.logID, segmentSize: 16 << 20, created: GoldenFixture.created))
        let facts = try Facts.decode(Self.stored("control-facts.bin"), page: 2)
        #expect(facts == GoldenFixture.fullFacts)
        #expect(try LiveSnapshot.decode(Self.stored("control-live.bin")) == GoldenFixture.live)
        let epochs = try EpochFile.decode(Self.stored("epochs-00000000000000000007"))
        #expect(epochs == GoldenFixture.epochFile)
        #expect(try facts.epochTable(older: epochs).epochs.map(\.number) == [1, 2, 3, 4, 5])
        let foot = try SegmentFoot.decode(Self.stored("segment-foot.bin"))
        #expect(foot.firstFrame == .success(SegmentFoot.FirstFrameCell(lsn: .zero)))
        #expect(foot.chooseCell()?.durable == LSN(3075))
        let slot = try SlotFile.decode(Self.stored("slot.bin"), expecting: GoldenFixture.logID)
        #expect(slot.halves == [.success(GoldenFixture.olderDestination), .success(GoldenFixture.destination)])
        let times = try TimeIndexDecoder.decode(Self.stored("times.bin"), expecting: GoldenFixture.logID, index: 0)
        #expect(times.entries == GoldenFixture.times)
        #expect(try ReplicaMark.decode(Self.stored("restoring.bin")) == GoldenFixture.restoring)
    }

    /// Walks the golden directory as the format document says, with nothing but the codecs.
    @Test func theDirectoryHoldsTheRecordsOfItsReadme() throws {
        let control = try Self.stored("directory/control")
        let pages = stride(from: 0, to: control.count, by: 4096).map { Array(control[$0..<$0 + 4096]) }
        #expect(pages.count == 4)
        let identity = try IdentityPage.decode(pages[0])
        let copies = [1, 2].map { page in
            Result { () throws(FormatError) in
                try Facts.decode(pages[page], expecting: identity.logID, page: page)
            }
        }
        let facts = try #require(Facts.choose(copies))
        let table = try facts.epochTable(older: nil)
        let live = try LiveSnapshot.decode(pages[3])

        var log: [UInt8] = []
        var cells: [LSN] = [facts.floor]
        for index in 0...1 as ClosedRange<UInt64> {
            let file = try Self.stored("directory/" + SegmentName(index: index).fileName)
            let foot = try SegmentFoot.decode(Array(file[Int(identity.segmentSize)...]))
            #expect(
                foot.header
                    == SegmentFoot.Header(logID: identity.logID, index: index, segmentSize: identity.segmentSize))
            if let cell = foot.chooseCell(), cell.epoch == table.current.id { cells.append(cell.durable) }
            log += file[..<Int(identity.segmentSize)]
        }
        #expect(cells.max() == live.durable)

        let (records, end) = scan(log, from: facts.head, table: table, logID: identity.logID, facts.maxRecordSize)
        #expect(records == GoldenFixture.records)
        #expect(end == live.written)
        #expect(records.filter { $0.lsn < live.durable.rawValue }.count == 7)
    }

    private func scan(
        _ log: [UInt8], from head: LSN, table: EpochTable, logID: LogID, _ maxRecordSize: Int
    ) -> ([GoldenFixture.GoldenRecord], LSN) {
        var records: [GoldenFixture.GoldenRecord] = []
        var position = Int(head.rawValue)
        log.withUnsafeBytes { bytes in
            while position + FrameHeader.size <= bytes.count {
                let lsn = LSN(UInt64(position))
                let header = FrameHeader(load: bytes, at: position)
                let payload = position + 8..<position + 8 + header.payloadCount
                guard header.payloadCount <= maxRecordSize, payload.upperBound <= bytes.count else { break }
                let checksum = FrameChecksum(logID: logID, epoch: table.epoch(at: lsn).id)
                let body = UnsafeRawBufferPointer(rebasing: bytes[payload])
                guard checksum.verifies(header, payload: body, lsn: lsn) else { break }
                records.append(
                    GoldenFixture.GoldenRecord(
                        lsn: lsn.rawValue, payload: Array(body), continuesBatch: header.continuesBatch))
                position = payload.upperBound
            }
        }
        return (records, LSN(UInt64(position)))
    }
}
