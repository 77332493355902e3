import Archive
import Testing
import WAL

@Suite struct DocumentTests {
    let key = ObjectKey("log/document.json")
    static let epochs = [
        StartDocument.Entry(epoch: EpochName(SampleLog.first), fork: .zero, start: nil),
        StartDocument.Entry(epoch: SampleLog.epoch, fork: LSN(3000), start: LSN(2048)),
    ]

    @Test func documentsComeBackAsTheyWere() throws {
        try roundTrip(LogDocument(logID: SampleLog.logID, archiveID: SampleLog.archiveID, segmentSize: 16 << 20))
        try roundTrip(ClaimDocument(epoch: SampleLog.epoch, host: "höst", time: .max))
        try roundTrip(StartDocument(parent: EpochName(SampleLog.first), epochs: Self.epochs))
        try roundTrip(StartDocument(parent: nil, epochs: [.init(epoch: EpochName(SampleLog.first), fork: .zero, start: .zero)]))
        try roundTrip(HeadDocument(epoch: SampleLog.epoch, archived: LSN(2), checkpoint: LSN(1), durable: LSN(1 << 62), time: 0))
        try roundTrip(FloorDocument(lsn: LSN(5000), epoch: SampleLog.epoch, objectStart: LSN(4096), time: 1))
        try roundTrip(EncryptionDocument(epoch: SampleLog.epoch, from: LSN(4096), keyID: KeyID(high: 1, low: .max), time: 7))
        try roundTrip(GapDocument(start: LSN(1), end: LSN(2), reason: "disk full: \"/a\\b\"", time: 1))
    }

    private func roundTrip<Document: ArchiveDocument>(_ document: Document) throws {
        let bytes = try document.encoded(for: key)
        #expect(try Document(decoding: bytes, key: key) == document)
        // Fields of later versions are ignored, white space is allowed.
        let text = String(decoding: bytes, as: UTF8.self)
        let grown = "  {\n\"later\":{\"a\":[1,null]}," + text.dropFirst() + "\n"
        #expect(try Document(decoding: sealed(grown), key: key) == document)
        for count in 0..<bytes.count {
            let error = #expect(throws: ArchiveError.self) { try Document(decoding: Array(bytes.prefix(count)), key: key) }
            #expect(error?.code == .damaged && error?.key == key, "\(count) bytes: \(String(describing: error))")
        }
    }

    private func sealed(_ text: String) throws -> [UInt8] {
        try #require(DocumentChecksum.sealed(Array(text.utf8)))
    }

    /// Each bit of a document, flipped: none goes unnoticed, and what is still JSON is not taken for an upload that was cut.
    @Test func everyFlippedBitIsNoticed() throws {
        let documents: [[UInt8]] = [
            try ClaimDocument(epoch: SampleLog.epoch, host: "a \"crc32c\":\"00000000\" b", time: 7).encoded(for: key),
            try HeadDocument(epoch: SampleLog.epoch, archived: LSN(2), checkpoint: LSN(1), durable: LSN(3), time: 9).encoded(for: key),
            try LogDocument(logID: SampleLog.logID, archiveID: SampleLog.archiveID, segmentSize: 16 << 20).encoded(for: key),
            try StartDocument(parent: EpochName(SampleLog.first), epochs: Self.epochs).encoded(for: key),
        ]
        for (index, whole) in documents.enumerated() {
            for bit in 0..<whole.count * 8 {
                var bytes = whole
                bytes[bit / 8] ^= 1 << (bit % 8)
                let error = #expect(throws: ArchiveError.self, "document \(index), bit \(bit)") {
                    switch index {
                    case 0: _ = try ClaimDocument(decoding: bytes, key: key)
                    case 1: _ = try HeadDocument(decoding: bytes, key: key)
                    case 2: _ = try LogDocument(decoding: bytes, key: key)
                    default: _ = try StartDocument(decoding: bytes, key: key)
                    }
                }
                #expect(error?.code == .invalid || error?.code == .damaged)
            }
        }
    }

    @Test func checksumStandsOnceAndInLowerCase() throws {
        let text = Self.head
        for bad in [
            text.replacing(#""crc32c":"e60aacda","#, with: ""), text.replacing("e60aacda", with: "E60AACDA"),
            text.replacing("e60aacda", with: "e60aacd"), text.replacing("}", with: #","later":{"crc32c":"e60aacda"}}"#),
        ] {
            #expect(bad != text)
            let error = #expect(throws: ArchiveError.self) { try HeadDocument(decoding: Array(bad.utf8), key: key) }
            #expect(error?.code == .invalid && error?.message.contains("field crc32c") == true, "\(bad)")
        }
    }

    static let head =
        #"{"archived_lsn":"2","checkpoint_lsn":"1","crc32c":"e60aacda","durable_lsn":"3","epoch_id":"feedfacecafebeef","epoch_number":2,"format":1,"time":"9"}"#

    @Test func headLooksLikeThis() throws {
        let head = HeadDocument(epoch: SampleLog.epoch, archived: LSN(2), checkpoint: LSN(1), durable: LSN(3), time: 9)
        #expect(String(decoding: try head.encoded(for: key), as: UTF8.self) == Self.head)
    }

    /// Text in the head document, what replaces it, and the field that the error must name.
    static let malformed: [(String, String, String)] = [
        (#""archived_lsn":"2","#, "", "archived_lsn"), (#","time":"9""#, "", "time"), (#""format":1,"#, "", "format"),
        (#""format":1"#, #""format":2"#, "format"), (#""format":1"#, #""format":"1""#, "format"),
        (#""archived_lsn":"2""#, #""archived_lsn":2"#, "archived_lsn"),
        (#""archived_lsn":"2""#, #""archived_lsn":null"#, "archived_lsn"),
        (#""archived_lsn":"2""#, #""archived_lsn":"02""#, "archived_lsn"),
        (#""archived_lsn":"2""#, #""archived_lsn":"+2""#, "archived_lsn"),
        (#""archived_lsn":"2""#, #""archived_lsn":" 2""#, "archived_lsn"),
        (#""archived_lsn":"2""#, #""archived_lsn":"""#, "archived_lsn"),
        (#""archived_lsn":"2""#, #""archived_lsn":"-2""#, "archived_lsn"),
        (#""archived_lsn":"2""#, #""archived_lsn":"0x2""#, "archived_lsn"),
        (#""archived_lsn":"2""#, #""archived_lsn":"18446744073709551616""#, "archived_lsn"),
        (#""durable_lsn":"3""#, #""durable_lsn":"4611686018427387905""#, "durable_lsn"),
        (#""archived_lsn":"2""#, #""archived_lsn":"4""#, "archived_lsn"),
        (#""checkpoint_lsn":"1""#, #""checkpoint_lsn":"3""#, "checkpoint_lsn"),
        ("feedfacecafebeef", "FEEDFACECAFEBEEF", "epoch_id"), ("feedfacecafebeef", "feedfacecafebee", "epoch_id"),
        ("feedfacecafebeef", "feedfacecafebeeg", "epoch_id"),
        (#""epoch_number":2"#, #""epoch_number":0"#, "epoch_number"), (#""epoch_number":2"#, #""epoch_number":-1"#, "epoch_number"),
        (#""epoch_number":2"#, #""epoch_number":10000000000"#, "epoch_number"),
        (#""epoch_number":2"#, #""epoch_number":2.5"#, "epoch_number"),
    ]

    @Test(arguments: malformed)
    func malformedFieldsAreRefusedByName(from: String, to: String, field: String) throws {
        let text = Self.head.replacing(from, with: to)
        #expect(text != Self.head)
        let bytes = try sealed(text)
        let error = #expect(throws: ArchiveError.self) { try HeadDocument(decoding: bytes, key: key) }
        #expect(error?.code == .invalid && error?.key == key)
        #expect(error?.message.contains("field \(field)") == true, "\(String(describing: error))")
    }

    /// Text in a start document, what replaces it, and the field that the error must name.
    static let malformedStarts: [(String, String, String)] = [
        (#","start_lsn":null"#, "", "epochs.[0].start_lsn"),
        (#""parent":{"id":"00c0ffee00000001","number":1}"#, #""parent":null"#, "parent"),
        (#","parent":{"id":"00c0ffee00000001","number":1}"#, "", "parent"),
        (#""parent":{"id":"00c0ffee00000001","number":1}"#, #""parent":{"number":1}"#, "parent.id"),
        (#""start_lsn":"2048""#, #""start_lsn":null"#, "epochs"), (#""fork_lsn":"0""#, #""fork_lsn":"3001""#, "epochs"),
        (#""fork_lsn":"3000""#, #""fork_lsn":3000"#, "epochs.[1].fork_lsn"),
    ]

    @Test(arguments: malformedStarts)
    func startDocumentNamesTheFieldsOfItsEntries(from: String, to: String, field: String) throws {
        let good = String(
            decoding: try StartDocument(parent: EpochName(SampleLog.first), epochs: Self.epochs).encoded(for: key), as: UTF8.self)
        let text = good.replacing(from, with: to)
        #expect(text != good, "\(good)")
        let bytes = try sealed(text)
        let error = #expect(throws: ArchiveError.self) { try StartDocument(decoding: bytes, key: key) }
        #expect(error?.code == .invalid && error?.message.contains("field \(field)") == true, "\(String(describing: error))")
    }

    @Test func sizeIsCheckedBeforeAnythingIsParsed() {
        let spaces = [UInt8](repeating: UInt8(ascii: " "), count: ArchiveLimits.documentSizeMax) + Array(Self.head.utf8)
        let error = #expect(throws: ArchiveError.self) { try HeadDocument(decoding: spaces, key: key) }
        #expect(error?.code == .invalid && error?.message.contains("\(spaces.count) bytes") == true)
        #expect(StartDocument.sizeMax == 16 << 20)
    }

    @Test func largestAncestryFitsItsDocument() throws {
        let count = UInt64(ArchiveLimits.ancestryCountMax)
        let epochs = (1...count).map { index in
            StartDocument.Entry(
                epoch: EpochName(number: ArchiveLimits.epochNumberMax - (count - index), id: EpochID(rawValue: .max)),
                fork: ArchiveLimits.lsnMax, start: ArchiveLimits.lsnMax)
        }
        let document = StartDocument(parent: epochs[epochs.count - 2].epoch, epochs: epochs)
        #expect(try document.encoded(for: key).count <= StartDocument.sizeMax)
    }

    @Test func whatCannotBeReadIsNotWritten() {
        let head = HeadDocument(epoch: SampleLog.epoch, archived: LSN(2), checkpoint: LSN(3), durable: LSN(3), time: 0)
        #expect(throws: ArchiveError.self) { try head.encoded(for: key) }
        for size: UInt64 in [0, 1, 4095, 4097, 1 << 30 + 4096] {
            let log = LogDocument(logID: SampleLog.logID, archiveID: SampleLog.archiveID, segmentSize: size)
            #expect(throws: ArchiveError.self) { try log.encoded(for: key) }
        }
        #expect(throws: ArchiveError.self) { try GapDocument(start: LSN(2), end: LSN(2), reason: "", time: 0).encoded(for: key) }
    }

    @Test func wordsFromOutsideAreMadePrintable() throws {
        let claim = ClaimDocument(epoch: SampleLog.epoch, host: "a\u{1B}[31m\n" + String(repeating: "é", count: 1000), time: 0)
        #expect(claim.host.hasPrefix("a?[31m?é") && claim.host.utf8.count <= ArchiveLimits.textSizeMax)
        #expect(try ClaimDocument(decoding: claim.encoded(for: key), key: key) == claim)
        let evil = #"{"crc32c":"00000000","epoch_id":"feedfacecafebeef","epoch_number":2,"format":1,"host":"\u001b[31m","time":"9"}"#
        let bytes = try sealed(evil)
        let error = #expect(throws: ArchiveError.self) { try ClaimDocument(decoding: bytes, key: key) }
        #expect(error?.message.contains("field host") == true)
    }
}
