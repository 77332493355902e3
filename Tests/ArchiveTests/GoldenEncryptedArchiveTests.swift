import Archive
import Foundation
import Synchronization
import Testing
import WAL

/// The archive in Tests/Golden/encrypted: one that began without encryption, in which it was turned on inside the second epoch, and whose key was changed once.
/// `WALSHIP_REGENERATE_GOLDEN=1` writes it anew; otherwise nothing in it may change.
@Suite(.serialized) struct GoldenEncryptedArchiveTests {
    static let layout = GoldenArchiveTests.layout
    static let directory = GoldenArchiveTests.directory.deletingLastPathComponent().appending(path: "encrypted")
    static let second = SampleLog.epoch
    static let S = SampleLog.segmentSize
    /// Secrets of nothing.
    static let old = MasterKey(bytes: (0..<32).map { UInt8($0) })
    static let new = MasterKey(bytes: (0..<32).map { 0xFF - UInt8($0) })
    static let keyFiles = ["old.key": old.secretText + "\n", "new.key": new.secretText + "\n"]

    /// Half a segment as it was, a segment under the first key, and the tails of the open segment under both.
    static func objects() throws -> [ObjectKey: EncodedObject] {
        let middle = S * 2 + 1000
        let number = Mutex(UInt8(0))
        var objects: [ObjectKey: EncodedObject] = [:]
        func add(_ range: Range<UInt64>, _ kind: ObjectMetadata.Kind, _ key: MasterKey?, after preceding: EncodedObject? = nil, underFirst: Bool = false) throws -> EncodedObject {
            let encoder = try ObjectEncoder(key: key) {
                number.withLock { number in
                    number += 1
                    return (0..<32).map { number &* 16 &+ UInt8($0) }
                }
            }
            let metadata = SampleLog.metadata(range, kind: kind, preceding: preceding?.metadata.rawDigest, underFirst: underFirst)
            let object = try encoder.encode(SampleLog.raw(range), metadata, level: 3)
            objects[layout.object(object.metadata)] = object
            return object
        }
        _ = try add(0..<S, .segment, nil, underFirst: true)
        let half = try add(S / 2..<S, .segment, nil)
        _ = try add(S..<S * 2, .segment, old, after: half)
        let tail = try add(S * 2..<middle, .tail(level: 0), old)
        _ = try add(middle..<SampleLog.end.rawValue, .tail(level: 0), new, after: tail)
        _ = try add(S * 2..<SampleLog.end.rawValue, .tail(level: 1), new)
        return objects
    }

    static func documents() throws -> [ObjectKey: [UInt8]] {
        var documents = try GoldenArchiveTests.documents()
        let key = layout.encryption(2)
        documents[key] = try EncryptionDocument(epoch: second, from: LSN(S), keyID: old.id, time: SampleLog.time + 5).encoded(for: key)
        return documents
    }

    @Test func goldenEncryptedArchiveIsWhatWeWriteAndRead() throws {
        let objects = try Self.objects()
        let documents = try Self.documents()
        if ProcessInfo.processInfo.environment["WALSHIP_REGENERATE_GOLDEN"] == "1" { try regenerate(objects, documents) }
        let names = try FileManager.default.subpathsOfDirectory(atPath: Self.directory.path).filter { $0.contains(".") }
        #expect(Set(names) == Set(objects.keys.map(\.path) + documents.keys.map(\.path) + Self.keyFiles.keys))
        for (key, bytes) in documents { #expect(try contents(key.path) == bytes, "\(key)") }
        for (name, text) in Self.keyFiles { #expect(try contents(name) == Array(text.utf8)) }
        let ring = KeyRing(current: try MasterKey(text: contents("new.key")), others: [try MasterKey(text: contents("old.key"))])
        for (key, object) in objects {
            let golden = try contents(key.path)
            let decoded = try ObjectDecoder.decode(golden, key: key, start: object.metadata.start, keys: ring)
            #expect(decoded.raw == SampleLog.raw(object.metadata.start.rawValue..<object.metadata.end.rawValue), "\(key)")
            #expect(decoded.metadata.rawDigest == object.metadata.rawDigest && decoded.metadata.precedingDigest == object.metadata.precedingDigest)
            #expect(decoded.metadata.seal == object.metadata.seal)
            // zstd's bytes may differ between its versions; where they do not, nothing does.
            if golden.count == object.bytes.count { #expect(golden == object.bytes, "\(key)") }
        }
    }

    private func contents(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: Self.directory.appending(path: name)))
    }

    private func regenerate(_ objects: [ObjectKey: EncodedObject], _ documents: [ObjectKey: [UInt8]]) throws {
        try? FileManager.default.removeItem(at: Self.directory)
        var files = documents.merging(objects.mapValues(\.bytes), uniquingKeysWith: { first, _ in first })
        for (name, text) in Self.keyFiles { files[ObjectKey(name)] = Array(text.utf8) }
        for (key, bytes) in files {
            let file = Self.directory.appending(path: key.path)
            try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(bytes).write(to: file)
        }
    }
}
