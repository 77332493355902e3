import Archive
import Foundation
import TestSupport
import Testing
import WAL

/// What Swift writes as an archive, a reader that knows only the format documents reads, and both find the same.
@Suite struct IndependentArchiveTests {
    static let golden = House.root.appending(path: "Tests/Golden/archive/sample").path

    @Test func theGoldenArchiveIsReadAlike() async throws {
        let independent = try await IndependentReader("archive", Self.golden)
        #expect(independent.refusal == nil)
        #expect(independent.only("object").count == 6)
        var raw: [UInt64: [UInt8]] = [:]
        for line in independent.only("object") {
            let key = try #require(line.key)
            let start = try #require(line.start)
            let bytes = try Data(contentsOf: URL(filePath: "\(Self.golden)/\(key)"))
            let decoded = try ObjectDecoder.decode(Array(bytes), key: ObjectKey("sample/\(key)"), start: LSN(start))
            #expect(line.end == decoded.metadata.end.rawValue)
            #expect(line.digest == "\(decoded.metadata.rawDigest)")
            #expect(line.count == decoded.metadata.records?.count)
            for (offset, byte) in decoded.raw.enumerated() { raw[start + UInt64(offset), default: []].append(byte) }
        }
        // Every record lies in the decoded bytes where its LSN says, eight bytes of header before it.
        #expect(independent.records.count == 137)
        for record in independent.records {
            let payload = (0..<UInt64(record.data.count / 2)).compactMap { raw[record.lsn + 8 + $0]?.first }
            #expect(IndependentLogTests.hex(payload) == record.data, "LSN \(record.lsn)")
        }
        #expect(independent.only("end").map(\.lsn) == [11090])
    }

    @Test func theGoldenEncryptedArchiveIsReadAlikeWithItsKeysAndNotWithout() async throws {
        let golden = House.root.appending(path: "Tests/Golden/encrypted").path
        let independent = try await IndependentReader("archive", "\(golden)/sample", "--key-file", "\(golden)/old.key", "--key-file", "\(golden)/new.key")
        #expect(independent.refusal == nil)
        #expect(independent.records == (try await IndependentReader("archive", Self.golden)).records, "the same log as the archive without encryption")
        #expect(independent.only("object").count { $0.key?.hasSuffix(".zst.enc") == true } == 4)
        for key in ["old", "new"] {
            let refusal = try await IndependentReader("archive", "\(golden)/sample", "--key-file", "\(golden)/\(key).key").refusal
            #expect(refusal?.refused.contains("not among the keys given") == true)
        }
    }

    /// Objects of many pieces, which the golden ones are too small for.
    @Test func aFreshEncryptedArchiveHoldsTheLogsRecords() async throws {
        try await withTemporaryDirectory { directory in
            let key = MasterKey(bytes: (0..<32).map { $0 * 7 })
            try Data(key.secretText.utf8).write(to: URL(filePath: "\(directory)/key"))
            let records = try await makeArchive(in: directory, key: key, segmentSize: 1 << 18) { log in
                var random = SeededGenerator(seed: 9)
                for _ in 0..<12 { _ = try log.append((0..<25_000).map { _ in UInt8.random(in: 0...255, using: &random) }) }
                let sync: () throws -> LSN = { try log.sync() }
                _ = try sync()
            }
            let independent = try await IndependentReader("archive", "\(directory)/archive/orders", "--key-file", "\(directory)/key")
            #expect(independent.refusal == nil)
            #expect(independent.records == records && records.count == 12)
        }
    }

    /// A log and its archive, made with the libraries: closed segments, and the open one as a tail.
    private func makeArchive(
        in directory: String, key: MasterKey? = nil, segmentSize: Int = 4096,
        fill: (SegmentedLog) throws -> Void = { _ = try IndependentLogTests.fill($0, seed: 4) }
    ) async throws -> [IndependentReader.Record] {
        let log = try SegmentedLog.open(directory: "\(directory)/log", segmentSize: segmentSize)
        try fill(log)
        try log.close()
        let reader = try LogReader.open(directory: "\(directory)/log")
        defer { reader.close() }
        let store = try DirectoryStore(root: "\(directory)/archive")
        let layout = Layout(log: try #require(LogName("orders")))
        let archiveID = ArchiveID(high: 1, low: 2)
        let epoch = try reader.epochs.current
        let name = EpochName(epoch)
        func put(_ key: ObjectKey, _ document: some ArchiveDocument) async throws {
            #expect(try await store.create(key, document.encoded(for: key)) == .created)
        }
        try await put(layout.logDocument, LogDocument(logID: reader.logID, archiveID: archiveID, segmentSize: UInt64(segmentSize)))
        if let key { try await put(layout.encryption(1), EncryptionDocument(epoch: name, from: .zero, keyID: key.id, time: 1)) }
        try await put(layout.claim(1), ClaimDocument(epoch: name, host: "here", time: 1))
        try await put(layout.start(1), StartDocument(parent: nil, epochs: [.init(epoch: name, fork: .zero, start: .zero)]))

        let encoder = try ObjectEncoder(key: key)
        let end = try reader.durableLSN
        var (start, preceding) = (LSN.zero, RawDigest?.none)
        while start < end {
            let closes = start.advanced(by: UInt64(segmentSize))
            let range = try reader.verifiedRange(start..<min(closes, end))
            let kind: ObjectMetadata.Kind = closes <= end ? .segment : .tail(level: 0)
            var records: ObjectMetadata.Records?
            if let first = range.firstRecord, let last = range.lastRecord { records = .init(first: first, last: last, count: range.recordCount) }
            let object = try encoder.encode(
                range.bytes,
                ObjectMetadata(
                    kind: kind, logID: reader.logID, archiveID: archiveID, epoch: name, epochStart: .zero, start: start,
                    end: range.range.upperBound, records: records, precedingDigest: kind == .segment ? preceding : nil,
                    ancestry: [epoch], timeIndex: []),
                level: 3)
            #expect(try await store.create(layout.object(object.metadata), object.bytes) == .created)
            preceding = object.metadata.rawDigest
            start = range.range.upperBound
        }
        return try IndependentLogTests.records(reader.iter())
    }

    @Test func aFreshArchiveHoldsTheLogsRecords() async throws {
        try await withTemporaryDirectory { directory in
            let records = try await makeArchive(in: directory)
            let independent = try await IndependentReader("archive", "\(directory)/archive/orders")
            #expect(independent.refusal == nil)
            #expect(independent.records == records)
            #expect(records.count == 123)
        }
    }

    /// The first object that is left begins where a gap ended, inside a segment.
    @Test func anArchiveThatWasPrunedBehindAGapIsReadAlike() async throws {
        try await withTemporaryDirectory { directory in
            let log = try SegmentedLog.open(directory: "\(directory)/log", segmentSize: 4096)
            _ = try IndependentLogTests.fill(log, seed: 4)
            try log.close()
            let builder = try await ArchiveBuilder(store: try DirectoryStore(root: "\(directory)/archive"), directory: "\(directory)/log")
            let reader = builder.reader
            let first = try #require(try IndependentLogTests.records(reader.iter()).first { $0.lsn >= 13_000 })
            try await builder.object(.segment, LSN(13_000)..<LSN(16_384))
            try await builder.object(.segment, LSN(16_384)..<LSN(20_480))
            try await builder.head(archived: LSN(20_480), checkpoint: LSN(20_480))
            try await builder.floor(lsn: LSN(first.lsn), objectStart: LSN(13_000))
            let independent = try await IndependentReader("archive", "\(directory)/archive/orders")
            #expect(independent.refusal == nil)
            let kept = try IndependentLogTests.records(reader.iter()).filter { $0.lsn >= first.lsn && $0.lsn + 8 + UInt64($0.data.count / 2) <= 20_480 }
            #expect(independent.records == kept && kept.count > 10)
        }
    }

    @Test func aMissingSegmentIsNoEnd() async throws {
        try await withTemporaryDirectory { directory in
            _ = try await makeArchive(in: directory)
            let archive = "\(directory)/archive/orders"
            let keys = try await IndependentReader("archive", archive).only("object").compactMap(\.key)
            try #require(keys.count > 3)
            try FileManager.default.removeItem(atPath: "\(archive)/\(keys[1])")
            let independent = try await IndependentReader("archive", archive)
            #expect(independent.refusal != nil)
        }
    }

    @Test(arguments: [[], ["old", "new"]]) func anyBitFlipInAnObjectIsFound(keys: [String]) async throws {
        try await withTemporaryDirectory { directory in
            let encrypted = House.root.appending(path: "Tests/Golden/encrypted").path
            let options = keys.flatMap { ["--key-file", "\(encrypted)/\($0).key"] }
            let seed: UInt64 = 5
            var generator = SeededGenerator(seed: seed)
            let path = "\(directory)/sample"
            try FileManager.default.copyItem(atPath: keys.isEmpty ? Self.golden : "\(encrypted)/sample", toPath: path)
            let names = try await IndependentReader(arguments: ["archive", path] + options).only("object").compactMap(\.key)
            for _ in 0..<8 {
                let url = URL(filePath: "\(path)/\(names.randomElement(using: &generator)!)")
                let intact = try Data(contentsOf: url)
                var damaged = intact
                let place = Int.random(in: 0..<damaged.count, using: &generator)
                damaged[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
                try damaged.write(to: url)
                #expect(try await IndependentReader(arguments: ["archive", path] + options).refusal != nil, "seed \(seed), \(url.lastPathComponent) byte \(place)")
                try intact.write(to: url)
            }
        }
    }
}
