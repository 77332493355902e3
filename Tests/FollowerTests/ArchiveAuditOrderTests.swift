import Archive
import TestSupport
import Testing
import WAL

@testable import Follower

/// Objects and documents that are whole, and in the wrong place.
@Suite struct ArchiveAuditOrderTests {
    private func isObject(_ key: ObjectKey) -> Bool { key.path.contains(".zst") }

    /// Every object in the place of every other, and every document; and whatever else a restore refuses, the audit names.
    @Test(arguments: [false, true], [true, false])
    func whateverLiesInThePlaceOfAnotherIsFound(sealed: Bool, lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, sealed: sealed, lists: lists)
            try await archive.prune(before: LSN(6000))
            let whole = archive.store.contents
            // Without a listing nobody comes to the tails that a longer one repeats.
            let reached = whole.keys.filter { lists || !$0.path.contains("tail/") }.sorted()
            for key in reached {
                for other in whole.keys.sorted() where other != key && isObject(other) == isObject(key) && whole[other] != whole[key] {
                    archive.store.plant(key, whole[other])
                    let findings = try await archive.audit().findings
                    #expect(findings.contains { $0.kind == .damage && $0.key == key }, "\(other) at \(key): \(findings)")
                }
                archive.store.plant(key, whole[key])
            }
            #expect(try await archive.audit().findings.isEmpty)
        }
    }

    /// An older object of the same name, a shorter one, one of a sibling archive of the same log, nothing at all: each is named, or a restore does without.
    @Test(arguments: [true, false])
    func whatIsNotWhatWasPutThereIsFound(lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, lists: lists)
            let whole = archive.store.contents
            let sibling = MemoryObjectStore()
            let builder = try await ArchiveBuilder(store: sibling, directory: "\(directory)/log", id: 99)
            try await builder.ship()
            for key in whole.keys.sorted() where isObject(key) && (lists || key.path.contains("segments/")) {
                let bytes = whole[key]!
                for bad in [[], Array(bytes.prefix(1)), Array(bytes.prefix(20)), Array(bytes.dropLast()), bytes + [0], bytes + bytes, sibling.contents[key]].compactMap({ $0 }) {
                    archive.store.plant(key, bad)
                    let findings = try await archive.audit().findings
                    #expect(findings.contains { $0.kind == .damage && $0.key == key }, "\(bad.count) bytes at \(key): \(findings)")
                }
                archive.store.plant(key, bytes)
            }
        }
    }

    /// What readers refuse, an audit does not call whole, also where no name leads to what is left.
    @Test(arguments: [true, false])
    func whatARestoreRefusesIsFound(lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, lists: lists)
            let whole = archive.store.contents
            let keys = whole.keys.sorted()
            var number = 0
            for key in keys {
                for other in keys where other == key || (number + 1) % 3 == 0 {
                    number += 1
                    archive.store.plant(key, nil)
                    archive.store.plant(other, nil)
                    let (records, error) = try await archive.restored(into: "\(directory)/r\(number)")
                    let findings = try await archive.audit().findings
                    if let error { #expect(findings.contains { $0.isFault }, "without \(key) and \(other): \(error)") }
                    if error == nil, !SampleArchive.isSame(records, archive.records) {
                        // Without a listing nothing leads to the newest epoch once both of its documents are gone.
                        #expect(!findings.filter(\.isFault).isEmpty || !lists, "without \(key) and \(other): \(records.count) records")
                    }
                    archive.store.plant(key, whole[key])
                    archive.store.plant(other, whole[other])
                }
            }
        }
    }

    /// Documents that are each whole, and do not fit together.
    @Test(arguments: [true, false])
    func documentsThatContradictOneAnotherAreNamed(lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, sealed: true, lists: lists)
            let (layout, whole) = (archive.layout, archive.store.contents)
            func check(_ key: ObjectKey, _ document: some ArchiveDocument, _ named: ObjectKey? = nil) async throws {
                archive.store.plant(key, try document.encoded(for: key))
                let findings = try await archive.audit().findings
                #expect(findings.contains { $0.kind == .damage && $0.key == named ?? key }, "\(document): \(findings)")
                archive.store.plant(key, whole[key])
            }
            let stranger = EpochName(number: 2, id: EpochID(rawValue: 77))
            var start = try StartDocument(decoding: whole[layout.start(2)]!, key: layout.start(2))
            start.epochs[1].epoch = stranger
            try await check(layout.start(2), start)
            try await check(layout.claim(2), ClaimDocument(epoch: stranger, host: "here", time: 1), layout.start(2))
            var encryption = try EncryptionDocument(decoding: whole[layout.encryption(2)]!, key: layout.encryption(2))
            encryption.epoch = stranger
            try await check(layout.encryption(2), encryption)
            // Another ancestor than the objects name.
            start = try StartDocument(decoding: whole[layout.start(2)]!, key: layout.start(2))
            let parent = EpochName(number: 1, id: EpochID(rawValue: 78))
            start.epochs[0].epoch = parent
            start.parent = parent
            archive.store.plant(layout.start(2), try start.encoded(for: layout.start(2)))
            #expect(try await archive.audit().findings.contains { $0.kind == .damage })
            archive.store.plant(layout.start(2), whole[layout.start(2)])
        }
    }

    /// A floor that no log can begin at: inside a record, inside a batch, behind another place.
    @Test func aFloorThatIsNoPlaceToBeginAtIsNamed() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/log"
            let log = try SegmentedLog.open(directory: path, segmentSize: 4096)
            var (single, inBatch): ([LSN], [LSN]) = ([], [])
            for number in 0..<40 {
                single.append(try log.append([UInt8](repeating: UInt8(number), count: 100)))
                var batch = RecordBatch()
                for _ in 0..<3 { batch.append([UInt8](repeating: UInt8(number), count: 50)) }
                let lsns = try log.append(batch: batch)
                single.append(lsns[0])
                inBatch += lsns.dropFirst()
            }
            try log.close()
            let store = MemoryObjectStore()
            let builder = try await ArchiveBuilder(store: store, directory: path)
            try await builder.ship()
            for start in [LSN.zero, LSN(4096), LSN(8192)] {
                for lsn in stride(from: start.rawValue, to: start.rawValue + 600, by: 1) {
                    let lsn = LSN(lsn)
                    try await builder.floor(lsn: lsn, objectStart: start)
                    var findings: [AuditFinding] = []
                    _ = try await ArchiveAudit(store: store, log: SampleArchive.name, patience: { SampleArchive.NoPatience() }).run { findings.append($0) }
                    if single.contains(lsn) {
                        #expect(findings.isEmpty, "\(lsn): \(findings)")
                    } else if !inBatch.contains(lsn) || lsn > (inBatch.first { $0 >= start } ?? lsn) {
                        // Of the first record of an object nobody knows whether a batch goes on there.
                        #expect(findings.map(\.key) == [builder.layout.floor], "\(lsn): \(findings)")
                    }
                }
            }
        }
    }
}
