import Synchronization
import Testing
import WAL

/// A store of one's own under the log, with nothing but what is public.
@Suite struct UserStoreTests {
    private func record(_ number: Int) -> [UInt8] { [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: number % 700) }

    private func records<Store: LogStore>(_ log: WriteAheadLog<Store>) throws -> [[UInt8]] { try log.iter(upTo: .written).map { try $0.get().data } }

    @Test func whatIsSyncedIsThereAfterReopening() throws {
        let store = ArrayStore()
        var log = try WriteAheadLog(store: store)
        for number in 0..<200 { try log.append(record(number)) }
        try log.sync()
        // Larger than what is mapped of so small segments, and a batch.
        let large = [UInt8](repeating: 9, count: 50_000)
        try log.append(large)
        var batch = RecordBatch()
        for number in 200..<300 { batch.append(record(number)) }
        let lsns = try log.appendAndSync(batch: batch)
        let expected = (0..<200).map(record) + [large] + (200..<300).map(record)
        #expect(try records(log) == expected)
        #expect(try log.iterFrom(lsns[70]).first { _ in true }?.get().data == record(270))
        try log.close()
        for _ in 0..<3 {
            log = try WriteAheadLog(store: store)
            #expect(try records(log) == expected)
            #expect(log.durableLSN == log.endLSN)
            try log.close()
        }
    }

    @Test func whatIsNotSyncedIsGoneWithTheProcess() throws {
        let store = ArrayStore()
        do {
            let log = try WriteAheadLog(store: store)
            for number in 0..<100 { try log.append(record(number)) }
            try log.sync()
            try log.append(record(7))
        }
        let log = try WriteAheadLog(store: store)
        #expect(try records(log) == (0..<100).map(record))
        try log.append(record(8))
        try log.sync()
        #expect(try records(log).last == record(8))
        try log.close()
    }

    @Test func bothEndsAreTruncatedAtBoundaries() throws {
        let store = ArrayStore()
        var log = try WriteAheadLog(store: store)
        let lsns = try (0..<200).map { try log.append(record($0)) }
        try log.sync()
        #expect(try log.truncateBefore(lsns[80].advanced(by: 3)) == lsns[80])
        try log.pin("held", at: lsns[90])
        #expect(try log.truncateBefore(lsns[100]) == lsns[90])
        try log.truncateAfter(lsns[150])
        #expect(log.endLSN == lsns[151] && log.epochs.current.number == 2)
        try log.append(record(500))
        try log.sync()
        for _ in 0..<2 {
            #expect(try records(log) == (90...150).map(record) + [record(500)])
            #expect(log.iterFrom(lsns[3]).map { $0 } .count == 1)
            try log.close()
            log = try WriteAheadLog(store: store)
        }
        #expect(throws: WALError.positionLost(head: lsns[90])) { try log.truncateAfter(lsns[2]) }
        try log.unpin("held")
        #expect(try log.truncateBefore(log.endLSN) == log.endLSN)
        #expect(log.isEmpty)
        try log.close()
    }

    @Test func errorsOfTheStoreAreTheLogs() async throws {
        let store = ArrayStore()
        let log = try WriteAheadLog(store: store, configuration: LogConfiguration(maxRecordSize: 10_000))
        #expect(throws: WALError.self) { try WriteAheadLog(store: store) }
        try log.append(record(1))
        try await log.sync()
        store.state.withLock { $0.room = 1 }
        #expect(throws: WALError.noSpace(path: "the arrays")) { try log.append([UInt8](repeating: 1, count: 5000)) }
        store.state.withLock { $0.room = .max }
        try log.append([UInt8](repeating: 1, count: 5000))
        store.state.withLock { $0.flushesFail = true }
        await #expect(throws: WALError.self) { try await log.sync() }
        #expect(throws: WALError.self) { try log.append(record(2)) }
        #expect(log.durableLSN == LSN(9))
        #expect(throws: WALError.self) { try log.close() }
        store.state.withLock { $0.flushesFail = false }
        #expect(throws: WALError.parameterMismatch(parameter: "maximum record size", stored: "10000", requested: "100")) {
            try WriteAheadLog(store: store, configuration: LogConfiguration(maxRecordSize: 100))
        }
        let again = try WriteAheadLog(store: store)
        #expect(try records(again) == [record(1)])
        try again.close()
    }

    @Test func itIsFollowedAndWaitedForLikeAnyOther() async throws {
        let log = try WriteAheadLog(store: ArrayStore())
        let follower = Task {
            var seen: [[UInt8]] = []
            for try await record in log.follow(from: log.headLSN) {
                seen.append(record.data)
                if seen.count == 300 { break }
            }
            return seen
        }
        for number in 0..<300 {
            try log.append(record(number))
            if number % 10 == 9 { try await log.sync() }
        }
        #expect(try await follower.value == (0..<300).map(record))
        try log.close()
    }
}
