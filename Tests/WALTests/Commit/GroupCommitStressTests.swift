import Synchronization
import Testing
import TestSupport
@testable import WAL

/// Many threads and tasks that commit, cancel and meet failures: everybody is told, once, and never too early.
@Suite(.serialized) struct GroupCommitStressTests {
    /// A store in memory whose segments' flushes may be made to fail, and which counts them.
    private final class CountingStore: StandInStore {
        let base: any LogStore = MemoryStore(segmentSize: 1 << 22)
        let flushes = Atomic(0)
        let failsAt = Atomic(Int.max)
        let noted = Atomic<UInt64>(0)

        func makeSegment(_ index: UInt64) throws(WALError) -> any LogSegment { Segment(try base.makeSegment(index), self) }
        func prepareSegment(_ index: UInt64) throws(WALError) -> (any LogSegment)? { try makeSegment(index) }
        func noteDurable(_ durable: LSN, written: LSN) throws(WALError) {
            noted.store(durable.rawValue, ordering: .releasing)
            try base.noteDurable(durable, written: written)
        }

        private final class Segment: StandInSegment {
            let inner: any LogSegment
            let store: CountingStore
            init(_ inner: any LogSegment, _ store: CountingStore) {
                self.inner = inner
                self.store = store
            }
            func flush() throws(WALError) {
                if store.flushes.add(1, ordering: .relaxed).newValue >= store.failsAt.load(ordering: .relaxed) {
                    throw .io(operation: "fdatasync", path: "test", errno: 5)
                }
                // As long as a fast disk takes: groups form.
                LinuxTimeSource().sleep(nanoseconds: 20_000)
            }
        }
    }

    @Test(arguments: [1, 2, 16, 100]) func everyCommitReturnsAndIsCovered(_ threadCount: Int) throws {
        let store = CountingStore()
        let log = try WriteAheadLog(store: store)
        let each = 4000 / threadCount
        let early = Atomic(0)
        let failures = Atomic(0)
        let threads = try (0..<threadCount).map { _ in
            try NamedThread(name: "commit") {
                for _ in 0..<each {
                    do {
                        let lsn = try log.appendAndSync([1, 2, 3])
                        if store.noted.load(ordering: .acquiring) < lsn.rawValue + 11 || log.durableLSN < lsn.advanced(by: 11) {
                            early.add(1, ordering: .relaxed)
                        }
                    } catch { failures.add(1, ordering: .relaxed) }
                }
            }
        }
        threads.forEach { $0.join() }
        #expect(early.load(ordering: .relaxed) == 0, "acknowledged before it was durable")
        #expect(failures.load(ordering: .relaxed) == 0)
        let flushes = store.flushes.load(ordering: .relaxed)
        #expect(flushes <= each * threadCount)
        if threadCount >= 16 { #expect(flushes < each * threadCount / 2, "\(flushes) flushes: groups do not form") }
        #expect(log.endLSN == LSN(UInt64(11 * each * threadCount)))
        try log.close()
    }

    @Test(arguments: 0..<6 as Range<Int>) func threadsAndTasksAreAllToldOfAFailure(_ seed: Int) async throws {
        let store = CountingStore()
        let log = try WriteAheadLog(store: store)
        store.failsAt.store(20 + 17 * seed, ordering: .relaxed)
        let refused = Atomic(0)
        let threads = try (0..<12).map { _ in
            try NamedThread(name: "commit") {
                // Ends with the failure, which comes after so many flushes.
                while true {
                    do { try log.appendAndSync([1]) } catch {
                        refused.add(1, ordering: .relaxed)
                        return
                    }
                }
            }
        }
        let outcomes = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<12 {
                group.addTask {
                    while true {
                        let inner = Task { try await log.appendAndSync([2]) }
                        if number % 3 == 0 { inner.cancel() }
                        do { _ = try await inner.value } catch WALError.cancelled { continue } catch { return true }
                    }
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        threads.forEach { $0.join() }
        #expect(outcomes == 12)
        #expect(refused.load(ordering: .relaxed) == 12)
        #expect(throws: WALError.self) { try log.append([1]) }
        #expect(log.durableLSN.rawValue == store.noted.load(ordering: .acquiring))
        #expect(throws: WALError.self) { try log.close() }
    }
}
