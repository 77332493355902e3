import Synchronization
import Testing
import TestSupport
@testable import WAL

/// The end is cut off while segments are made ahead of it.
@Suite struct TruncateAfterPreparationTests {
    private static let size: UInt64 = 4096

    /// Nothing lies in the directory but the segments up to the end.
    private func expectSegments(upTo end: LSN, _ machine: SimulatedFileSystem) throws {
        let names = try machine.list("/log").filter { $0.contains(".wal") }.sorted()
        let count = (end.rawValue + Self.size - 1) / Self.size
        #expect(names == (0..<count).map { SegmentName(index: $0).fileName })
    }

    @Test(arguments: [HelperMode.background, .synchronous, .off])
    func theLogGoesOnWhereItWasCutWhateverWasPrepared(_ helpers: HelperMode) throws {
        let machine = SimulatedFileSystem()
        var fixture = LogFixture(machine)
        fixture.helpers = helpers
        var log = try fixture.open()
        var lsns: [LSN] = []
        for round in 0..<30 {
            for number in 0..<100 { lsns.append(try log.append(sampleRecord(number, count: 300))) }
            // An eighth of a segment is used before the next one is prepared.
            if helpers == .synchronous && log.endLSN.rawValue % Self.size > 1024 {
                #expect(try machine.list("/log").contains(SegmentName(index: log.endLSN.rawValue / Self.size + 1).fileName))
            }
            // Close to the end, where the last segment stays, and far from it; at times on a boundary.
            let kept = lsns.count - 1 - [0, 3, 40, 90][round % 4]
            if round % 5 == 4 {
                let gap = Self.size - log.endLSN.rawValue % Self.size
                if gap >= 8 { lsns.append(try log.append(sampleRecord(round, count: Int(gap) - 8))) }
                try log.truncateAfter(lsns[lsns.count - 1])
            } else {
                try log.truncateAfter(lsns[kept])
                lsns.removeLast(lsns.count - 1 - kept)
            }
            try expectSegments(upTo: log.endLSN, machine)
            if round % 3 == 2 {
                try log.close()
                log = try fixture.open(.init(verify: .full))
            }
            #expect(try log.records().map(\.lsn) == lsns, "round \(round)")
        }
        for number in 0..<200 { lsns.append(try log.append(sampleRecord(number, count: 300))) }
        try log.sync()
        #expect(try log.records().map(\.lsn) == lsns)
        try log.close()
        let again = try fixture.open(.init(verify: .full))
        #expect(try again.records().map(\.lsn) == lsns)
        try again.close()
        #expect(machine.counters.openFiles == 0 && machine.counters.mappings == 0)
    }

    @Test func aSegmentThatIsJustBeingPreparedIsGoneAfterwards() throws {
        let machine = SimulatedFileSystem()
        let store = HesitantStore(machine)
        let log = try WriteAheadLog(store: store)
        var lsns: [LSN] = []
        for round in 0..<24 {
            // Further than what is prepared already.
            let index = log.endLSN.rawValue / Self.size + UInt64(LogLimits.preparedSegmentsMax) + 3
            store.hesitates.withLock { $0 = index }
            while log.endLSN.rawValue < (index - 1) * Self.size + 1000 { lsns.append(try log.append(sampleRecord(round, count: 300))) }
            guard store.begun.park(nanoseconds: 20_000_000_000) else { return #expect(Bool(false), "round \(round): nothing is prepared") }
            if round % 4 == 3 {
                // Refused: nothing has changed, and what is being prepared is used.
                try log.sync()
                try log.pin("app", at: log.endLSN)
                #expect(throws: WALError.self) { try log.truncateAfter(lsns[0]) }
                try log.unpin("app")
                store.mayGoOn.unpark()
            } else {
                // The preparer goes on when nothing can refuse any more, and has ended when the log has let go.
                let kept = lsns.count - 1 - [1, 20, 60][round % 4]
                try log.truncateAfter(lsns[kept])
                lsns.removeLast(lsns.count - 1 - kept)
                #expect(store.preparingAfterLettingGo.load(ordering: .acquiring) == 0)
                try expectSegments(upTo: log.endLSN, machine)
            }
            for number in 0..<60 { lsns.append(try log.append(sampleRecord(number, count: 300))) }
            try log.sync()
            #expect(try log.records().map(\.lsn) == lsns, "round \(round)")
        }
        try log.close()
        #expect(machine.counters.openFiles == 0 && machine.counters.mappings == 0)
        let again = try LogFixture(machine).open(.init(verify: .full))
        #expect(try again.records().map(\.lsn) == lsns)
        try again.close()
    }

    /// Every segment was let go of: whatever the store calls its error, nothing may be appended any more.
    @Test func aStoreThatFailsAfterTheLogHasLetGoStopsIt() throws {
        let machine = SimulatedFileSystem()
        let store = HesitantStore(machine)
        let log = try WriteAheadLog(store: store)
        let lsns = try (0..<30).map { try log.append(sampleRecord($0, count: 300)) }
        try log.sync()
        store.failsAfterLettingGo.store(true, ordering: .releasing)
        #expect { try log.truncateAfter(lsns[10]) } throws: { ($0 as? WALError)?.isStopped ?? false }
        #expect { try log.append([1]) } throws: { ($0 as? WALError)?.isStopped ?? false }
        do { try log.close() } catch {}
        #expect(machine.counters.openFiles == 0 && machine.counters.mappings == 0)
    }
}

/// A store that stops in the middle of preparing a segment until it is told to go on, or until its end is cut off.
private final class HesitantStore: StandInStore {
    let base: any LogStore
    /// The segment that it stops at.
    let hesitates = Mutex<UInt64?>(nil)
    let begun = Parker()
    let mayGoOn = Parker()
    private let preparing = Atomic(0)
    let preparingAfterLettingGo = Atomic(0)
    let failsAfterLettingGo = Atomic(false)

    init(_ machine: SimulatedFileSystem) {
        base = SegmentedStore(directory: "/log", segmentSize: 4096, fileSystem: machine, time: SimulatedTimeSource())
    }

    func prepareSegment(_ index: UInt64) throws(WALError) -> (any LogSegment)? {
        preparing.add(1, ordering: .sequentiallyConsistent)
        defer { preparing.subtract(1, ordering: .sequentiallyConsistent) }
        let stops = hesitates.withLock { hesitates in
            defer { if hesitates == index { hesitates = nil } }
            return hesitates == index
        }
        if stops {
            begun.unpark()
            guard mayGoOn.park(nanoseconds: 20_000_000_000) else { throw .io(operation: "wait", path: "test", errno: 110) }
        }
        return try base.prepareSegment(index)
    }

    func truncateAfter(_ kept: Range<LSN>, letGo: () throws(WALError) -> Void) throws(WALError) -> StoreTruncation {
        let result = try base.truncateAfter(kept) { () throws(WALError) in
            mayGoOn.unpark()
            try letGo()
            preparingAfterLettingGo.store(preparing.load(ordering: .sequentiallyConsistent), ordering: .releasing)
        }
        if failsAfterLettingGo.load(ordering: .acquiring) {
            try result.lastSegment?.release()
            throw .io(operation: "unlink", path: "test", errno: 5)
        }
        return result
    }
}
