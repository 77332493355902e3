import Archive
import Follower
import Foundation
import TestSupport
import Testing
import WAL

@Suite struct RestoreTests {
    /// Ships a log of `count` records and calls `body` with what it holds.
    private func withArchive(
        _ store: any ObjectStore, count: Int = 120, _ body: (String, [SampleArchive.Entry], ArchiveBuilder) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            let records = try SampleArchive.write("\(directory)/log", count: count)
            let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            try await builder.ship()
            try await body(directory, records, builder)
        }
    }

    private func check(_ store: any ObjectStore) async throws {
        try await withArchive(store) { directory, records, builder in
            let summary = try await SampleArchive.restore(store, into: "\(directory)/restored")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/restored"), records))
            #expect(summary.records == UInt64(records.count))
            #expect(try summary.end == builder.reader.durableLSN)
            let reader = try LogReader.open(directory: "\(directory)/restored")
            defer { reader.close() }
            #expect(try reader.isReplica)
            #expect(reader.logID == builder.reader.logID)
            #expect(try reader.epochs == builder.reader.epochs)
        }
    }

    @Test func restoresFromMemory() async throws { try await check(MemoryObjectStore()) }

    @Test func restoresFromADirectory() async throws {
        try await withTemporaryDirectory { try await check(try DirectoryStore(root: "\($0)/archive")) }
    }

    @Test func restoresFromNginx() async throws {
        let server = try await NginxServer.start()
        defer { server.stop() }
        let store = try HTTPStore(base: "\(server.url)/base")
        try await check(store)
        await store.shutdown()
    }

    @Test func restoresFromLighttpd() async throws {
        let server = try await LighttpdServer.start()
        defer { server.stop() }
        let store = try HTTPStore(base: "\(server.url)/base")
        try await check(store)
        await store.shutdown()
    }

    @Test func aReplicaRefusesAppends() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, _, _ in
            try await SampleArchive.restore(store, into: "\(directory)/restored")
            let log = try SegmentedLog.open(directory: "\(directory)/restored")
            #expect(throws: WALError.stopped(cause: .replica)) { try log.append([1]) }
            try log.close()
        }
    }

    @Test func restoreToAnLSNEndsAfterTheRecordThere() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store, count: 60) { directory, records, builder in
            let end = try builder.reader.durableLSN
            for (index, record) in records.enumerated() {
                let next = index + 1 < records.count ? records[index + 1].lsn : end
                // At the record, and anywhere before the next one.
                for lsn in [record.lsn, LSN(next.rawValue - 1)] {
                    let target = "\(directory)/at-\(lsn)-\(index)"
                    let summary = try await SampleArchive.restore(store, into: target, .through(lsn))
                    #expect(summary.end == next, "at \(lsn)")
                    #expect(SampleArchive.isSame(try SampleArchive.records(target), Array(records[...index])), "at \(lsn)")
                    try FileManager.default.removeItem(atPath: target)
                    if lsn == next { break }
                }
            }
            let whole = try await SampleArchive.restore(store, into: "\(directory)/end", .through(end))
            #expect(whole.end == end)
        }
    }

    @Test func aTargetPastTheEndIsNotFound() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, _, builder in
            let past = try builder.reader.durableLSN.advanced(by: 1)
            let error = await #expect(throws: ArchiveError.self) {
                try await SampleArchive.restore(store, into: "\(directory)/restored", .through(past))
            }
            #expect(error?.code == .notFound && error?.lsn == past)
            #expect(!FileManager.default.fileExists(atPath: "\(directory)/restored"))
        }
    }

    @Test func everyMissingObjectIsAnErrorAndLeavesNothing() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, records, builder in
            let end = try builder.reader.durableLSN
            let objects = store.contents.filter { $0.key.path.hasSuffix(".zst") }
            #expect(objects.count > 6)
            for (key, bytes) in objects {
                store.plant(key, nil)
                do {
                    // A tail that another one repeats is not needed.
                    let summary = try await SampleArchive.restore(store, into: "\(directory)/restored")
                    #expect(summary.end == end && key.path.contains("/tail/"), "without \(key)")
                    try FileManager.default.removeItem(atPath: "\(directory)/restored")
                } catch let error as ArchiveError {
                    #expect(error.code == .gap && error.lsn != nil && error.key != nil, "without \(key): \(error)")
                    #expect(!FileManager.default.fileExists(atPath: "\(directory)/restored"))
                }
                store.plant(key, bytes)
            }
        }
    }

    @Test func everyDamagedByteIsAnErrorAndLeavesNothing() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store, count: 40) { directory, records, builder in
            var generator = SeededGenerator(seed: 7)
            for (key, bytes) in store.contents where key.path.hasSuffix(".zst") && !key.path.contains("/0/") {
                for _ in 0..<24 {
                    let offset = Int.random(in: 0..<bytes.count, using: &generator)
                    var changed = bytes
                    changed[offset] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                    store.plant(key, changed)
                    let error = await #expect(throws: ArchiveError.self, "\(key) byte \(offset)") {
                        try await SampleArchive.restore(store, into: "\(directory)/restored")
                    }
                    #expect(error?.key == key && error?.lsn != nil, "\(key) byte \(offset)")
                    #expect([.damaged, .unsupported].contains(error?.code), "\(key) byte \(offset)")
                    #expect(!FileManager.default.fileExists(atPath: "\(directory)/restored"))
                }
                for cut in [0, 1, 19, bytes.count / 2, bytes.count - 1] {
                    store.plant(key, Array(bytes[..<cut]))
                    await #expect(throws: ArchiveError.self, "\(key) cut at \(cut)") {
                        try await SampleArchive.restore(store, into: "\(directory)/restored")
                    }
                }
                store.plant(key, bytes)
            }
        }
    }

    @Test func anObjectOfAnotherPlaceOrLogIsAnError() async throws {
        let store = MemoryObjectStore()
        let foreign = MemoryObjectStore()
        try await withArchive(foreign) { _, _, _ in }
        try await withArchive(store) { directory, _, builder in
            let segments = store.contents.keys.filter { $0.path.contains("/segments/") }.sorted()
            let original = try #require(store.contents[segments[1]])
            // Another segment of this log; and the same place of another log.
            let other = foreign.contents.first { $0.key.path.hasSuffix("00000000000000004096.zst") }
            for bytes in [store.contents[segments[2]]!, other!.value] {
                store.plant(segments[1], bytes)
                let error = await #expect(throws: ArchiveError.self) {
                    try await SampleArchive.restore(store, into: "\(directory)/restored")
                }
                #expect([.diverged, .damaged].contains(error?.code))
                #expect(error?.key == segments[1])
            }
            store.plant(segments[1], original)
            try await SampleArchive.restore(store, into: "\(directory)/restored")
        }
    }

    @Test func aGapIsAnErrorThatNamesIt() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, _, builder in
            store.plant(builder.layout.segment(builder.epoch, start: LSN(4096)), nil)
            try await builder.gap(LSN(4096)..<LSN(8192), reason: "the disk was full")
            let error = await #expect(throws: ArchiveError.self) {
                try await SampleArchive.restore(store, into: "\(directory)/restored")
            }
            #expect(error?.code == .gap && error?.lsn == LSN(4096))
            #expect(error?.message.contains("the disk was full") == true)
        }
    }

    /// The error about a gap says where to go on, and a restore from there has all that follows, wherever the gap ends.
    @Test(arguments: [LSN(8192), LSN(9000)]) func aRestoreBeginsBeyondAGapWhereItIsTold(end: LSN) async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, records, builder in
            let segment = builder.layout.segment(builder.epoch, start: LSN(8192))
            let first = try #require(records.map(\.lsn).first { $0 >= end })
            store.plant(builder.layout.segment(builder.epoch, start: LSN(4096)), nil)
            if end > LSN(8192) {
                // As of a log whose beginning had gone: the object begins where the gap ends.
                let whole = try ObjectDecoder.decode(try #require(store.contents[segment]), key: segment, start: LSN(8192))
                let inside = records.map(\.lsn).filter { $0 >= end && $0 < whole.metadata.end }
                let metadata = ObjectMetadata(
                    kind: .segment, logID: whole.metadata.logID, archiveID: whole.metadata.archiveID, epoch: whole.metadata.epoch,
                    epochStart: whole.metadata.epochStart, start: end, end: whole.metadata.end,
                    records: ObjectMetadata.Records(first: inside[0], last: inside[inside.count - 1], count: UInt64(inside.count)),
                    precedingDigest: nil, ancestry: whole.metadata.ancestry, timeIndex: [])
                let part = Array(whole.raw[Int(end.distance(from: LSN(8192)))...])
                store.plant(builder.layout.segment(builder.epoch, start: end), try ObjectEncoder().encode(part, metadata, level: 1).bytes)
                store.plant(segment, nil)
            }
            try await builder.gap(LSN(4096)..<end, reason: "storage was away")
            let reader = try await SampleArchive.open(store)
            let error = await #expect(throws: ArchiveError.self) { try await Restore(reader).plan() }
            #expect(error?.code == .gap && error?.lsn == LSN(4096))
            #expect(error?.hint?.contains("--from \(end)") == true, "\(String(describing: error))")
            let summary = try await Restore(reader, from: end).run(into: "\(directory)/beyond")
            #expect(summary.head == first)
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/beyond"), records.filter { $0.lsn >= first }))
            // Past the end there is nothing, and nothing is no log.
            await #expect(throws: ArchiveError.self) {
                try await Restore(reader, from: LSN(1 << 40)).run(into: "\(directory)/past")
            }
        }
    }

    @Test func withoutAHeadTheStoreIsListed() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, records, builder in
            store.plant(builder.layout.head(builder.epoch), nil)
            try await SampleArchive.restore(store, into: "\(directory)/restored")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/restored"), records))
            store.plant(builder.layout.segment(builder.epoch, start: .zero), nil)
            let error = await #expect(throws: ArchiveError.self) {
                try await SampleArchive.restore(store, into: "\(directory)/again")
            }
            #expect(error?.code == .gap && error?.lsn == .zero)
        }
    }

    /// Where uploads go to a temporary name first, a crash leaves one; it is no sign that the archive goes on.
    @Test func anUploadThatACrashLeftOnItsWayIsNoObjectPastTheEnd() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, records, builder in
            store.plant(builder.layout.head(builder.epoch), nil)
            let next = builder.layout.tail(builder.epoch, level: 0, start: try builder.reader.durableLSN)
            store.plant(ObjectKey("\(next).tmp-00000000000000ab"), [1, 2, 3])
            try await SampleArchive.restore(store, into: "\(directory)/restored")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/restored"), records))
        }
    }

    /// The head is written over again and again; one that was cut short says as little as none.
    @Test func aHeadThatCannotBeReadIsAsGoodAsNone() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, records, builder in
            let key = builder.layout.head(builder.epoch)
            let whole = try #require(store.contents[key])
            for (index, bytes) in [[], Array(whole[..<(whole.count / 2)]), Array("{}".utf8)].enumerated() {
                store.plant(key, bytes)
                try await SampleArchive.restore(store, into: "\(directory)/restored-\(index)")
                #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/restored-\(index)"), records))
            }
        }
    }

    /// Without the documents of a later epoch the archive looks as if its parent were all there is: never a shorter log.
    @Test func aLostDocumentOfALaterEpochIsAnError() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, _, builder in
            try await SampleArchive.restore(store, into: "\(directory)/second")
            _ = try await Promotion(
                directory: "\(directory)/second", destinations: [.init(store: store, log: SampleArchive.name)], fork: nil, host: "test",
                patience: { SampleArchive.NoPatience() }, settle: 0, sleep: { _ in }, now: { 1 }
            ).run()
            let both = try SampleArchive.write("\(directory)/second", count: 40, seed: 2, segmentSize: nil)
            try await ArchiveBuilder(store: store, directory: "\(directory)/second").ship()
            for key in [1, 2].map(builder.layout.claim) + [builder.layout.start(2)] {
                let whole = try #require(store.contents[key])
                for bytes in [nil, Array(whole[..<(whole.count / 2)])] {
                    store.plant(key, bytes)
                    let error = await #expect(throws: ArchiveError.self, "\(key)") {
                        try await SampleArchive.restore(store, into: "\(directory)/again")
                    }
                    #expect(error?.code == .damaged || error?.code == .gap, "\(key): \(String(describing: error))")
                    #expect(error?.key == key)
                    #expect(!FileManager.default.fileExists(atPath: "\(directory)/again"))
                }
                store.plant(key, whole)
            }
            try await SampleArchive.restore(store, into: "\(directory)/again")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/again"), both))
        }
    }

    @Test func withoutAHeadAndAListingTheEndIsUnproven() async throws {
        let store = MemoryObjectStore(capabilities: [.probed, .conditionalCreate, .rangeGet])
        try await withArchive(store) { directory, _, builder in
            store.plant(builder.layout.head(builder.epoch), nil)
            let error = await #expect(throws: ArchiveError.self) {
                try await SampleArchive.restore(store, into: "\(directory)/restored")
            }
            #expect(error?.code == .endUnproven)
            let end = try builder.reader.durableLSN
            #expect(error?.lsn == end)
            #expect(!FileManager.default.fileExists(atPath: "\(directory)/restored"))
        }
    }

    @Test func aHeadIsOnlyALowerBound() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, records, builder in
            try await builder.head(archived: LSN(10), checkpoint: .zero)
            try await SampleArchive.restore(store, into: "\(directory)/restored")
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/restored"), records))
        }
    }

    @Test func anObjectThatComesBetweenIsFoundOnTheSecondReading() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, records, builder in
            let key = builder.layout.segment(builder.epoch, start: .zero)
            let bytes = try #require(store.contents[key])
            store.plant(key, nil)
            var walk = try (try await SampleArchive.open(store)).walk()
            // It comes after the first reading has missed it: before the fifth look of that reading is answered.
            store.inject(
                .delay {}, .delay {}, .delay {}, .delay {}, .delay {}, .delay {}, .delay {}, .delay { store.plant(key, bytes) }, into: .get)
            let piece = try await walk.next()
            #expect(piece?.range == LSN.zero..<LSN(4096))
        }
    }

    @Test func restoreRefusesADirectoryThatIsNotEmpty() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, _, _ in
            let target = "\(directory)/taken"
            try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: false)
            try Data([1]).write(to: URL(filePath: "\(target)/mine"))
            await #expect(throws: WALError.self) { try await SampleArchive.restore(store, into: target) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: target) == ["mine"])
        }
    }

    @Test func aPrunedArchiveIsRestoredFromItsFloor() async throws {
        let store = MemoryObjectStore()
        try await withArchive(store) { directory, records, builder in
            let first = try #require(records.first { $0.lsn > LSN(8192) })
            try await builder.floor(lsn: first.lsn, objectStart: LSN(8192))
            for start in [LSN.zero, LSN(4096)] { store.plant(builder.layout.segment(builder.epoch, start: start), nil) }
            let summary = try await SampleArchive.restore(store, into: "\(directory)/restored")
            #expect(summary.head == first.lsn)
            #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/restored"), records.filter { $0.lsn >= first.lsn }))
            let error = await #expect(throws: ArchiveError.self) {
                try await SampleArchive.restore(store, into: "\(directory)/below", .through(LSN(100)))
            }
            #expect(error?.code == .notFound)
        }
    }

    @Test func noArchiveIsNotFoundAndAnUnstartedOneToo() async throws {
        let store = MemoryObjectStore()
        let missing = await #expect(throws: ArchiveError.self) { try await SampleArchive.open(store) }
        #expect(missing?.code == .notFound)
        try await withArchive(store) { directory, _, builder in
            let made = [builder.layout.logDocument, builder.layout.claim(1)]
            for key in store.contents.keys where !made.contains(key) { store.plant(key, nil) }
            let error = await #expect(throws: ArchiveError.self) {
                try await SampleArchive.restore(store, into: "\(directory)/restored")
            }
            #expect(error?.code == .notFound)
        }
    }
}
