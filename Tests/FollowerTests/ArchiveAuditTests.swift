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
        let archive = AuditedArchive(store: store, layout: first.layout, records: records, keys: keys, lists: lists)
        if gap { _ = try archive.giveUp(.zero) }
        return archive
    }

    func audit(_ keys: KeyRing? = nil, cursor: CursorDocument? = nil) async throws -> (summary: AuditSummary, findings: [AuditFinding]) {
        var findings: [AuditFinding] = []
        let audit = ArchiveAudit(store: store, log: SampleArchive.name, keys: keys ?? self.keys, patience: { SampleArchive.NoPatience() })
        let summary = try await audit.run(cursor: cursor) { findings.append($0) }
        return (summary, findings)
    }

    /// Every epoch that was claimed, oldest first.
    var epochs: [EpochName] {
        get throws {
            try (1...2).map { number in
                try ClaimDocument(decoding: try #require(store.contents[layout.claim(number)]), key: layout.claim(number)).epoch
            }
        }
    }

    /// The newest closed segment of the line: where it begins, and its last record.
    func newestSegment() throws -> (start: LSN, last: LSN)? {
        let segments = try store.contents.keys.compactMap { key -> ObjectMetadata? in
            guard case .object(let object)? = layout.meaning(of: key), object.kind == .segment else { return nil }
            return try ObjectDecoder.metadata(prefix: store.contents[key]!, key: key, start: object.start)
        }
        return segments.max { $0.start < $1.start }.flatMap { newest in newest.records.map { (newest.start, $0.last) } }
    }

    /// Records that begin in a segment that readers come to.
    func closedRecords() throws -> Set<LSN> {
        let fork = try StartDocument(decoding: store.contents[layout.start(2)]!, key: layout.start(2)).epoch.start!
        var ranges: [ClosedRange<LSN>] = []
        for (key, bytes) in store.contents {
            guard case .object(let object)? = layout.meaning(of: key), object.kind == .segment else { continue }
            guard let found = try ObjectDecoder.metadata(prefix: bytes, key: key, start: object.start)?.records, object.epoch.number == 2 || found.first < fork else { continue }
            ranges.append(found.first...(object.epoch.number == 2 ? found.last : min(found.last, fork)))
        }
        return Set(records.map(\.lsn).filter { lsn in ranges.contains { $0.contains(lsn) } })
    }

    /// Has a gap in the place of the first epoch's segment that begins at `start`; returns where it ends.
    func giveUp(_ start: LSN) throws -> LSN {
        let (epoch, end) = (try epochs[0], start.advanced(by: 4096))
        store.plant(layout.segment(epoch, start: start, isEncrypted: !keys.isEmpty), nil)
        let key = layout.gap(epoch, start: start)
        store.plant(key, try GapDocument(start: start, end: end, reason: "dropped", time: 1).encoded(for: key))
        return end
    }

    @discardableResult
    func prune(before lsn: LSN) async throws -> Pruning.Outcome {
        let pruning = try await Pruning.open(store: store, log: SampleArchive.name, keys: keys, now: { 5 }, patience: { SampleArchive.NoPatience() })
        return try await pruning.run(try await pruning.plan(.before(lsn)))
    }

    /// Restores it; whether that gave exactly the log's records. An error that says what is wrong is as good.
    func isRestoredRightOrNotAtAll(into directory: String, from: LSN? = nil) async throws -> Bool {
        let (restored, error) = try await restored(into: directory, from: from)
        let first = from ?? (try? FloorDocument(decoding: store.contents[layout.floor] ?? [], key: layout.floor).lsn) ?? .zero
        return error != nil || SampleArchive.isSame(restored, records.filter { $0.lsn >= first })
    }

    /// What a restore gives, or what is wrong.
    func restored(into directory: String, from: LSN? = nil) async throws -> (records: [SampleArchive.Entry], error: (any Error)?) {
        do {
            let reader = try await ArchiveReader.open(store: store, log: SampleArchive.name, keys: keys, traces: .objects, patience: { SampleArchive.NoPatience() })
            _ = try await Restore(reader, from: from).run(into: directory)
        } catch let error as ArchiveError {
            return ([], error)
        } catch let error as RestoreError {
            return ([], error)
        } catch let error as WALError {
            return ([], error)
        }
        return (try SampleArchive.records(directory), nil)
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
    @Test(arguments: [(false, false, UInt64(1)), (true, false, 2), (false, true, 3)])
    func everyFlippedBitIsFoundAndNoneIsRestoredAsGood(sealed: Bool, pruned: Bool, seed: UInt64) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory, sealed: sealed)
            // With a floor, and a gap that a restore does not get across unless it is told to.
            var from: LSN?
            if pruned {
                try await archive.prune(before: LSN(6000))
                from = try archive.giveUp(LSN(8192))
                #expect(archive.store.contents[archive.layout.floor] != nil)
            }
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
                #expect(try await archive.isRestoredRightOrNotAtAll(into: restored, from: from), "seed \(seed), round \(round): \(key), bit \(bit)")
                if sealed {
                    let sealedFindings = try await archive.audit(KeyRing.none).findings
                    #expect(sealedFindings.contains { $0.kind == .damage && $0.key == key }, "without keys: \(key), bit \(bit)")
                }
                archive.store.plant(key, whole)
            }
            let left = try await archive.audit().findings
            #expect(left.allSatisfy { pruned && $0.kind == .gap }, "\(left)")
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
