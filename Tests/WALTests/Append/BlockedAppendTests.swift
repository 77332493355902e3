import Glibc
import Synchronization
import Testing
import TestSupport

@testable import WAL

/// Appends that wait because a consumer of the log asked for it.
@Suite struct BlockedAppendTests {
    private static let record = [UInt8](repeating: 7, count: 1000)

    private func eventually(_ what: String, _ condition: () throws -> Bool) throws {
        let end = LinuxTimeSource().monotonic() + 60_000_000_000
        while try !condition() {
            try #require(LinuxTimeSource().monotonic() < end, "it never came to this: \(what)")
            LinuxTimeSource().sleep(nanoseconds: 1_000_000)
        }
    }

    private func waitingAppends(_ log: SegmentedLog, _ directory: String) throws -> UInt64? {
        let reader = try LogReader.open(directory: directory)
        defer { reader.close() }
        var waiting: UInt64?
        try eventually("somebody waits") {
            waiting = try reader.blockage?.waitingAppends
            return waiting != 0
        }
        return waiting
    }

    /// Appends until `count` records are in, on a thread of its own.
    private func appender(_ log: SegmentedLog, _ count: Int) throws -> (thread: NamedThread, state: Appended) {
        let state = Appended()
        let thread = try NamedThread(name: "appender") {
            for _ in 0..<count {
                do throws(WALError) {
                    _ = try log.append(Self.record)
                } catch {
                    return state.error.withLock { $0 = error }
                }
                state.count.add(1, ordering: .sequentiallyConsistent)
            }
        }
        return (thread, state)
    }

    private final class Appended: Sendable {
        let count = Atomic(0)
        let error = Mutex<WALError?>(nil)
        var number: Int { count.load(ordering: .sequentiallyConsistent) }
    }

    @Test func appendsWaitForTheNextSegmentUntilTheyAreLetGo() throws {
        try withTemporaryDirectory { directory in
            let log = try SegmentedLog.open(directory: directory, segmentSize: 4096)
            let sidecar = try LogSidecar.attach(directory: directory)
            let watcher = try LogReader.open(directory: directory)
            try sidecar.blockAppends()
            let (thread, state) = try appender(log, 20)
            try eventually("waiting") { try watcher.blockage?.waitingAppends == 1 }
            // What is in the segments that there are goes on: records that fit, syncs, readers.
            #expect(log.endLSN.rawValue <= 4096)
            #expect(try log.sync() == log.endLSN)
            #expect(watcher.iter().reduce(0) { count, _ in count + 1 } == state.number)
            #expect(try watcher.blockage?.process == getpid() && sidecar.reader.blockage != nil)
            try sidecar.unblockAppends()
            thread.join()
            #expect(state.number == 20 && state.error.withLock { $0 } == nil)
            #expect(try watcher.blockage == nil)
            watcher.close()
            sidecar.detach()
            try log.close()
        }
    }

    @Test func severalMayBlockAtOneTimeAndEachLetsGoForItself() throws {
        try withTemporaryDirectory { directory in
            let log = try SegmentedLog.open(directory: directory, segmentSize: 4096)
            let sidecars = [try LogSidecar.attach(directory: directory), try LogSidecar.attach(directory: directory)]
            let watcher = try LogReader.open(directory: directory)
            for sidecar in sidecars { try sidecar.blockAppends() }
            let (thread, state) = try appender(log, 20)
            try eventually("waiting") { try watcher.blockage?.waitingAppends == 1 }
            try sidecars[0].unblockAppends()
            let before = state.number
            // Longer than the append takes to look again.
            LinuxTimeSource().sleep(nanoseconds: 5 * LogLimits.blockedLookInterval)
            #expect(state.number == before && log.endLSN.rawValue <= 4096)
            // Detaching lets go, as the end of the process does.
            sidecars[1].detach()
            thread.join()
            #expect(state.number == 20)
            sidecars[0].detach()
            watcher.close()
            try log.close()
        }
    }

    @Test func closingEndsTheWaitAndSoDoesAnotherWritersStop() throws {
        try withTemporaryDirectory { directory in
            let log = try SegmentedLog.open(directory: directory, segmentSize: 4096)
            let sidecar = try LogSidecar.attach(directory: directory)
            try sidecar.blockAppends()
            let waiting = try (0..<4).map { _ in try appender(log, 20) }
            try eventually("waiting") { try sidecar.reader.blockage?.waitingAppends == 4 }
            try log.close()
            for (thread, state) in waiting {
                thread.join()
                #expect(state.error.withLock { $0 } == .stopped(cause: .closed))
            }
            #expect(try sidecar.reader.blockage == AppendBlockage(process: getpid(), waitingAppends: 0))
            // Who opens it next is blocked just the same, and has all that was appended.
            let again = try SegmentedLog.open(directory: directory)
            #expect(again.length == UInt64(waiting.map(\.state.number).reduce(0, +) * 1008))
            let (thread, state) = try appender(again, 20)
            try eventually("waiting") { try sidecar.reader.blockage?.waitingAppends == 1 }
            sidecar.detach()
            thread.join()
            #expect(state.number == 20)
            try again.close()
        }
    }

    @Test func largeRecordsAndBatchesWaitToo() throws {
        try withTemporaryDirectory { directory in
            let log = try SegmentedLog.open(directory: directory, segmentSize: 4096)
            let sidecar = try LogSidecar.attach(directory: directory)
            try sidecar.blockAppends()
            let done = Atomic(0)
            var batch = RecordBatch()
            for _ in 0..<10 { batch.append(Self.record) }
            let large = try NamedThread(name: "large") {
                if (try? log.append([UInt8](repeating: 1, count: 40_000))) != nil { done.add(1, ordering: .relaxed) }
            }
            let batched = try NamedThread(name: "batch") { [batch] in
                if (try? log.append(batch: batch)) != nil { done.add(1, ordering: .relaxed) }
            }
            try eventually("waiting") { try sidecar.reader.blockage?.waitingAppends == 2 }
            #expect(log.isEmpty)
            try sidecar.unblockAppends()
            large.join()
            batched.join()
            #expect(done.load(ordering: .relaxed) == 2)
            try log.sync()
            #expect(log.iter().reduce(0) { count, _ in count + 1 } == 11)
            sidecar.detach()
            try log.close()
        }
    }

    @Test func theAsynchronousFormWaitsWithoutAThreadAndCanBeCancelled() async throws {
        try await withTemporaryDirectory { directory in
            let log = try SegmentedLog.open(directory: directory, segmentSize: 4096)
            let sidecar = try LogSidecar.attach(directory: directory)
            try sidecar.blockAppends()
            let tasks = (0..<32).map { _ in Task { try await log.appendAndSync([UInt8](repeating: 1, count: 5000)) } }
            try eventually("all wait") { try sidecar.reader.blockage?.waitingAppends == 32 }
            await #expect(throws: WALError.recordTooLarge(count: 64 << 20 | 1, max: 64 << 20)) {
                try await log.appendAndSync([UInt8](repeating: 1, count: 64 << 20 | 1))
            }
            tasks[0].cancel()
            let cancelled = await tasks[0].result
            #expect(throws: WALError.cancelled) { try cancelled.get() }
            #expect(log.isEmpty)
            #expect(try sidecar.reader.blockage?.waitingAppends == 31)
            try sidecar.unblockAppends()
            for task in tasks.dropFirst() { _ = try await task.value }
            try sidecar.blockAppends()
            #expect(try sidecar.reader.blockage?.waitingAppends == 0)
            sidecar.detach()
            try log.close()
        }
    }

    /// Room that a truncation of the end has made lets an append go on, blocked or not.
    @Test func whoeverWaitsNoMoreIsCountedNoMore() throws {
        try withTemporaryDirectory { directory in
            let log = try SegmentedLog.open(directory: directory, segmentSize: 4096)
            let lsns = try (0..<4).map { _ in try log.append(Self.record) }
            try log.sync()
            let lock = try blockWithoutBeingAttached(directory)
            let (thread, state) = try appender(log, 1)
            #expect(try waitingAppends(log, directory) == 1)
            try log.truncateAfter(lsns[0])
            thread.join()
            #expect(state.number == 1)
            let reader = try LogReader.open(directory: directory)
            #expect(try reader.blockage?.waitingAppends == 0)
            reader.close()
            lock.close()
            try log.close()
        }
    }

    /// So that the end can be cut off meanwhile.
    private func blockWithoutBeingAttached(_ directory: String) throws -> any File {
        let lock = try LinuxFileSystem().open(LogPaths(directory: directory).lock, .read)
        #expect(try lock.tryLock(byte: LogLock.blockingByte, .shared))
        let sidecar = try LogSidecar.attach(directory: directory)
        try sidecar.blockAppends()
        try sidecar.unblockAppends()
        // Its flag stayed, because somebody else holds the byte.
        #expect(try sidecar.reader.blockage != nil)
        sidecar.detach()
        return lock
    }

    @Test func unblockingThatFailedCanBeAskedForAgainAndNeedNotBeAfterDetaching() throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        let sidecar = try LogSidecar.attach(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
        let watcher = try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
        try sidecar.blockAppends()
        fixture.machine.inject(.init(.unlock, on: "/log/lock", errno: 37))
        #expect(throws: WALError.self) { try sidecar.unblockAppends() }
        #expect(try watcher.blockage != nil && sidecar.reader.blockage != nil)
        try sidecar.unblockAppends()
        #expect(try watcher.blockage == nil)
        try log.append([UInt8](repeating: 1, count: 9000))
        try sidecar.blockAppends()
        sidecar.detach()
        try sidecar.unblockAppends()
        #expect(try watcher.blockage == nil)
        try log.append([UInt8](repeating: 1, count: 9000))
        watcher.close()
        try log.close()
    }

    /// The end of the log may be cut off, and its beginning, while appends wait.
    @Test func truncationGoesOnWhileAppendsWait() throws {
        try withTemporaryDirectory { directory in
            let log = try SegmentedLog.open(directory: directory, segmentSize: 4096)
            var lsns: [LSN] = []
            for _ in 0..<11 { lsns.append(try log.append(Self.record)) }
            try log.sync()
            let lock = try blockWithoutBeingAttached(directory)
            let (thread, state) = try appender(log, 4)
            while state.number < 1 { LinuxTimeSource().sleep(nanoseconds: 1_000_000) }
            LinuxTimeSource().sleep(nanoseconds: 2 * LogLimits.blockedLookInterval)
            #expect(state.number == 1, "\(log.endLSN)")
            try log.truncateBefore(lsns[5])
            try log.truncateAfter(lsns[9])
            try eventually("there is room again for two") { state.number == 3 }
            #expect(try waitingAppends(log, directory) == 1)
            lock.close()
            thread.join()
            #expect(state.number == 4)
            try log.close()
        }
    }
}
