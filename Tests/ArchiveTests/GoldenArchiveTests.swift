import Archive
import Foundation
import Testing
import WAL

/// The archive in Tests/Golden/archive: what other versions and other readers of docs/format/archive.md must be able to
/// read. `WALSHIP_REGENERATE_GOLDEN=1` writes it anew; otherwise nothing in it may change.
@Suite(.serialized) struct GoldenArchiveTests {
    static let layout = Layout(log: LogName("sample")!)
    static let directory = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Golden/archive")
    static let first = EpochName(SampleLog.first)
    static let second = SampleLog.epoch

    /// The objects: both epochs' segments, the second beginning inside the first's, and the tails of the open segment.
    static func objects() throws -> [ObjectKey: EncodedObject] {
        let encoder = try ObjectEncoder()
        let S = SampleLog.segmentSize
        let middle = S * 2 + 1000
        var objects: [ObjectKey: EncodedObject] = [:]
        func add(_ range: Range<UInt64>, _ kind: ObjectMetadata.Kind, after preceding: EncodedObject? = nil, underFirst: Bool = false) throws -> EncodedObject {
            let metadata = SampleLog.metadata(range, kind: kind, preceding: preceding?.metadata.rawDigest, underFirst: underFirst)
            let object = try encoder.encode(SampleLog.raw(range), metadata, level: 3)
            objects[layout.object(kind, metadata.epoch, start: metadata.start)] = object
            return object
        }
        _ = try add(0..<S, .segment, underFirst: true)
        let half = try add(S / 2..<S, .segment)
        _ = try add(S..<S * 2, .segment, after: half)
        let tail = try add(S * 2..<middle, .tail(level: 0))
        _ = try add(middle..<SampleLog.end.rawValue, .tail(level: 0), after: tail)
        _ = try add(S * 2..<SampleLog.end.rawValue, .tail(level: 1))
        return objects
    }

    /// Every JSON document.
    static func documents() throws -> [ObjectKey: [UInt8]] {
        let time = SampleLog.time
        let end = SampleLog.end
        var documents: [ObjectKey: [UInt8]] = [:]
        func add(_ key: ObjectKey, _ document: some ArchiveDocument) throws { documents[key] = try document.encoded(for: key) }
        try add(
            layout.logDocument,
            LogDocument(logID: SampleLog.logID, archiveID: SampleLog.archiveID, segmentSize: SampleLog.segmentSize))
        try add(layout.claim(1), ClaimDocument(epoch: first, host: "alpha", time: time))
        try add(layout.claim(2), ClaimDocument(epoch: second, host: "beta", time: time + 1))
        try add(layout.start(1), StartDocument(parent: nil, epochs: [.init(epoch: first, fork: .zero, start: .zero)]))
        try add(
            layout.start(2),
            StartDocument(
                parent: first,
                epochs: [
                    .init(epoch: first, fork: .zero, start: .zero),
                    .init(epoch: second, fork: SampleLog.second.start, start: SampleLog.epochStart),
                ]))
        try add(
            layout.head(second),
            HeadDocument(epoch: second, archived: end, checkpoint: LSN(SampleLog.segmentSize * 2), durable: end, time: time + 2))
        try add(layout.floor, FloorDocument(lsn: LSN(SampleLog.starts[3]), epoch: first, objectStart: .zero, time: time + 3))
        // Behind the point where the second epoch takes over, so that no reader meets it.
        try add(
            layout.gap(first, start: LSN(4096)),
            GapDocument(start: LSN(4096), end: LSN(8192), reason: "local disk full; policy drop", time: time + 4))
        return documents
    }

    @Test func goldenArchiveIsWhatWeWriteAndRead() throws {
        let objects = try Self.objects()
        let documents = try Self.documents()
        if ProcessInfo.processInfo.environment["WALSHIP_REGENERATE_GOLDEN"] == "1" {
            try regenerate(objects, documents)
        }
        let names = Set((objects.keys.map(\.path) + documents.keys.map(\.path)))
        #expect(try Set(filesThere()) == names)

        for (key, bytes) in documents {
            #expect(try contents(key) == bytes, "\(key)")
        }
        for (key, object) in objects {
            let golden = try contents(key)
            let decoded = try ObjectDecoder.decode(golden, key: key, start: object.metadata.start)
            let range = object.metadata.start.rawValue..<object.metadata.end.rawValue
            #expect(decoded.raw == SampleLog.raw(range), "\(key)")
            #expect(decoded.metadata.rawDigest == object.metadata.rawDigest)
            // zstd's bytes may differ between its versions, and with them size and checksums; nothing else may.
            #expect(withoutSizeAndChecksums(golden, decoded.metadata) == withoutSizeAndChecksums(object.bytes, object.metadata), "\(key)")
        }
    }

    @Test func goldenDocumentsAreReadByTheirTypes() throws {
        let layout = Self.layout
        #expect(try LogDocument(decoding: contents(layout.logDocument), key: layout.logDocument).segmentSize == 4096)
        #expect(try ClaimDocument(decoding: contents(layout.claim(2)), key: layout.claim(2)).host == "beta")
        #expect(try StartDocument(decoding: contents(layout.start(2)), key: layout.start(2)).epoch.start == LSN(2048))
        #expect(try StartDocument(decoding: contents(layout.start(1)), key: layout.start(1)).parent == nil)
        #expect(try HeadDocument(decoding: contents(layout.head(Self.second)), key: layout.head(Self.second)).archived == SampleLog.end)
        #expect(try FloorDocument(decoding: contents(layout.floor), key: layout.floor).objectStart == .zero)
        let gap = layout.gap(Self.first, start: LSN(4096))
        #expect(try GapDocument(decoding: contents(gap), key: gap).end == LSN(8192))
    }

    private func withoutSizeAndChecksums(_ bytes: [UInt8], _ metadata: ObjectMetadata) -> [UInt8] {
        let size = 8 + 240 + 24 * metadata.ancestry.count + 16 * metadata.timeIndex.count
        var prefix = Array(bytes.prefix(size))
        prefix.put(UInt64(0), at: 8 + 112)
        prefix.put(UInt64(0), at: 8 + 120)
        return prefix
    }

    private func contents(_ key: ObjectKey) throws -> [UInt8] {
        Array(try Data(contentsOf: Self.directory.appending(path: key.path)))
    }

    private func filesThere() throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: Self.directory.path)
            .filter { $0.hasSuffix(".zst") || $0.hasSuffix(".json") }
    }

    private func regenerate(_ objects: [ObjectKey: EncodedObject], _ documents: [ObjectKey: [UInt8]]) throws {
        try? FileManager.default.removeItem(at: Self.directory)
        for (key, bytes) in documents.merging(objects.mapValues(\.bytes), uniquingKeysWith: { first, _ in first }) {
            let file = Self.directory.appending(path: key.path)
            try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(bytes).write(to: file)
        }
    }
}
