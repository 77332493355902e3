import Archive
import TestSupport
import Testing
import WAL

@testable import Follower

/// An archive of two epochs with segments, a segment that both share, tails of two levels, and a gap; in memory.
struct AuditedArchive {
    static let key = MasterKey(bytes: [UInt8](repeating: 7, count: 32))
    static let limits = (first: 120, second: 80)

    let store: MemoryObjectStore
    let layout: Layout
    let records: [SampleArchive.Entry]
    let keys: KeyRing
    var lists = true

    /// `lists`: whether the store has a listing. `gap`: whether the first epoch's first segment was given up.
    static func make(in directory: String, sealed: Bool = false, gap: Bool = false, lists: Bool = true) async throws -> AuditedArchive {
        let capabilities = lists ? MemoryObjectStore.everything : MemoryObjectStore.everything.subtracting(.list)
        let store = MemoryObjectStore(capabilities: capabilities)
        let path = "\(directory)/log"
        try SampleArchive.write(path, count: limits.first)
        let first = try await ArchiveBuilder(store: store, directory: path, sealing: sealed ? key : nil)
        try await first.ship()
        let keys = sealed ? KeyRing(current: key) : .none
        let restored = "\(directory)/restored"
        _ = try await Restore(try await ArchiveReader.open(store: store, log: SampleArchive.name, keys: keys, patience: { SampleArchive.NoPatience() })).run(into: restored)
        _ = try await Promotion(
            directory: restored, destinations: [.init(store: store, log: SampleArchive.name, keys: keys)], fork: nil, host: "test",
            patience: { SampleArchive.NoPatience() }, settle: 0, sleep: { _ in }, now: { 1 }
        ).run()
        let log = try SegmentedLog.open(directory: restored)
        for number in 0..<limits.second { try log.append([UInt8](repeating: UInt8(number), count: 100 + number)) }
        try log.close()
        let second = try await ArchiveBuilder(store: store, directory: restored, sealing: sealed ? key : nil)
        try await second.ship()
        let records = try SampleArchive.records(restored)
        if gap {
            let start = first.epochStart
            store.plant(store.contents.keys.filter { $0.path.contains("segments/") }.sorted()[0], nil)
            try await first.put(GapDocument(start: start, end: LSN(4096), reason: "dropped", time: 1), first.layout.gap(first.epoch, start: start))
        }
        return AuditedArchive(store: store, layout: first.layout, records: records, keys: keys, lists: lists)
    }

    func audit(_ keys: KeyRing? = nil, cursor: CursorDocument? = nil) async throws -> (summary: AuditSummary, findings: [AuditFinding]) {
        var findings: [AuditFinding] = []
        let audit = ArchiveAudit(store: store, log: SampleArchive.name, keys: keys ?? self.keys, patience: { SampleArchive.NoPatience() })
        let summary = try await audit.run(cursor: cursor) { findings.append($0) }
        return (summary, findings)
    }

    /// Restores it; whether that gave exactly the log's records. An error that says what is wrong is as good.
    func isRestoredRightOrNotAtAll(into directory: String) async throws -> Bool {
        do {
            let reader = try await ArchiveReader.open(store: store, log: SampleArchive.name, keys: keys, traces: .objects, patience: { SampleArchive.NoPatience() })
            _ = try await Restore(reader).run(into: directory)
        } catch is ArchiveError {
            return true
        } catch is RestoreError {
            return true
        } catch is WALError {
            return true
        }
        return SampleArchive.isSame(try SampleArchive.records(directory), records)
    }
}

@Suite struct ArchiveAuditTests {
    @Test(arguments: [false, true], [false, true])
    func anIntactArchiveIsRead(sealed: Bool, lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, sealed: sealed, lists: lists)
            let before = archive.store.contents
            let (summary, findings) = try await archive.audit()
            #expect(findings.isEmpty, "\(findings)")
            // Without a listing no name leads to the tails that a longer one repeats.
            let objects = before.keys.count { $0.path.contains(".zst") && (lists || !$0.path.contains("/0/")) }
            #expect(lists ? summary.segments + summary.tails == objects : summary.segments + summary.tails >= objects)
            #expect(summary.documents == before.keys.count { $0.path.hasSuffix(".json") })
            #expect(summary.epochs == 2 && summary.isListed == lists && summary.sealed == 0)
            #expect(summary.cursor?.isOpened == true)
            #expect(archive.store.contents == before, "an audit writes nothing")
            if let last = archive.records.last { #expect(summary.end.rawValue == last.lsn.rawValue + 8 + UInt64(last.data.count)) }
        }
    }

    /// The first promise of an audit: hundreds of single bits, anywhere, each found; and none of it restored as if it were good.
    @Test(arguments: [(false, UInt64(1)), (true, 2)])
    func everyFlippedBitIsFoundAndNoneIsRestoredAsGood(sealed: Bool, seed: UInt64) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, sealed: sealed)
            var generator = SeededGenerator(seed: seed)
            let names = archive.store.contents.keys.sorted()
            for round in 0..<250 {
                // Each object and document in turn, small ones as often as large ones.
                let key = names[round % names.count]
                let whole = try #require(archive.store.contents[key])
                var bytes = whole
                let bit = Int.random(in: 0..<bytes.count * 8, using: &generator)
                bytes[bit / 8] ^= 1 << (bit % 8)
                archive.store.plant(key, bytes)
                let findings = try await archive.audit().findings
                #expect(findings.contains { $0.kind == .damage && $0.key == key }, "seed \(seed), round \(round): \(key), bit \(bit): \(findings)")
                let restored = "\(directory)/r\(round)"
                #expect(try await archive.isRestoredRightOrNotAtAll(into: restored), "seed \(seed), round \(round): \(key), bit \(bit)")
                if sealed {
                    let sealedFindings = try await archive.audit(KeyRing.none).findings
                    #expect(sealedFindings.contains { $0.kind == .damage && $0.key == key }, "without keys: \(key), bit \(bit)")
                }
                archive.store.plant(key, whole)
            }
            #expect(try await archive.audit().findings.isEmpty)
        }
    }

    /// Whatever is taken away is missed, except where nobody needs it: a tail that a longer one repeats, and a head.
    @Test(arguments: [true, false])
    func whateverIsMissingIsMissed(lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, lists: lists)
            for key in archive.store.contents.keys.sorted() {
                let whole = archive.store.contents[key]
                archive.store.plant(key, nil)
                let findings = try await archive.audit().findings.filter(\.isFault)
                let isNeeded: Bool
                switch archive.layout.meaning(of: key) {
                // Of the first epoch's tails only the start is needed, up to where the second takes over.
                case .object(let object): isNeeded = object.kind == .segment
                case .head: isNeeded = false
                // Without a listing nothing leads past the loss of the newest epoch's documents.
                default: isNeeded = lists
                }
                if isNeeded {
                    #expect(!findings.isEmpty, "\(key)")
                } else {
                    // Either it is missed, or a restore does without it.
                    let isRight = try await archive.isRestoredRightOrNotAtAll(into: "\(directory)/r-\(findings.count)-\(abs(key.hashValue))")
                    #expect(!findings.isEmpty || isRight || !lists, "\(key)")
                }
                archive.store.plant(key, whole)
            }
        }
    }

    @Test func oneDamageDoesNotHideAnother() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let bad = archive.store.contents.keys.filter { $0.path.contains(".zst") }.sorted()
            for key in bad { archive.store.plant(key, Array(archive.store.contents[key]!.dropLast())) }
            let (summary, findings) = try await archive.audit()
            #expect(Set(findings.filter { $0.kind == .damage }.map(\.key)) == Set(bad))
            #expect(summary.damages == bad.count && summary.cursor == nil)
        }
    }

    /// What is missing before something damaged is not taken for a part of the damage.
    @Test func whatIsMissingBesideDamageIsMissed() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let segments = archive.store.contents.keys.filter { $0.path.contains("segments/") }.sorted()
            archive.store.plant(segments[0], nil)
            archive.store.plant(segments[1], Array(archive.store.contents[segments[1]]!.dropLast()))
            archive.store.plant(segments[2], nil)
            let findings = try await archive.audit().findings
            #expect(findings.filter { $0.kind == .damage }.map(\.key) == [segments[1]], "\(findings)")
            #expect(findings.filter { $0.kind == .missing }.map(\.lsn) == [.zero, LSN(8192)], "\(findings)")
        }
    }

    @Test func aGapIsNamedWithItsRange() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, gap: true)
            let (summary, findings) = try await archive.audit()
            let gaps = findings.filter(\.isFault)
            #expect(gaps.count == 1 && gaps.first?.kind == .gap && gaps.first?.lsn == .zero && gaps.first?.end == LSN(4096), "\(findings)")
            #expect(summary.cursor != nil, "what is known to be given up is not said again")
            let again = try await archive.audit(cursor: summary.cursor)
            #expect(again.findings.isEmpty, "\(again.findings)")
        }
    }

    @Test func withoutKeysItSaysWhatWasNotOpened() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, sealed: true)
            let (summary, findings) = try await archive.audit(KeyRing.none)
            #expect(findings.isEmpty && summary.sealed == summary.segments + summary.tails && summary.cursor?.isOpened == false, "\(findings)")
            let error = await #expect(throws: ArchiveError.self) { try await archive.audit(cursor: summary.cursor) }
            #expect(error?.code == .invalid && error?.message.contains("without keys") == true)
        }
    }

    // MARK: Cursors

    @Test func aCursorReadsOnlyWhatIsNew() async throws {
        try await withTemporaryDirectory { directory in
            let store = MemoryObjectStore()
            let path = "\(directory)/log"
            try SampleArchive.write(path, count: 120)
            let builder = try await ArchiveBuilder(store: store, directory: path)
            let durable = try builder.reader.durableLSN
            let half = LSN(durable.rawValue / 2)
            _ = try await builder.shipSegments(upTo: half)
            func audit(_ cursor: CursorDocument?) async throws -> (AuditSummary, [AuditFinding]) {
                var findings: [AuditFinding] = []
                let summary = try await ArchiveAudit(store: store, log: SampleArchive.name, patience: { SampleArchive.NoPatience() })
                    .run(cursor: cursor) { findings.append($0) }
                return (summary, findings)
            }
            let (first, none) = try await audit(nil)
            #expect(none.isEmpty && first.skipped == 0 && first.segments >= 2)
            let cursor = try #require(first.cursor)
            let bytes = try cursor.encoded(for: ObjectKey("cursor"))
            #expect(try CursorDocument(decoding: bytes, key: ObjectKey("cursor")) == cursor)
            let (idle, nothing) = try await audit(cursor)
            #expect(nothing.isEmpty && idle.skipped >= first.segments - 1 && idle.segments <= 1)
            // Damage below the cursor is not looked for any more; above it is found, and the cursor stays.
            try await builder.ship()
            let (second, still) = try await audit(cursor)
            #expect(still.isEmpty && second.skipped == idle.skipped && second.end == durable, "\(still)")
            let last = try #require(store.contents.keys.filter { $0.path.contains("segments/") }.max())
            store.plant(last, Array(store.contents[last]!.dropLast()))
            let (third, found) = try await audit(cursor)
            #expect(found.contains { $0.key == last } && third.cursor == nil)
        }
    }

    @Test func aForeignOrBrokenCursorIsRefused() async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            var cursor = try #require(try await archive.audit().summary.cursor)
            let bytes = try cursor.encoded(for: ObjectKey("cursor"))
            for bit in stride(from: 0, to: bytes.count * 8, by: 7) {
                var bad = bytes
                bad[bit / 8] ^= 1 << (bit % 8)
                #expect(throws: ArchiveError.self) { try CursorDocument(decoding: bad, key: ObjectKey("cursor")) }
            }
            cursor.archiveID = ArchiveID(high: 1, low: 2)
            let error = await #expect(throws: ArchiveError.self) { try await archive.audit(cursor: cursor) }
            #expect(error?.code == .invalid && error?.message.contains("cursor is of archive") == true)
        }
    }

    // MARK: Stores that fail

    /// A store that fails is no damage: at each request in turn the audit ends with the store's own word, and the next one finds all intact.
    @Test(arguments: [true, false])
    func aFailingStoreIsNotTakenForDamage(lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, lists: lists)
            for operation in [MemoryObjectStore.Operation.get, .list, .head] {
                let before = archive.store.count(of: operation)
                _ = try await archive.audit()
                let calls = archive.store.count(of: operation) - before
                for failing in 0..<calls {
                    for _ in 0..<failing { archive.store.inject(.delay {}, into: operation) }
                    archive.store.inject(.fail(ArchiveError(.unreachable, "no route")), into: operation)
                    let error = await #expect(throws: ArchiveError.self, "\(operation) \(failing)") { try await archive.audit() }
                    #expect(error?.code == .unreachable)
                    #expect(try await archive.audit().findings.isEmpty, "\(operation) \(failing)")
                }
            }
        }
    }
}
