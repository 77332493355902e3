import Glibc
import Testing
import TestSupport
@testable import WAL

/// Following and waiting from outside the process that writes: woken through the live page, never above durable, across writers.
@Suite(.timeLimit(.minutes(1))) struct LogReaderFollowTests {
    private func reader(_ fixture: LogFixture) throws -> LogReader {
        try LogReader.open(directory: fixture.directory, fileSystem: fixture.machine, time: LinuxTimeSource())
    }

    @Test func aReaderFollowsAcrossWriters() async throws {
        let fixture = LogFixture()
        var log = try fixture.open()
        let reader = try reader(fixture)
        let follower = Task {
            var seen: [[UInt8]] = []
            for try await record in reader.follow(from: .zero) {
                if record.endLSN > (try reader.durableLSN) { Issue.record("above durable") }
                seen.append(record.data)
                if seen.count == 300 { break }
            }
            return seen
        }
        for number in 0..<300 {
            try log.append(sampleRecord(number, count: number % 500))
            if number % 9 == 0 { try await log.sync() }
            if number % 100 == 99 {
                try log.close()
                log = try fixture.open()
            }
        }
        try log.close()
        #expect(try await follower.value == (0..<300).map { sampleRecord($0, count: $0 % 500) })
        reader.close()
    }

    @Test func aClosedReaderSaysSo() async throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        for number in 0..<100 { try log.append(sampleRecord(number, count: 100)) }
        try await log.sync()
        let reader = try reader(fixture)
        let early = reader.iter()
        var iterator = early.makeIterator()
        #expect(try iterator.next()?.get().lsn == .zero)
        // Whoever follows asks for the position after the greatest one, too.
        let follower = Task { for try await _ in reader.follow(from: LSN(.max)) {} }
        reader.close()
        reader.close()
        try await follower.value
        for try await _ in reader.follow(from: .zero) { Issue.record("followed a closed reader") }
        // The end of the log may be cut off now.
        try log.truncateAfter(.zero)
        let closed = WALError.stopped(cause: .closed)
        #expect(throws: closed) { try reader.durableLSN }
        #expect(throws: closed) { try reader.headLSN }
        #expect(throws: closed) { try reader.writtenLSN }
        #expect(throws: closed) { try reader.waitUntilDurable(LSN(.max), timeout: .seconds(60)) }
        #expect(throws: closed) { try reader.recordBoundary(atOrBelow: .zero) }
        #expect(throws: closed) { try reader.batchBoundary(atOrBelow: .zero) }
        #expect(throws: closed) { try reader.verifiedRange(.zero..<LSN(108)) }
        for sequence in [reader.iter(), early] {
            #expect(throws: closed) { for record in sequence { _ = try record.get() } }
        }
        _ = (reader.incarnation, reader.isStopped)
        try log.close()
    }

    @Test func aBoundaryBelowTheHeadIsLost() async throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        var lsns: [LSN] = []
        for number in 0..<200 { lsns.append(try log.append(sampleRecord(number, count: 100))) }
        try await log.sync()
        let head = try log.truncateBefore(lsns[150])
        let reader = try reader(fixture)
        for lsn in [LSN.zero, lsns[149], head] {
            if lsn == head {
                #expect(try reader.recordBoundary(atOrBelow: lsn) == head)
                #expect(try reader.batchBoundary(atOrBelow: lsn) == head)
            } else {
                #expect(throws: WALError.positionLost(head: head)) { try reader.recordBoundary(atOrBelow: lsn) }
                #expect(throws: WALError.positionLost(head: head)) { try reader.batchBoundary(atOrBelow: lsn) }
            }
        }
        reader.close()
        try log.close()
    }

    @Test func waitsAreWokenAndEndWithTheWriter() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/log"
            let log = try SegmentedLog.open(directory: path, segmentSize: 4096)
            let reader = try LogReader.open(directory: path)
            #expect(try !reader.waitUntilDurable(LSN(9), timeout: .milliseconds(1)))
            let waiting = Task { try await reader.waitUntilDurable(LSN(9)) }
            try await log.appendAndSync([1])
            try await waiting.value
            #expect(try reader.waitUntilDurable(LSN(9), timeout: .zero))
            let cancelled = Task { try await reader.waitUntilDurable(LSN(100)) }
            cancelled.cancel()
            await #expect(throws: WALError.cancelled) { try await cancelled.value }
            let orphan = Task { try await reader.waitUntilDurable(LSN(100)) }
            try log.close()
            await #expect(throws: WALError.stopped(cause: .noWriter)) { try await orphan.value }
            let ending = Task { for try await _ in reader.follow(from: LSN(9)) {} }
            let refused = Task { try await reader.waitUntilDurable(LSN(100)) }
            await #expect(throws: WALError.stopped(cause: .noWriter)) { try await refused.value }
            reader.close()
            try await ending.value
        }
    }

    @Test func aStoppedWriterIsReported() async throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        let reader = try reader(fixture)
        try log.append([1])
        fixture.machine.inject(.init(.sync, on: "*.wal", errno: 5))
        await #expect(throws: WALError.self) { try await log.sync() }
        await #expect(throws: WALError.stopped(cause: .writerFailed)) { try await reader.waitUntilDurable(LSN(9)) }
        reader.close()
        try? log.close()
    }

    @Test func truncationThatIsFasterIsAnErrorForOtherProcesses() async throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        let lsns = try (0..<3000).map { try log.append(sampleRecord($0, count: 300)) }
        try await log.sync()
        let reader = try reader(fixture)
        var iterator = reader.follow(from: .zero).makeAsyncIterator()
        #expect(try await iterator.next()?.lsn == .zero)
        let head = try log.truncateBefore(lsns[2500])
        await #expect(throws: WALError.positionLost(head: head)) { while try await iterator.next() != nil {} }
        reader.close()
        try log.close()
    }

    @Test func anIterationInAnotherProcessThatTruncationOvertakesSaysSo() throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        let lsns = try (0..<5000).map { try log.append(sampleRecord($0, count: 300)) }
        try log.sync()
        let reader = try reader(fixture)
        var iterator = reader.iter().makeIterator()
        #expect(try iterator.next()?.get().lsn == .zero)
        let head = try log.truncateBefore(lsns[4900])
        var seen = 1
        #expect(throws: WALError.positionLost(head: head)) {
            while let element = iterator.next() {
                if try element.get().lsn != lsns[seen] { Issue.record("not record \(seen)") }
                seen += 1
            }
        }
        #expect(seen < 4900 && iterator.next() == nil)
        reader.close()
        try log.close()
    }

    /// A restored log on a medium that is read-only has no lock file, and none can be made.
    @Test func aReadOnlyDirectoryIsReadable() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill(30)
        try fixture.machine.unlink(fixture.path("lock"))
        for code in [EROFS, EACCES] {
            fixture.machine.inject(.init(.open, on: "*/lock", errno: code))
            let reader = try reader(fixture)
            #expect(try reader.iter().map { try $0.get().lsn } == lsns)
            reader.close()
            fixture.machine.removeFaults()
        }
    }
}
