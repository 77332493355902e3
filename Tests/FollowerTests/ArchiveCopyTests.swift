import Archive
import Follower
import Foundation
import Logging
import Shipper
import Synchronization
import TestSupport
import Testing
import WAL

/// An archive in another store: the same objects, the same log, and nothing that it does not hold.
@Suite struct ArchiveCopyTests {
    private func copy(_ source: any ObjectStore, to destination: any ObjectStore, immutable: Bool = false, keys: KeyRing = .none) async throws -> ArchiveCopy.Summary {
        try await ArchiveCopy(
            from: .init(store: source, log: SampleArchive.name), to: .init(store: destination, log: SampleArchive.name), keys: keys, isImmutable: immutable,
            patience: { SampleArchive.NoPatience() }, now: { 1 }
        ).run()
    }

    private func records(_ store: any ObjectStore, keys: KeyRing = .none) async throws -> [SampleArchive.Entry] {
        var records: [SampleArchive.Entry] = []
        for try await record in archiveRecords(store: store, log: SampleArchive.name, keys: keys, patience: { SampleArchive.NoPatience() }) {
            records.append((record.0, record.1))
        }
        return records
    }

    /// Everything that is at the destination is at the source, byte for byte.
    private func isPart(_ destination: MemoryObjectStore, of source: MemoryObjectStore) -> Bool {
        let source = source.contents
        return destination.contents.allSatisfy { source[$0.key] == $0.value }
    }

    private func withArchive(
        count: Int = 120, sealing: MasterKey? = nil, _ body: (String, MemoryObjectStore, [SampleArchive.Entry], ArchiveBuilder) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { scratch in
            let store = MemoryObjectStore()
            let records = try SampleArchive.write("\(scratch)/log", count: count)
            try await body(scratch, store, records, try await ArchiveBuilder(store: store, directory: "\(scratch)/log", sealing: sealing))
        }
    }

    @Test func aCopyHoldsTheSameLogAndSendsNothingTwice() async throws {
        try await withArchive { scratch, source, expected, builder in
            try await builder.ship()
            let destination = MemoryObjectStore()
            let first = try await copy(source, to: destination)
            #expect(isPart(destination, of: source))
            #expect(first.copied > 4 && first.present == 0 && first.start == .zero)
            #expect(try first.end == builder.reader.durableLSN)
            #expect(SampleArchive.isSame(try await records(destination), expected))
            try await SampleArchive.restore(destination, into: "\(scratch)/restored")

            let again = try await copy(source, to: destination)
            #expect(again.copied == 0 && again.present == first.copied && again.end == first.end)
            #expect(isPart(destination, of: source))
        }
    }

    @Test func theLogsNameMayBeAnother() async throws {
        try await withArchive { scratch, source, expected, builder in
            try await builder.ship()
            let destination = MemoryObjectStore()
            let name = LogName("orders-2026")!
            _ = try await ArchiveCopy(from: .init(store: source, log: SampleArchive.name), to: .init(store: destination, log: name)).run()
            #expect(destination.contents.keys.allSatisfy { $0.path.hasPrefix("orders-2026/") })
            let summary = try await Restore(ArchiveReader.open(store: destination, log: name)).run(into: "\(scratch)/restored")
            #expect(summary.records == UInt64(expected.count))
        }
    }

    @Test func encryptedObjectsGoAsTheyAreWithoutAKey() async throws {
        let master = MasterKey(bytes: [UInt8](repeating: 7, count: 32))
        try await withArchive(sealing: master) { scratch, source, expected, builder in
            try await builder.ship()
            let destination = MemoryObjectStore()
            _ = try await copy(source, to: destination)
            #expect(isPart(destination, of: source))
            #expect(SampleArchive.isSame(try await records(destination, keys: KeyRing(current: master)), expected))
        }
    }

    /// An archive of two epochs, in which the older one went on past the fork; the records that readers find.
    private func promoted(_ scratch: String, _ source: MemoryObjectStore) async throws -> [SampleArchive.Entry] {
        _ = try SampleArchive.write("\(scratch)/log", count: 40)
        do { try await ArchiveBuilder(store: source, directory: "\(scratch)/log").ship() }
        try await SampleArchive.restore(source, into: "\(scratch)/replica")
        _ = try await Promotion(
            directory: "\(scratch)/replica", destinations: [.init(store: source, log: SampleArchive.name)], fork: nil, settle: 0.001
        ).run()
        // The old writer's last objects, past the fork.
        _ = try SampleArchive.write("\(scratch)/log", count: 60, seed: 3)
        do { try await ArchiveBuilder(store: source, directory: "\(scratch)/log").ship() }
        let expected = try SampleArchive.write("\(scratch)/replica", count: 50, seed: 4)
        do { try await ArchiveBuilder(store: source, directory: "\(scratch)/replica").ship() }
        return expected
    }

    /// Wherever it dies: what is there is part of the source and never a log that ends early, and running it again completes it.
    @Test func aCopyThatDiesAtAnyRequestIsCompletedByTheNext() async throws {
        try await withTemporaryDirectory { scratch in
            let source = MemoryObjectStore()
            let expected = try await promoted(scratch, source)
            let whole = MemoryObjectStore()
            let counted = WatchedStore(whole)
            _ = try await copy(source, to: counted)
            #expect(counted.count > 60)
            var readable = 0
            for n in 0..<counted.count {
                let destination = MemoryObjectStore()
                await #expect(throws: ArchiveError.self) { try await copy(source, to: WatchedStore.dying(destination, at: n)) }
                #expect(isPart(destination, of: source), "at request \(n)")
                do {
                    _ = try await SampleArchive.open(destination).requireLine()
                    readable += 1
                    #expect(SampleArchive.isSame(try await records(destination), expected), "at request \(n)")
                } catch {
                    #expect([.notFound, .gap].contains((error as? ArchiveError)?.code), "at request \(n): \(error)")
                }
                _ = try await copy(source, to: destination)
                #expect(destination.contents == whole.contents, "at request \(n)")
            }
            #expect(readable > 0 && readable < counted.count / 2, "not before everything that it needs is there")
        }
    }

    /// Every state that a reader may meet, one for each write of a copy that brings an older one up to date.
    @Test func aCopyThatIsBroughtUpToDateStaysReadableAsFarAsItGoes() async throws {
        try await withTemporaryDirectory { scratch in
            let (source, destination) = (MemoryObjectStore(), MemoryObjectStore())
            _ = try SampleArchive.write("\(scratch)/log", count: 40)
            do { try await ArchiveBuilder(store: source, directory: "\(scratch)/log").ship() }
            _ = try await copy(source, to: destination)
            let before = try await records(destination)
            let expected = try SampleArchive.write("\(scratch)/log", count: 40, seed: 2)
            do { try await ArchiveBuilder(store: source, directory: "\(scratch)/log").ship() }
            let seen = Mutex(0)
            let watched = WatchedStore(destination) { (_, isWrite, _) throws(ArchiveError) in
                guard isWrite else { return }
                do {
                    let found = try await self.records(destination)
                    #expect(found.count >= before.count && SampleArchive.isSame(found, Array(expected[..<found.count])))
                    seen.withLock { $0 += 1 }
                } catch {
                    Issue.record("\(error)")
                }
            }
            _ = try await copy(source, to: watched)
            #expect(seen.withLock { $0 } > 4)
            #expect(SampleArchive.isSame(try await records(destination), expected))
        }
    }

    @Test func whatAnAbandonedEpochArchivedGoesAlong() async throws {
        try await withTemporaryDirectory { scratch in
            let (source, destination) = (MemoryObjectStore(), MemoryObjectStore())
            let expected = try await promoted(scratch, source)
            let summary = try await copy(source, to: destination)
            #expect(summary.strays > 0)
            #expect(isPart(destination, of: source))
            let segments = source.contents.keys.filter { $0.path.contains("/segments/") }
            #expect(segments.allSatisfy { destination.contents[$0] != nil })
            for document in ["log.json", "claim.json", "start.json"] {
                let names = { (store: MemoryObjectStore) in Set(store.contents.keys.filter { $0.path.hasSuffix(document) }) }
                #expect(names(source) == names(destination))
            }
            #expect(SampleArchive.isSame(try await records(destination), expected))
        }
    }

    @Test(arguments: [true, false]) func gapsAreCopiedAndStayGaps(lists: Bool) async throws {
        try await withTemporaryDirectory { scratch in
            let source = MemoryObjectStore(capabilities: lists ? MemoryObjectStore.everything : MemoryObjectStore.everything.subtracting(.list))
            let expected = try SampleArchive.write("\(scratch)/log", count: 120)
            let builder = try await ArchiveBuilder(store: source, directory: "\(scratch)/log")
            try await builder.ship()
            // Two segments that were given up, with a document at the second one's beginning, too.
            for start in [4096, 8192] as [UInt64] { source.plant(builder.layout.segment(builder.epoch, start: LSN(start)), nil) }
            try await builder.gap(LSN(4096)..<LSN(12288), reason: "the disk was full")
            try await builder.gap(LSN(8192)..<LSN(12288), reason: "the disk was full")
            let destination = MemoryObjectStore()
            let summary = try await copy(source, to: destination)
            #expect(summary.gaps == [LSN(4096)..<LSN(12288)])
            #expect(isPart(destination, of: source))
            #expect(destination.contents.keys.count { $0.path.contains("/gaps/") } == (lists ? 2 : 1))
            let error = await #expect(throws: ArchiveError.self) { try await records(destination) }
            #expect(error?.code == .gap && error?.lsn == LSN(4096))
            let restored = try await Restore(SampleArchive.open(destination), from: LSN(12288)).run(into: "\(scratch)/restored")
            #expect(restored.records == UInt64(expected.count { $0.lsn >= restored.head }))
        }
    }

    @Test func whatIsMissingOrDamagedAtTheSourceIsNamed() async throws {
        try await withArchive { scratch, source, _, builder in
            try await builder.ship()
            let key = builder.layout.segment(builder.epoch, start: LSN(4096))
            let intact = source.contents[key]!
            var damaged = intact
            damaged[intact.count - 20] ^= 1
            for (bytes, code) in [(nil, .gap), (damaged, .damaged)] as [([UInt8]?, ArchiveError.Code)] {
                source.plant(key, bytes)
                let destination = MemoryObjectStore()
                let error = await #expect(throws: ArchiveError.self) { try await copy(source, to: destination) }
                #expect(error?.code == code && error?.lsn == LSN(4096) && error?.message.hasPrefix("at the source: ") == true, "\(error!)")
                #expect(destination.contents[key] == nil)
                await #expect(throws: ArchiveError.self) { try await records(destination) }
            }
            source.plant(key, intact)
            let nowhere = await #expect(throws: ArchiveError.self) { try await copy(MemoryObjectStore(), to: source) }
            #expect(nowhere?.code == .notFound)
        }
    }

    @Test func anotherArchiveAtTheDestinationIsRefusedAndNotTouched() async throws {
        try await withArchive { scratch, source, _, builder in
            try await builder.ship()
            func refused(_ destination: MemoryObjectStore, _ what: String) async throws {
                let before = destination.contents
                let error = await #expect(throws: ArchiveError.self, "\(what)") { try await copy(source, to: destination) }
                #expect(error?.code == .diverged && error?.message.hasPrefix("at the destination: ") == true, "\(what): \(error!)")
                #expect(destination.contents == before, "\(what)")
            }
            let other = MemoryObjectStore()
            try SampleArchive.write("\(scratch)/other", count: 5)
            try await ArchiveBuilder(store: other, directory: "\(scratch)/other").ship()
            try await refused(other, "another log")

            func copied(_ change: (MemoryObjectStore) throws -> Void) async throws -> MemoryObjectStore {
                let destination = MemoryObjectStore()
                _ = try await copy(source, to: destination)
                try change(destination)
                return destination
            }
            let rival = EpochName(number: 2, id: EpochID(rawValue: 9))
            try await refused(
                copied { try $0.plant(builder.layout.claim(2), ClaimDocument(epoch: rival, host: "x", time: 1).encoded(for: builder.layout.claim(2))) },
                "claimed past the source")
            let first = EpochName(number: 1, id: EpochID(rawValue: 9))
            try await refused(
                copied { try $0.plant(builder.layout.claim(1), ClaimDocument(epoch: first, host: "x", time: 1).encoded(for: builder.layout.claim(1))) },
                "claimed by another")
            try await refused(
                copied {
                    let start = StartDocument(parent: nil, epochs: [.init(epoch: builder.epoch, fork: .zero, start: LSN(4096))])
                    try $0.plant(builder.layout.start(1), start.encoded(for: builder.layout.start(1)))
                }, "begun elsewhere")
        }
    }

    /// Intact and different is never replaced; damaged is, and missing comes back.
    @Test func objectsAtTheDestinationAreComparedAndOnlyDamagedOnesReplaced() async throws {
        try await withArchive { scratch, source, expected, builder in
            try await builder.ship()
            let destination = MemoryObjectStore()
            _ = try await copy(source, to: destination)
            let whole = destination.contents
            let keys = whole.keys.filter { $0.path.hasSuffix(".zst") }.sorted()
            destination.plant(keys[0], nil)
            destination.plant(keys[1], Array(whole[keys[1]]!.dropLast(3)))
            destination.plant(keys[2], [])
            let summary = try await copy(source, to: destination)
            #expect(summary.copied == 3 && destination.contents == whole)

            // Another log's bytes under the same name and identity.
            let forged = MemoryObjectStore()
            let metadata = try ObjectDecoder.decode(whole[keys[0]]!, key: keys[0], start: .zero).metadata
            let object = try ObjectEncoder().encode([UInt8](repeating: 1, count: Int(metadata.rawSize)), metadata, level: 1)
            destination.plant(keys[0], object.bytes)
            let error = await #expect(throws: ArchiveError.self) { try await copy(source, to: destination) }
            #expect(error?.code == .diverged && error?.key == keys[0])
            #expect(destination.contents[keys[0]] == object.bytes)
            // The same bytes, compressed otherwise.
            let raw = try ObjectDecoder.decode(whole[keys[0]]!, key: keys[0], start: .zero).raw
            destination.plant(keys[0], try ObjectEncoder().encode(raw, metadata, level: 9).bytes)
            #expect(try await copy(source, to: destination).copied == 0)
            #expect(forged.contents.isEmpty)
        }
    }

    @Test func anImmutableDestinationGetsNoHeads() async throws {
        try await withArchive { scratch, source, expected, builder in
            try await builder.ship()
            let base = MemoryObjectStore()
            for _ in 0..<2 { _ = try await copy(source, to: ImmutableStore(base), immutable: true) }
            #expect(base.count(of: .replace) == 0 && base.count(of: .delete) == 0)
            #expect(!base.contents.keys.contains { $0.path.contains("/heads/") })
            #expect(SampleArchive.isSame(try await records(base), expected))
        }
    }

    /// The copier knows the end of what it has read, which a reader of a destination that cannot list could not.
    @Test func whereTheSourceHasNoHeadTheCopyGetsOne() async throws {
        try await withArchive { scratch, source, expected, builder in
            try await builder.ship(head: false)
            let destination = MemoryObjectStore(capabilities: MemoryObjectStore.everything.subtracting(.list))
            _ = try await copy(source, to: destination)
            #expect(SampleArchive.isSame(try await records(destination), expected))
        }
    }

    /// A destination that reaches further down keeps what it has, unless there would be a hole; one that was pruned further is not filled again.
    @Test func floorsAreRaisedOnlyOverAHole() async throws {
        try await withArchive { scratch, source, expected, builder in
            try await builder.ship()
            let early = MemoryObjectStore()
            _ = try await copy(source, to: early)
            func prune(_ store: MemoryObjectStore, at segment: UInt64) throws {
                let lsn = try #require(expected.first { $0.lsn.rawValue >= segment * 4096 }?.lsn)
                let document = FloorDocument(lsn: lsn, epoch: builder.epoch, objectStart: LSN(lsn.rawValue / 4096 * 4096), time: 1)
                store.plant(builder.layout.floor, try document.encoded(for: builder.layout.floor))
                for index in 0..<segment { store.plant(builder.layout.segment(builder.epoch, start: LSN(index * 4096)), nil) }
            }
            try prune(source, at: 2)
            // The earlier copy goes on holding everything.
            _ = try await copy(source, to: early)
            #expect(early.contents[builder.layout.floor] == nil)
            #expect(SampleArchive.isSame(try await records(early), expected))
            // A new one begins where the source does.
            let late = MemoryObjectStore()
            _ = try await copy(source, to: late)
            let kept = expected.filter { $0.lsn.rawValue >= 8192 }
            #expect(SampleArchive.isSame(try await records(late), kept))
            // Pruned further itself: nothing comes back.
            try prune(late, at: 3)
            let there = late.contents
            #expect(try await copy(source, to: late).copied == 0)
            #expect(late.contents == there)
            // A copy whose end the source no longer reaches down to: its floor is raised, because between lies nothing.
            let behind = MemoryObjectStore()
            for (key, bytes) in early.contents where !key.path.contains("/tail/") {
                if key.path.contains("/segments/"), !key.path.hasSuffix("/00000000000000000000.zst") { continue }
                behind.plant(key, bytes)
            }
            let head = HeadDocument(epoch: builder.epoch, archived: LSN(4096), checkpoint: LSN(4096), durable: LSN(4096), time: 1)
            behind.plant(builder.layout.head(builder.epoch), try head.encoded(for: builder.layout.head(builder.epoch)))
            _ = try await copy(source, to: behind)
            #expect(SampleArchive.isSame(try await records(behind), kept))
        }
    }

    /// The tails that were found are removed before they are fetched, because their segment came.
    @Test func tailsThatVanishAreLookedForInTheirSegment() async throws {
        try await withArchive { scratch, source, expected, builder in
            let end = try builder.reader.durableLSN
            let last = LSN(end.rawValue / 4096 * 4096)
            // The last closed segment as tails at first.
            let open = LSN(last.rawValue - 4096)
            var position = LSN.zero
            while position < open { try await builder.object(.segment, position..<position.advanced(by: 4096)); position = position.advanced(by: 4096) }
            try await builder.shipTails(from: open, to: last, bytes: 500)
            try await builder.shipTails(from: last, to: end, bytes: 500)
            try await builder.head(archived: end, checkpoint: open)
            let tails = try await source.list(builder.layout.tails(builder.epoch)).filter { $0.path.hasSuffix(".zst") && $0.path < builder.layout.tail(builder.epoch, level: 0, start: last).path }
            #expect(tails.count > 5)
            let segment = try await builder.object(.segment, open..<last)
            let bytes = source.contents[segment]
            source.plant(segment, nil)
            let isMerged = Mutex(false)
            let shipping = WatchedStore(source) { (_, _, key) throws(ArchiveError) in
                // When the third one is asked for whole, after its metadata.
                guard key == tails[4], !isMerged.withLock({ $0 }) else { return }
                isMerged.withLock { $0 = true }
                source.plant(segment, bytes)
                for key in tails.reversed() { source.plant(key, nil) }
            }
            let destination = MemoryObjectStore()
            let summary = try await copy(shipping, to: destination)
            #expect(isMerged.withLock { $0 } && summary.end == end)
            #expect(SampleArchive.isSame(try await records(destination), expected))
        }
    }

    /// Tries again at once, a few times.
    private struct ShortPatience: RetryWait {
        var left = 5
        mutating func wait(after error: ArchiveError) async throws(ArchiveError) {
            guard left > 0 else { throw error }
            left -= 1
        }
    }

    /// Whatever happens to any one upload, or to any one answer of the source, the copy is the same.
    @Test(arguments: ["reply lost", "upload cut", "stored changed", "answer changed", "answer short", "busy"])
    func whatGoesWrongOnTheWayIsNoticedAndTriedAgain(fault: String) async throws {
        try await withArchive(count: 60) { scratch, source, expected, builder in
            try await builder.ship()
            let whole = MemoryObjectStore()
            _ = try await copy(source, to: whole)
            let away = ArchiveError(.unreachable, "the connection was lost", outcome: .unknown)
            let isAtSource = fault.hasPrefix("answer")
            let operation: MemoryObjectStore.Operation = isAtSource ? .get : .create
            let count = isAtSource ? 60 : whole.count(of: .create)
            for n in 0..<count {
                let destination = MemoryObjectStore(capabilities: MemoryObjectStore.everything.subtracting(.verifiesChecksum))
                for _ in 0..<n { (isAtSource ? source : destination).inject(.delay({}), into: operation) }
                switch fault {
                case "reply lost": destination.inject(.loseReply(away), into: .create)
                case "upload cut": destination.inject(.cut(at: 30, away), into: .create)
                case "stored changed": destination.inject(.corrupt { $0[$0.count / 2] ^= 4 }, into: .create)
                case "answer changed": source.inject(.corrupt { if !$0.isEmpty { $0[$0.count / 2] ^= 4 } }, into: .get)
                case "answer short": source.inject(.corrupt { $0 = Array($0.dropLast(5)) }, into: .get)
                default: destination.inject(.fail(ArchiveError(.busy(status: 503), "later")), into: .create)
                }
                let copy = ArchiveCopy(
                    from: .init(store: source, log: SampleArchive.name), to: .init(store: destination, log: SampleArchive.name),
                    patience: { ShortPatience() }, now: { 1 })
                do {
                    _ = try await copy.run()
                } catch let error as ArchiveError {
                    // A document that was stored otherwise than it was sent is told, not overwritten; and nothing is readable that should not be.
                    #expect([.diverged, .damaged, .invalid].contains(error.code), "\(fault) at \(n): \(error)")
                    if let found = try? await records(destination) { #expect(SampleArchive.isSame(found, expected), "\(fault) at \(n)") }
                    continue
                }
                #expect(destination.contents == whole.contents, "\(fault) at \(n)")
            }
        }
    }

    @Test(arguments: [1, 3]) func noMoreObjectsAreUnderWayThanWasAsked(transfers: Int) async throws {
        try await withArchive(count: 300) { scratch, source, _, builder in
            try await builder.ship()
            let underWay = Mutex((now: 0, most: 0))
            let watched = WatchedStore(MemoryObjectStore()) { (_, isWrite, key) throws(ArchiveError) in
                guard isWrite, key.path.contains("/segments/") else { return }
                underWay.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
                for _ in 0..<200 { await Task.yield() }
                underWay.withLock { $0.now -= 1 }
            }
            _ = try await ArchiveCopy(
                from: .init(store: source, log: SampleArchive.name), to: .init(store: watched, log: SampleArchive.name), transfers: transfers
            ).run()
            #expect(underWay.withLock { $0.most } <= transfers)
            if transfers > 1 { #expect(underWay.withLock { $0.most } > 1) }
        }
    }

    /// A shipper at work, its tails merged and removed all the time: each copy is a prefix of the log, and the last one all of it; what is shipped to the copy then goes on there.
    @Test func whatIsShippedToMeanwhileIsCopiedAsFarAsItWasSeen() async throws {
        try await withTemporaryDirectory { scratch in
            let (source, destination) = (MemoryObjectStore(), MemoryObjectStore())
            let log = try SegmentedLog.open(directory: "\(scratch)/log", segmentSize: 4096)
            let shipper = self.shipper("\(scratch)/log", to: source, slot: "d-1")
            let running = Task { try await shipper.run() }
            let writing = Task {
                var random = SeededGenerator(seed: 11)
                for number in 0..<600 {
                    try log.append(Array("record \(number) \(String(repeating: "y", count: Int.random(in: 0...200, using: &random)))".utf8))
                    if number.isMultiple(of: 5) { _ = try await log.sync() }
                    if number.isMultiple(of: 10) { try await Task.sleep(for: .milliseconds(1)) }
                }
            }
            try await waitUntil("the archive has begun") { source.contents.keys.contains { $0.path.contains("/heads/") } }
            var rounds = 0
            var end = LSN.zero
            var isDone = false
            while !isDone {
                isDone = shipper.status.archived >= (try LogReader.open(directory: "\(scratch)/log").durableLSN) && rounds > 2
                let summary = try await copy(source, to: destination)
                #expect(summary.end >= end)
                end = summary.end
                let copied = try await records(destination)
                let written = try SampleArchive.records("\(scratch)/log")
                // What was truncated locally is in the archive alone.
                let known = Dictionary(written.map { ($0.lsn, $0.data) }) { first, _ in first }
                #expect(copied.allSatisfy { known[$0.lsn] == nil || known[$0.lsn]! == $0.data })
                rounds += 1
                if rounds > 200 { break }
            }
            try await writing.value
            let final = try await log.appendAndSync(Array("last".utf8)) as LSN
            try await waitUntil("all is archived") { shipper.status.archived > final }
            shipper.finish()
            try await running.value
            _ = try await copy(source, to: destination)
            let whole = try await records(source)
            #expect(whole.count == 601)
            #expect(SampleArchive.isSame(try await records(destination), whole))

            // The copy is a place to ship to like any other.
            try log.append(Array("more".utf8))
            _ = try await log.sync()
            try log.close()
            try await self.shipper("\(scratch)/log", to: destination, slot: "d-2").runOnce(timeout: .seconds(30))
            #expect(try await records(destination).count == 602)
        }
    }

    private func shipper(_ directory: String, to store: any ObjectStore, slot: String) -> LogShipper {
        var settings = ShipperSettings()
        settings.claimSettle = .milliseconds(1)
        settings.retryDelayMax = .milliseconds(20)
        settings.tailInterval = .milliseconds(10)
        return LogShipper(
            directory: directory, name: SampleArchive.name, slot: slot, url: store.name, store: store, settings: settings,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }
}
