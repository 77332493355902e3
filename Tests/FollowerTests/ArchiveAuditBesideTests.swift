import Archive
import TestSupport
import Testing
import WAL

@testable import Follower

/// An audit beside those who change the archive: whatever comes and goes at whichever of its requests is no damage, and is not missed.
@Suite struct ArchiveAuditBesideTests {
    private static let allowance: @Sendable () -> any RetryWait = { SampleArchive.NoPatience() }

    private func store(_ contents: [ObjectKey: [UInt8]], lists: Bool) -> MemoryObjectStore {
        let store = MemoryObjectStore(capabilities: lists ? MemoryObjectStore.everything : MemoryObjectStore.everything.subtracting(.list))
        for (key, bytes) in contents { store.plant(key, bytes) }
        return store
    }

    private func audit(_ store: MemoryObjectStore, cursor: CursorDocument? = nil) async throws -> (AuditSummary, [AuditFinding]) {
        var findings: [AuditFinding] = []
        let summary = try await ArchiveAudit(store: store, log: SampleArchive.name, fetches: 2, patience: Self.allowance).run(cursor: cursor) { findings.append($0) }
        return (summary, findings)
    }

    /// What comes and goes between two moments: all at once, or only what comes, with the rest at the next request.
    private func turn(_ store: MemoryObjectStore, to after: [ObjectKey: [UInt8]], removing: Bool) {
        for (key, bytes) in after { store.plant(key, bytes) }
        guard removing else { return }
        for key in store.contents.keys where after[key] == nil { store.plant(key, nil) }
    }

    /// At each request of an audit in turn the archive goes from one state to the other; the audit finds no fault, and ends where one of the two does.
    private func expectNoFault(from before: [ObjectKey: [UInt8]], to after: [ObjectKey: [UInt8]], lists: Bool, cursor: CursorDocument? = nil) async throws {
        let ends = [try await audit(store(before, lists: lists)).0.end, try await audit(store(after, lists: lists)).0.end]
        for operation in [MemoryObjectStore.Operation.list, .get, .head] {
            let quiet = store(before, lists: lists)
            #expect(try await audit(quiet, cursor: cursor).1.filter(\.isFault).isEmpty)
            for request in 0..<quiet.count(of: operation) {
                for atOnce in [true, false] {
                    let store = store(before, lists: lists)
                    for _ in 0..<request { store.inject(.delay {}, into: operation) }
                    store.inject(.delay { turn(store, to: after, removing: atOnce) }, into: operation)
                    store.inject(.delay { turn(store, to: after, removing: true) }, into: operation)
                    let (summary, findings) = try await audit(store, cursor: cursor)
                    #expect(findings.filter(\.isFault).isEmpty, "\(operation) \(request) \(atOnce): \(findings)")
                    #expect(ends.contains(summary.end) || summary.end > ends[0], "\(operation) \(request)")
                }
            }
        }
    }

    /// A log's archive when it held the first segment, made by `early` up to `checkpoint`, and a store for what became of it.
    private func withBeginning(
        _ body: (_ path: String, _ first: MemoryObjectStore, _ early: ArchiveBuilder, _ checkpoint: LSN, _ second: MemoryObjectStore) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/log"
            try SampleArchive.write(path, count: 90)
            let (first, second) = (MemoryObjectStore(), MemoryObjectStore())
            let early = try await ArchiveBuilder(store: first, directory: path)
            try await body(path, first, early, try await early.shipSegments(upTo: LSN(4096)), second)
        }
    }

    /// Segments are closed and take the place of their tails, new tails come, tails become one of the next level, the head moves.
    @Test(arguments: [true, false])
    func aShipperBesideItIsNoFault(lists: Bool) async throws {
        try await withBeginning { path, first, early, checkpoint, second in
            try await early.shipTails(from: checkpoint, to: LSN(7500), bytes: 700, group: 2)
            try await early.head(archived: LSN(7500), checkpoint: checkpoint)
            try await ArchiveBuilder(store: second, directory: path).ship(tailBytes: 400, group: 4)
            try await expectNoFault(from: first.contents, to: second.contents, lists: lists)
        }
    }

    /// The same where the segment is not closed yet.
    @Test(arguments: [true, false])
    func tailsThatBecomeOneAreNoFault(lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/log"
            try SampleArchive.write(path, count: 40)
            let (first, second) = (MemoryObjectStore(), MemoryObjectStore())
            let (early, late) = (try await ArchiveBuilder(store: first, directory: path), try await ArchiveBuilder(store: second, directory: path))
            try await early.shipTails(from: .zero, to: LSN(2000), bytes: 500)
            try await early.head(archived: LSN(2000), checkpoint: .zero)
            try await late.shipTails(from: .zero, to: LSN(3500), bytes: 500, group: 5)
            try await late.head(archived: LSN(3500), checkpoint: .zero)
            try await expectNoFault(from: first.contents, to: second.contents, lists: lists)
        }
    }

    @Test(arguments: [true, false])
    func aPruneBesideItIsNoFault(lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let before = archive.store.contents
            try await archive.prune(before: LSN(13_000))
            try await expectNoFault(from: before, to: archive.store.contents, lists: lists)
        }
    }

    @Test(arguments: [true, false])
    func aPromotionBesideItIsNoFault(lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let after = archive.store.contents
            let before = after.filter { !$0.key.path.contains("/0000000002") }
            #expect(before.count < after.count)
            try await expectNoFault(from: before, to: after, lists: lists)
        }
    }

    /// A gap is told at some moment: before, the bytes are not there and not missed; afterwards the gap is named.
    @Test func aGapThatIsToldMeanwhileIsNotAHole() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/log"
            try SampleArchive.write(path, count: 90)
            let (first, second) = (MemoryObjectStore(), MemoryObjectStore())
            let early = try await ArchiveBuilder(store: first, directory: path)
            _ = try await early.shipSegments(upTo: LSN(4096))
            try await early.head(archived: LSN(4096), checkpoint: LSN(4096))
            let late = try await ArchiveBuilder(store: second, directory: path)
            try await late.ship()
            try await late.gap(LSN(4096)..<LSN(8192), reason: "dropped")
            second.plant(late.layout.segment(late.epoch, start: LSN(4096)), nil)
            let quiet = store(first.contents, lists: true)
            _ = try await audit(quiet)
            for request in 0..<quiet.count(of: .get) {
                let store = store(first.contents, lists: true)
                for _ in 0..<request { store.inject(.delay {}, into: .get) }
                store.inject(.delay { turn(store, to: second.contents, removing: true) }, into: .get)
                let findings = try await audit(store).1
                #expect(findings.allSatisfy { $0.kind == .gap }, "\(request): \(findings)")
            }
        }
    }

    // MARK: Cursors

    /// An archive that was put back to an earlier state, and one of which something below the cursor was taken away, is not called whole.
    @Test(arguments: [true, false])
    func whatACursorHasReadIsStillThere(lists: Bool) async throws {
        try await withBeginning { path, first, early, checkpoint, second in
            try await early.head(archived: checkpoint, checkpoint: checkpoint)
            try await ArchiveBuilder(store: second, directory: path).ship()
            let cursor = try #require(try await audit(store(second.contents, lists: lists)).0.cursor)
            #expect(try await audit(store(second.contents, lists: lists), cursor: cursor).1.isEmpty)
            let (behind, findings) = try await audit(store(first.contents, lists: lists), cursor: cursor)
            #expect(findings.map(\.kind) == [.missing] && findings[0].lsn == checkpoint && behind.cursor == nil, "\(findings)")
            for key in second.contents.keys where key.path.contains("segments/") {
                var contents = second.contents
                contents[key] = nil
                let found = try await audit(store(contents, lists: lists), cursor: cursor).1
                #expect(found.contains { $0.kind == .missing }, "\(key): \(found)")
            }
        }
    }

    /// A prune, a promotion, and both, after a cursor was made.
    @Test(arguments: [true, false])
    func aCursorOutlivesPrunesAndPromotions(lists: Bool) async throws {
        try await withTemporaryDirectory { directory in
            let archive = try await AuditedArchive.make(in: directory)
            let whole = archive.store.contents
            let parent = whole.filter { !$0.key.path.contains("/0000000002") }
            let cursor = try #require(try await audit(store(parent, lists: lists)).0.cursor)
            #expect(try await audit(store(whole, lists: lists), cursor: cursor).1.isEmpty)
            for lsn in [5000, 13_000, 1 << 40] as [UInt64] {
                for (key, bytes) in whole { archive.store.plant(key, bytes) }
                archive.store.plant(archive.layout.floor, nil)
                try await archive.prune(before: LSN(lsn))
                let (summary, findings) = try await audit(store(archive.store.contents, lists: lists), cursor: cursor)
                #expect(findings.isEmpty && summary.cursor != nil, "\(lsn): \(findings)")
            }
        }
    }
}
