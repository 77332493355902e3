import Synchronization
import Testing
import TestSupport
@testable import WAL

/// Followers in the process that writes: durable records, in order, whole batches, and an end for every wait.
@Suite(.timeLimit(.minutes(1))) struct FollowTests {
    @Test(arguments: StoreKind.allCases)
    func severalFollowersSeeEveryRecordOnce(_ kind: StoreKind) async throws {
        try await kind.run { place in
            let log = try place.open()
            let count = 600
            let followers = (0..<3).map { _ in
                Task {
                    var seen: [[UInt8]] = []
                    for try await record in log.follow(from: .zero) {
                        if record.endLSN > log.durableLSN { Issue.record("above durable: \(record.lsn)") }
                        seen.append(record.data)
                        if seen.count == count { break }
                    }
                    return seen
                }
            }
            for number in 0..<count {
                try log.append(sampleRecord(number, count: number % 40 == 9 ? 20_000 : number % 300))
                if number % 7 == 0 { try await log.sync() }
            }
            try await log.sync()
            for follower in followers {
                #expect(try await follower.value == (0..<count).map { sampleRecord($0, count: $0 % 40 == 9 ? 20_000 : $0 % 300) })
            }
            try log.close()
        }
    }

    @Test(arguments: StoreKind.allCases)
    func theGreatestPositionOfAllIsWaitedForAsAnyOther(_ kind: StoreKind) async throws {
        try await kind.run { place in
            let log = try place.open()
            let follower = Task { for try await _ in log.follow(from: LSN(.max)) {} }
            let cancelled = Task { for try await _ in log.follow(from: LSN(.max)) {} }
            try await log.appendAndSync([1])
            #expect(try !log.waitUntilDurable(LSN(.max), timeout: .milliseconds(1)))
            cancelled.cancel()
            await #expect(throws: WALError.cancelled) { try await cancelled.value }
            try log.close()
            try await follower.value
        }
    }

    @Test func onlyDurableRecordsAndWholeBatchesAreHandedOut() async throws {
        let log = try MemoryLog(store: MemoryStore())
        var batch = RecordBatch()
        for number in 0..<5000 { batch.append(sampleRecord(number, count: 10)) }
        try log.append([1])
        var iterator = log.follow(from: .zero).makeAsyncIterator()
        let first = Task {
            var iterator = log.follow(from: .zero).makeAsyncIterator()
            return try await iterator.next()?.data
        }
        try log.append(batch: batch)
        try await log.sync()
        #expect(try await first.value == [1])
        _ = try await iterator.next()
        for number in 0..<5000 { #expect(try await iterator.next()?.data == sampleRecord(number, count: 10)) }
        try log.close()
        #expect(try await iterator.next() == nil)
        #expect(try await iterator.next() == nil)
    }

    @Test func aFollowerAsksForNoFlush() async throws {
        let machine = SimulatedFileSystem()
        let log = try LogFixture(machine).open()
        let seen = Counter()
        let waiting = Task { for try await _ in log.follow(from: .zero) { seen.add() } }
        while log.core.committer.durableWaiters.count == 0 { await Task.yield() }
        for number in 0..<50 { try log.append(sampleRecord(number, count: 20)) }
        #expect(log.durableLSN == .zero)
        try await log.sync()
        while seen.value < 50 { await Task.yield() }
        try log.append([7])
        // Nobody asks: what a flush of others leaves behind is not flushed for a follower either.
        #expect(log.durableLSN < log.endLSN)
        try log.close()
        try await waiting.value
    }

    @Test(arguments: StoreKind.allCases)
    func closingEndsFollowersAndCancellationIsToldApart(_ kind: StoreKind) async throws {
        try await kind.run { place in
            let log = try place.open()
            try await log.appendAndSync([1])
            let ending = Task {
                var count = 0
                for try await _ in log.follow(from: .zero) { count += 1 }
                return count
            }
            let cancelled = Task { for try await _ in log.follow(from: LSN(9)) {} }
            while log.core.committer.durableWaiters.count < 2 { await Task.yield() }
            cancelled.cancel()
            await #expect(throws: WALError.cancelled) { try await cancelled.value }
            try log.close()
            #expect(try await ending.value == 1)
            var late = log.follow(from: .zero).makeAsyncIterator()
            #expect(try await late.next() == nil)
        }
    }

    @Test func aFailedFlushIsToldAfterEverythingDurable() async throws {
        let machine = SimulatedFileSystem()
        let log = try LogFixture(machine).open()
        for number in 0..<3000 { try log.append(sampleRecord(number, count: 5)) }
        try await log.sync()
        var iterator = log.follow(from: .zero).makeAsyncIterator()
        #expect(try await iterator.next()?.lsn == .zero)
        try log.append([9])
        machine.inject(.init(.sync, on: "*.wal", errno: 5))
        await #expect(throws: WALError.self) { try await log.sync() }
        for _ in 1..<3000 { #expect(try await iterator.next() != nil) }
        do {
            _ = try await iterator.next()
            Issue.record("went on after the log had stopped")
        } catch WALError.stopped(cause: .flushFailed) {}
        try? log.close()
    }

    @Test(arguments: StoreKind.allCases)
    func truncationThatIsFasterIsAnError(_ kind: StoreKind) async throws {
        try await kind.run { place in
            let log = try place.open()
            let lsns = try (0..<5000).map { try log.append(sampleRecord($0, count: 300)) }
            try await log.sync()
            var iterator = log.follow(from: lsns[0]).makeAsyncIterator()
            #expect(try await iterator.next()?.lsn == lsns[0])
            let head = try log.truncateBefore(lsns[4000])
            // What had been read already is handed out; then it is said.
            await #expect(throws: WALError.positionLost(head: head)) { while try await iterator.next() != nil {} }
            #expect(try await iterator.next() == nil)
            var below = log.follow(from: lsns[1]).makeAsyncIterator()
            await #expect(throws: WALError.positionLost(head: head)) { try await below.next() }
            var there = log.follow(from: head).makeAsyncIterator()
            #expect(try await there.next()?.lsn == head)
            try log.close()
        }
    }

    @Test func aDamagedRecordIsNeverPassedOver() async throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill(60)
        let log = try fixture.open(LogConfiguration(recoveryPolicy: .skipBadRecords))
        try fixture.write([0xEE], fixture.segment(0), at: lsns[5].rawValue + 30)
        var seen = 0
        do {
            for try await _ in log.follow(from: .zero) { seen += 1 }
            Issue.record("ended")
        } catch WALError.corruption(let lsn, _) { #expect(lsn == lsns[5] && seen == 5) }
        try log.close()
    }

    /// A follower at or below the new end goes on with what is written there then; one past it is told.
    @Test(arguments: StoreKind.allCases)
    func cuttingOffTheEndIsNeverFollowedByWhatWasCut(_ kind: StoreKind) async throws {
        try await kind.run { place in
            let log = try place.open()
            let lsns = try (0..<100).map { try log.append(sampleRecord($0, count: 50)) }
            try await log.sync()
            let early = log.follow(from: .zero)
            var below = early.makeAsyncIterator()
            var past = early.makeAsyncIterator()
            for _ in 0..<10 { #expect(try await below.next() != nil) }
            for _ in 0..<60 { #expect(try await past.next() != nil) }
            try log.truncateAfter(lsns[39])
            for number in 100..<160 { try log.append(sampleRecord(number, count: 60)) }
            try await log.sync()
            for number in Array(10..<40) + Array(100..<160) {
                #expect(try await below.next()?.data == sampleRecord(number, count: number < 100 ? 50 : 60))
            }
            await #expect(throws: WALError.positionLost(head: .zero)) { try await past.next() }
            #expect(try await past.next() == nil)
            // The sequence was made before the cut, and nothing of what was cut off was handed out.
            var late = early.makeAsyncIterator()
            for number in Array(0..<40) + Array(100..<160) {
                #expect(try await late.next()?.data == sampleRecord(number, count: number < 100 ? 50 : 60))
            }
            try log.close()
        }
    }

    @Test(arguments: StoreKind.allCases)
    func followersThatWaitAreToldOfACut(_ kind: StoreKind) async throws {
        try await kind.run { place in
            let log = try place.open()
            let lsns = try (0..<20).map { try log.append(sampleRecord($0, count: 50)) }
            let end = try await log.sync()
            let lost = Task { for try await _ in log.follow(from: end) {} }
            let going = Task {
                var iterator = log.follow(from: lsns[10]).makeAsyncIterator()
                return try await iterator.next()?.data
            }
            #expect(try await going.value == sampleRecord(10, count: 50))
            while log.core.committer.durableWaiters.count == 0 { await Task.yield() }
            try log.truncateAfter(lsns[9])
            await #expect(throws: WALError.positionLost(head: .zero)) { try await lost.value }
            let waiting = Task {
                var iterator = log.follow(from: lsns[10]).makeAsyncIterator()
                return try await iterator.next()?.data
            }
            try log.append([1, 2])
            try await log.sync()
            #expect(try await waiting.value == [1, 2])
            try log.close()
        }
    }

    /// Cuts beside followers that read: no record of the cut part after `truncateAfter` has returned, and no other error than the loss.
    @Test(arguments: StoreKind.allCases)
    func cutsBesideReadingFollowersAreToldAsWhatTheyAre(_ kind: StoreKind) async throws {
        try await kind.run { place in
            let log = try place.open()
            let generation = Counter()
            let isOver = Counter()
            let followers = (0..<2).map { _ in
                Task {
                    while isOver.value == 0 {
                        do {
                            var iterator = log.follow(from: .zero).makeAsyncIterator()
                            while true {
                                let asked = generation.value
                                guard let record = try await iterator.next() else { return }
                                // The first byte says when the record was written, the second whether it was kept.
                                let data = record.data
                                if data[1] == 0 && Int(data[0]) < asked { Issue.record("cut off before \(asked): \(data[0])") }
                            }
                        } catch WALError.positionLost {}
                    }
                }
            }
            for round in 0..<30 {
                let kept = try log.append([UInt8(round), 1])
                for _ in 0..<50 { try log.append([UInt8(round), 0] + [UInt8](repeating: 7, count: 100)) }
                try await log.sync()
                for _ in 0..<round % 5 { await Task.yield() }
                try log.truncateAfter(kept)
                generation.add()
            }
            isOver.add()
            try log.close()
            for follower in followers { try await follower.value }
        }
    }

    /// Closing at any moment beside followers that read: each ends, nothing traps.
    @Test(arguments: StoreKind.allCases)
    func closingBesideReadingFollowersHarmsNobody(_ kind: StoreKind) async throws {
        for round in 0..<15 {
            try await kind.run { place in
                let log = try place.open()
                for number in 0..<300 { try log.append(sampleRecord(number, count: 100)) }
                try await log.sync()
                let followers = (0..<3).map { _ in
                    Task {
                        var last: LSN?
                        for try await record in log.follow(from: .zero) {
                            if let last, record.lsn <= last { Issue.record("\(record.lsn) after \(last)") }
                            last = record.lsn
                        }
                    }
                }
                for _ in 0..<round * 3 { await Task.yield() }
                try log.close()
                for follower in followers { try await follower.value }
            }
        }
    }
}

private final class Counter: Sendable {
    private let count = Atomic(0)
    var value: Int { count.load(ordering: .acquiring) }
    func add() { count.add(1, ordering: .releasing) }
}
