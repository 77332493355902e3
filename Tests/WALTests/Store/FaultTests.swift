import Synchronization
import Testing
import TestSupport
@testable import WAL

/// Errors of the file system at every step, and what is still true afterwards.
@Suite struct FaultTests {
    // MARK: A failed flush

    @Test func aFailedFlushIsFinalForEverybody() async throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        let kept = try log.append(sampleRecord(0, count: 100))
        try await log.sync()
        let durable = log.durableLSN
        let far = log.endLSN.advanced(by: 108)
        let waiting = Task { try await log.waitUntilDurable(far) }
        try log.append(sampleRecord(1, count: 100))
        fixture.machine.inject(.init(.sync, on: "*.wal", errno: 5))
        var refused = 0
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    do { try await log.sync() } catch { return true }
                    return false
                }
            }
            for await wasRefused in group where wasRefused { refused += 1 }
        }
        #expect(refused == 20)
        await #expect(throws: WALError.self) { try await waiting.value }
        // The kernel says Ok to the next flush of the same descriptor; the log does not.
        for _ in 0..<3 {
            #expect(throws: WALError.self) { try log.append([1]) }
            await #expect(throws: WALError.self) { try await log.sync() }
        }
        #expect(log.durableLSN == durable)
        #expect(try log.iter().map { try $0.get().lsn } == [kept], "reading goes on")
        do {
            let reader = try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
            #expect(reader.isStopped)
            #expect(try reader.durableLSN == durable)
            reader.close()
        }
        #expect(throws: WALError.self) { try log.close() }
        #expect(fixture.machine.counters.openFiles == 0 && fixture.machine.counters.mappings == 0)
    }

    @Test func aFailedIdleNoteStopsTheLogBeforeTheNextFlushSaysOk() throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        try log.appendAndSync([1])
        fixture.machine.inject(.init(.sync, on: "*.wal", errno: 5))
        // The keeper makes the cell durable when the log has been idle for a moment; that is the flush that fails.
        let reader = try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
        var rounds = 0
        while !reader.isStopped && rounds < 5000 {
            LinuxTimeSource().sleep(nanoseconds: 1_000_000)
            rounds += 1
        }
        #expect(reader.isStopped)
        #expect(throws: WALError.self) { try log.append([2]) }
        reader.close()
        #expect(throws: Never.self) { try log.close() }
    }

    @Test(arguments: StoreKind.allCases.filter { "\($0)".hasSuffix("Simulation") })
    func aFlushThatFailsInsideALargeRecordIsFinal(_ kind: StoreKind) throws {
        for nth in 1...12 {
            let machine = SimulatedFileSystem()
            let make = {
                kind == .fileOnSimulation
                    ? AnyStore(FileStore(path: "/log", fileSystem: machine, time: SimulatedTimeSource()))
                    : AnyStore(SegmentedStore(directory: "/log", segmentSize: 4096, fileSystem: machine, time: SimulatedTimeSource()))
            }
            // A flush that fails while a segment is prepared is not a failure of the log.
            var configuration = LogConfiguration()
            configuration.helpers = .off
            let log = try AnyLog(store: make(), configuration: configuration)
            try log.append([1])
            try log.sync()
            let durable = log.durableLSN
            try log.append(sampleRecord(2, count: 500))
            machine.inject(.init(.sync, on: "/log*", first: nth, errno: 5))
            var failed = false
            do { try log.append(sampleRecord(3, count: kind == .fileOnSimulation ? 6 << 20 : 40_000)) } catch { failed = true }
            do { try log.sync() } catch { failed = true }
            let promised = log.durableLSN
            #expect(failed || nth > 3, "\(nth)")
            #expect(promised >= durable)
            machine.removeFaults()
            machine.evict()
            let after = machine.crash(choosing: DropEverything())
            do { try log.close() } catch { #expect(failed) }
            let store = kind == .fileOnSimulation
                ? AnyStore(FileStore(path: "/log", fileSystem: after, time: SimulatedTimeSource()))
                : AnyStore(SegmentedStore(directory: "/log", segmentSize: 4096, fileSystem: after, time: SimulatedTimeSource()))
            let again = try AnyLog(store: store, configuration: .init(verify: .full))
            #expect(again.endLSN >= promised, "\(kind), sync \(nth): promised \(promised), found \(again.endLSN)")
            try again.close()
        }
    }

    /// A segment that is let go while somebody flushes it is a descriptor used after it was closed, or another file's.
    @Test func segmentsOfALargeRecordAreLetGoBetweenFlushesOnly() throws {
        let store = WatchfulStore()
        let core = try LogCore(store: store, opening: try store.open(.init()))
        store.whileReleasing.withLock { $0 = {
            // Tries to flush meanwhile.
            let entered = Atomic(false)
            let done = Parker()
            let thread = try? NamedThread(name: "rival") {
                try? core.committer.betweenFlushes { entered.store(true, ordering: .sequentiallyConsistent) }
                done.unpark()
            }
            let cameIn = done.park(nanoseconds: 100_000_000) || entered.load(ordering: .sequentiallyConsistent)
            return (cameIn, thread)
        } }
        let record = [UInt8](repeating: 7, count: 8 * 4096)
        _ = try record.withUnsafeBytes { try core.append($0) }
        let released = store.releases.withLock { $0 }
        #expect(released.count > 4)
        #expect(!released.contains(true), "\(released)")
        store.threads.withLock { $0 }.forEach { $0.join() }
    }

    // MARK: No space

    @Test(arguments: [StoreKind.segmentsOnSimulation, .fileOnSimulation])
    func afterNoSpaceNothingIsLostAndTheLogGoesOn(_ kind: StoreKind) throws {
        let machine = SimulatedFileSystem()
        let time = SimulatedTimeSource()
        let make = {
            kind == .fileOnSimulation
                ? AnyStore(FileStore(path: "/log", fileSystem: machine, time: time))
                : AnyStore(SegmentedStore(directory: "/log", segmentSize: 4096, fileSystem: machine, time: time))
        }
        var log = try AnyLog(store: make())
        var expected: [LSN] = []
        for number in 0..<20 { expected.append(try log.append(sampleRecord(number, count: 300))) }
        for space in [0, 4096, 8192, 3 * 4096] {
            machine.setFreeSpace(space)
            var refused = 0
            for number in 0..<1000 {
                let end = log.endLSN
                let count = kind == .fileOnSimulation ? 30_000 : number % 10 == 0 ? 30_000 : 300
                if let lsn = try appendIfSpace(log, sampleRecord(number, count: count)) {
                    expected.append(lsn)
                } else {
                    refused += 1
                    #expect(log.endLSN == end)
                }
                if refused > 60 { break }
            }
            #expect(refused > 0)
            // A second passes, so that the time index is due; a full disk stops no sync.
            time.advance(nanoseconds: 1_500_000_000)
            try log.sync()
            #expect(log.durableLSN == log.endLSN)
            machine.setFreeSpace(nil)
            for number in 0..<100 { expected.append(try log.append(sampleRecord(number, count: 300))) }
            try log.sync()
            #expect(try log.records().map(\.lsn) == expected)
            try log.close()
            machine.setFreeSpace(0)
            log = try AnyLog(store: make())
            #expect(log.endLSN == expected.last?.advanced(by: 308), "opens on a full disk")
            machine.setFreeSpace(nil)
        }
        #expect(try log.records().map(\.lsn) == expected)
        try log.close()
        #expect(machine.counters.openFiles == 0 && machine.counters.mappings == 0)
    }

    private func appendIfSpace(_ log: AnyLog, _ record: [UInt8]) throws -> LSN? {
        do {
            return try log.append(record)
        } catch {
            guard case .noSpace = error else { throw error }
            return nil
        }
    }

    @Test func recoveryWithoutSpaceChangesNothing() throws {
        let first = LogFixture()
        let log = try first.open()
        for number in 0..<60 { try log.append(sampleRecord(number, count: 200)) }
        let end = log.endLSN
        for pages in 0..<8 {
            let fixture = LogFixture(first.machine.kill())
            let before = try fixture.contents()
            fixture.machine.setFreeSpace(pages * 4096)
            do {
                let opened = try fixture.open()
                #expect(opened.endLSN == end)
                try opened.close()
            } catch {
                guard case WALError.noSpace = error else { throw error }
                #expect(try fixture.contents() == before, "\(pages) pages")
            }
            fixture.machine.setFreeSpace(nil)
            let again = try fixture.open()
            #expect(again.endLSN == end, "\(pages) pages")
            try again.close()
        }
        try log.close()
    }

    // MARK: Each step failing

    /// The n-th call of each kind fails while a log is made, recovered, truncated; afterwards all that was acknowledged is there.
    @Test(arguments: [SimulatedCall.rename, .unlink, .allocate, .syncDirectory, .write, .sync, .open, .map, .truncate, .lock])
    func aFailureAtEachStepLosesNothing(_ call: SimulatedCall) throws {
        let first = LogFixture()
        let log = try first.open()
        let lsns = try (0..<40).map { try log.append(sampleRecord($0, count: 200)) }
        try log.sync()
        for number in 40..<80 { try log.append(sampleRecord(number, count: 200)) }
        let end = log.endLSN
        for nth in 1...14 {
            let name: Comment = "\(call) \(nth)"
            // Making.
            let fresh = LogFixture(SimulatedFileSystem())
            fresh.machine.inject(.init(call, first: nth, errno: 5))
            do { try fresh.open().close() } catch {}
            fresh.machine.removeFaults()
            let made = try fresh.open()
            try made.appendAndSync([1])
            try made.close()
            #expect(fresh.machine.counters.openFiles == 0 && fresh.machine.counters.mappings == 0, name)
            // Recovering, with a torn tail.
            let torn = LogFixture(first.machine.kill())
            try torn.machine.damage(torn.segment(3), at: 3000, xor: 1)
            let kept = LSN(3 * 4096 + 3000)
            torn.machine.inject(.init(call, first: nth, errno: 5))
            do { try torn.open().close() } catch {}
            torn.machine.removeFaults()
            let recovered = try torn.open()
            #expect(recovered.endLSN <= kept && kept.distance(from: recovered.endLSN) < 208, name)
            try recovered.close()
            // Truncating.
            let cut = LogFixture(first.machine.kill())
            let truncated = try cut.open()
            cut.machine.inject(.init(call, first: nth, errno: 5))
            do { try truncated.truncateBefore(lsns[35]) } catch {}
            do { try truncated.pin("app", at: lsns[36]) } catch {}
            cut.machine.removeFaults()
            #expect(try truncated.records().last?.endLSN == end, name)
            let dead = LogFixture(cut.machine.crash(seed: UInt64(nth), directories: .anyOrder))
            let reopened = try dead.open()
            #expect(reopened.endLSN == end && (reopened.headLSN == .zero || reopened.headLSN == lsns[35]), name)
            try reopened.close()
            do { try truncated.close() } catch {}
        }
        try log.close()
    }

    // MARK: Bounds

    @Test func descriptorsAndMappingsAreBoundedOverHundredsOfSegments() throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        let lsns = try (0..<4000).map { try log.append(sampleRecord($0, count: 400)) }
        #expect(log.endLSN.rawValue / 4096 > 350)
        #expect(fixture.machine.counters.openFilesPeak <= 56)
        #expect(fixture.machine.counters.mappingsPeak <= LogLimits.activeSegmentsMax + LogLimits.preparedSegmentsMax + 2)
        try log.sync()
        #expect(try log.records().map(\.lsn) == lsns)
        try log.truncateBefore(lsns[3000])
        #expect(fixture.machine.counters.openFilesPeak <= 56)
        try log.close()
        #expect(fixture.machine.counters.openFiles == 0 && fixture.machine.counters.mappings == 0)
    }

    /// The newest durable cell lies in the foot of a segment that is given up with the record: without it, damage below would be taken for a torn tail.
    @Test func aLargeRecordThatFailsDoesNotForgetHowFarTheLogIsDurable() throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        try log.append(sampleRecord(0, count: 4088))
        let durable = try log.sync()
        #expect(durable == LSN(4096))
        fixture.machine.inject(.init(.allocate, on: "*.wal.tmp", first: 3, count: 100, errno: 28))
        #expect { try log.append(sampleRecord(1, count: 60_000)) } throws: { if case .noSpace = $0 as? WALError { true } else { false } }
        #expect(log.endLSN == durable)
        let crashed = LogFixture(fixture.machine.crash(choosing: DropEverything()))
        try crashed.machine.damage(crashed.segment(0), at: 2000, xor: 1)
        let again = try crashed.open()
        #expect(again.endLSN == durable && again.recoveryReport.floor == durable)
        #expect { try again.records() } throws: { ($0 as? WALError)?.isCorruption(at: .zero) ?? false }
        try again.close()
        fixture.machine.removeFaults()
        try log.append(sampleRecord(1, count: 60_000))
        try log.close()
    }
}

/// A store in memory whose segments let a rival try its luck while they are released.
private final class WatchfulStore: StandInStore {
    let base: any LogStore = MemoryStore(segmentSize: 4096)
    let releases = Mutex<[Bool]>([])
    let threads = Mutex<[NamedThread]>([])
    let whileReleasing = Mutex<(@Sendable () -> (Bool, NamedThread?))?>(nil)

    func makeSegment(_ index: UInt64) throws(WALError) -> any LogSegment { Segment(try base.makeSegment(index), self) }
    func prepareSegment(_ index: UInt64) throws(WALError) -> (any LogSegment)? { try makeSegment(index) }
    func truncateAfter(_ kept: Range<LSN>, letGo: () throws(WALError) -> Void) throws(WALError) -> StoreTruncation {
        var result = try base.truncateAfter(kept, letGo: letGo)
        result.lastSegment = result.lastSegment.map { Segment($0, self) }
        return result
    }

    private final class Segment: StandInSegment {
        let inner: any LogSegment
        let store: WatchfulStore
        init(_ inner: any LogSegment, _ store: WatchfulStore) {
            self.inner = inner
            self.store = store
        }
        func release() throws(WALError) {
            if let look = store.whileReleasing.withLock({ $0 }) {
                let (cameIn, thread) = look()
                store.releases.withLock { $0.append(cameIn) }
                if let thread { store.threads.withLock { $0.append(thread) } }
            }
            try inner.release()
        }
    }
}
