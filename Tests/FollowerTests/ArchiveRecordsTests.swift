import Archive
import Synchronization
import TestSupport
import Testing
import WAL

@testable import Follower

@Suite struct ArchiveRecordsTests {
    private func collect(_ store: MemoryObjectStore, from: LSN? = nil, to: LSN? = nil) async throws -> [SampleArchive.Entry] {
        var entries: [SampleArchive.Entry] = []
        let records = archiveRecords(
            store: store, log: SampleArchive.name, from: from, to: to, patience: { SampleArchive.NoPatience() })
        for try await (lsn, data) in records { entries.append((lsn, data)) }
        return entries
    }

    private func withArchive(_ body: ([SampleArchive.Entry], ArchiveBuilder, MemoryObjectStore) async throws -> Void) async throws {
        try await withTemporaryDirectory { directory in
            let store = MemoryObjectStore()
            let records = try SampleArchive.write("\(directory)/log", count: 90)
            let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            try await builder.ship(tailBytes: 130)
            try await body(records, builder, store)
        }
    }

    @Test func theRecordsOfAnArchiveAreThoseOfTheLog() async throws {
        try await withArchive { records, _, store in
            let found = try await collect(store)
            #expect(SampleArchive.isSame(found, records))
        }
    }

    @Test func everyRangeIsExact() async throws {
        try await withArchive { records, builder, store in
            let end = try builder.reader.durableLSN
            for index in stride(from: 0, to: records.count, by: 4) {
                for until in stride(from: index, to: records.count, by: 13) {
                    let found = try await collect(store, from: records[index].lsn, to: records[until].lsn)
                    #expect(SampleArchive.isSame(found, Array(records[index..<until])), "\(index) to \(until)")
                }
            }
            let behind = try await collect(store, from: end)
            #expect(behind.isEmpty)
            let rest = try await collect(store, from: records[80].lsn)
            #expect(SampleArchive.isSame(rest, Array(records[80...])))
        }
    }

    @Test func aPositionInsideARecordIsNotFound() async throws {
        try await withArchive { records, _, store in
            for index in [0, 33, 89] {
                let inside = LSN(records[index].lsn.rawValue + 1)
                let error = await #expect(throws: ArchiveError.self) { try await collect(store, from: inside) }
                #expect(error?.code == .notFound && error?.lsn == inside)
            }
        }
    }

    @Test func pastTheEndThereIsNothing() async throws {
        try await withArchive { _, builder, store in
            let end = try builder.reader.durableLSN
            for past in [end, end.advanced(by: 1), end.advanced(by: 1 << 30)] {
                let found = try await collect(store, from: past)
                #expect(found.isEmpty)
            }
        }
    }

    @Test func whatIsMissingIsAnErrorAfterTheRecordsBefore() async throws {
        try await withArchive { records, builder, store in
            store.plant(builder.layout.segment(builder.epoch, start: LSN(8192)), nil)
            var seen = 0
            let sequence = archiveRecords(store: store, log: SampleArchive.name, patience: { SampleArchive.NoPatience() })
            do {
                for try await (lsn, data) in sequence {
                    #expect(records[seen].lsn == lsn && records[seen].data == data)
                    seen += 1
                }
                Issue.record("no error")
            } catch let error as ArchiveError {
                #expect(error.code == .gap && error.lsn == LSN(8192))
            }
            let before = records.filter { $0.lsn.rawValue + 8 + UInt64($0.data.count) <= 8192 }
            #expect(seen == before.count)
        }
    }

    /// Tails of an open segment before a hole, lost or given up, are met on the way to what lies behind it, and do not join it.
    @Test func whatLiesBehindAHoleInASegmentIsReadFromThere() async throws {
        for isGap in [false, true] {
            try await withTemporaryDirectory { directory in
                let store = MemoryObjectStore()
                let records = try SampleArchive.write("\(directory)/log", count: 90)
                let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
                let end = try builder.reader.durableLSN
                let checkpoint = try await builder.shipSegments(upTo: end)
                let first = try #require(records.firstIndex { $0.lsn > checkpoint })
                let (before, behind) = (records[first + 2].lsn, records[first + 4].lsn)
                try await builder.object(.tail(level: 0), checkpoint..<before)
                if isGap { try await builder.gap(before..<behind, reason: "test") }
                try await builder.object(.tail(level: 0), behind..<end)
                try await builder.head(archived: end, checkpoint: checkpoint)
                let expected = Array(records[(first + 4)...])
                let reader = try await SampleArchive.open(store)
                let found = try await FirstRecord.find(atOrAfter: behind, reader, try reader.requireLine().epochs)
                #expect(found == behind)
                _ = try await Restore(reader, from: behind).run(into: "\(directory)/restored")
                #expect(SampleArchive.isSame(try SampleArchive.records("\(directory)/restored"), expected))
                #expect(SampleArchive.isSame(try await collect(store, from: behind), expected))
                let inside = LSN(behind.rawValue - 1)
                let error = await #expect(throws: ArchiveError.self) { try await collect(store, from: inside) }
                #expect(error?.code == .gap, "\(String(describing: error))")
            }
        }
    }

    @Test func statusSaysWhatTheDocumentsSay() async throws {
        try await withArchive { _, builder, store in
            let status = try await ArchiveStatus.read(store: store, log: SampleArchive.name, patience: { SampleArchive.NoPatience() })
            let end = try builder.reader.durableLSN
            #expect(status.logID == builder.reader.logID && status.epoch == builder.epoch && status.claimed?.epoch == builder.epoch)
            #expect(status.archived == end && status.durable == end && status.firstRecord == .zero && status.headTime != nil)
            store.plant(builder.layout.head(builder.epoch), nil)
            let headless = try await ArchiveStatus.read(store: store, log: SampleArchive.name, patience: { SampleArchive.NoPatience() })
            #expect(headless.archived == .zero && headless.headTime == nil)
        }
    }

    /// The log goes on between the look that finds the plan's end and the one for the time of the last head.
    @Test func aHeadThatIsAheadOfThePlanDoesNotTellWhenThePlansEndWasAll() async throws {
        try await withTemporaryDirectory { directory in
            let store = MemoryObjectStore()
            let records = try SampleArchive.write("\(directory)/log", count: 40)
            let builder = try await ArchiveBuilder(store: store, directory: "\(directory)/log")
            let (middle, end) = (records[38].lsn, try builder.reader.durableLSN)
            builder.times = { [.init(time: $0.upperBound <= middle ? 20 : 50, lsn: $0.upperBound)] }
            let key = builder.layout.head(builder.epoch)
            func put(head lsn: LSN, _ checkpoint: LSN, at time: UInt64) async throws {
                try await builder.put(HeadDocument(epoch: builder.epoch, archived: lsn, checkpoint: checkpoint, durable: lsn, time: time), key)
            }
            let checkpoint = try await builder.shipSegments(upTo: middle)
            try await builder.object(.tail(level: 0), checkpoint..<middle)
            try await put(head: middle, checkpoint, at: 30)
            let before = store.contents
            try await builder.object(.tail(level: 0), middle..<end)
            try await put(head: end, checkpoint, at: 100)
            let after = store.contents
            var looks = 0
            // At 70 it was all there. It comes before the nth look at the head, until there are no more looks.
            while true {
                for bytes in after.keys { store.plant(bytes, before[bytes]) }
                let seen = Mutex(0)
                let due = looks
                let watched = WatchedStore(store) { (_, _, wanted) throws(ArchiveError) in
                    guard wanted == key else { return }
                    let number = seen.withLock { count in
                        defer { count += 1 }
                        return count
                    }
                    if number == due { for (key, bytes) in after { store.plant(key, bytes) } }
                }
                do {
                    let plan = try await Restore(try await SampleArchive.open(watched), target: .time(70)).plan()
                    #expect(plan.target == .before(end), "look \(due)")
                } catch let error as ArchiveError {
                    #expect(error.code == .notFound || error.code == .gap, "\(error)")
                }
                guard seen.withLock({ $0 }) > due else { break }
                looks += 1
            }
            #expect(looks >= 2)
        }
    }

    /// A rival writes over the claim between two looks at it.
    @Test func aClaimThatIsGoneAtTheSecondLookIsStillOneThatWasSeen() async throws {
        try await withArchive { _, builder, store in
            let next = EpochName(number: 2, id: EpochID(rawValue: 7))
            let key = builder.layout.claim(2)
            for left in [nil, [UInt8]("{\"format\"".utf8)] as [[UInt8]?] {
                let isArmed = Mutex<Int?>(nil)
                let watched = WatchedStore(store) { (_, _, wanted) throws(ArchiveError) in
                    guard wanted == key else { return }
                    let looks = isArmed.withLock { count in
                        count = count.map { $0 + 1 }
                        return count ?? 0
                    }
                    if looks == 2 { store.plant(key, left) }
                }
                let reader = try await SampleArchive.open(watched)
                try await builder.claim(next)
                isArmed.withLock { $0 = 0 }
                guard case .claimed(2) = try await reader.successor() else { Issue.record("the claim was seen"); continue }
                store.plant(key, nil)
            }
        }
    }
}
