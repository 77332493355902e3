import Synchronization
import Testing
import TestSupport
@testable import WAL

/// Batches: one reservation, next to each other, all or nothing after a crash, over every store.
@Suite struct RecordBatchTests {
    private func batch(_ sizes: [Int], from number: Int = 0) -> RecordBatch {
        var batch = RecordBatch()
        for (index, size) in sizes.enumerated() { batch.append(sampleRecord(number + index, count: size)) }
        return batch
    }

    @Test func aBatchIsAFlatBufferOfItsRecords() {
        var batch = RecordBatch()
        #expect(batch.isEmpty && batch.byteCount == 0)
        batch.reserveCapacity(1000)
        batch.append([1, 2, 3])
        batch.append("ab".utf8)
        batch.append([UInt8]().span.bytes)
        [7, 8].withUnsafeBytes { batch.append(UnsafeRawBufferPointer(rebasing: $0[..<5])) }
        #expect(batch.count == 4 && batch.byteCount == 3 + 2 + 0 + 5 + 4 * 8 && batch.longestRecord == 5)
        batch.removeAll(keepingCapacity: true)
        #expect(batch.isEmpty && batch.byteCount == 0 && batch.count == 0 && batch.longestRecord == 0)
    }

    @Test(arguments: StoreKind.allCases)
    func recordsOfABatchAreNeighboursAndFlagged(_ kind: StoreKind) throws {
        try kind.run { place in
            var log = try place.open()
            try log.append([9])
            let lsns = try log.append(batch: batch([3, 0, 20]))
            #expect(lsns == [LSN(9), LSN(20), LSN(28)])
            #expect(try log.append([5]) == LSN(56))
            for round in 0..<2 {
                let records = try log.records()
                #expect(records.map(\.lsn) == [.zero] + lsns + [LSN(56)], "round \(round)")
                #expect(records.map(\.continuesBatch) == [false, true, true, false, false])
                #expect(records[1...3].map(\.data) == [sampleRecord(0, count: 3), [], sampleRecord(2, count: 20)])
                try log.close()
                log = try place.open()
            }
            try log.close()
        }
    }

    @Test(arguments: StoreKind.allCases)
    func anEmptyBatchDoesNothing(_ kind: StoreKind) async throws {
        try await kind.run { place in
            let log = try place.open()
            #expect(try log.append(batch: RecordBatch()) == [])
            #expect(try await log.appendAndSync(batch: RecordBatch()) == [])
            #expect(log.isEmpty)
            let lsns = try await log.appendAndSync(batch: batch([1, 2]))
            #expect(log.durableLSN == LSN(19) && lsns == [.zero, LSN(9)])
            #expect(try synchronously { try log.appendAndSync(batch: batch([1])) } == [LSN(19)])
            #expect(log.durableLSN == LSN(28))
            try log.close()
        }
    }

    /// The compiler takes the async form in async code.
    private func synchronously<T>(_ body: () throws -> T) rethrows -> T { try body() }

    /// Batches that end around every boundary, that fill several segments, and that take the path of records that are not mapped whole.
    @Test(arguments: StoreKind.allCases)
    func batchesOfEveryShapeAreFoundAfterReopening(_ kind: StoreKind) throws {
        let shapes: [[Int]] = [
            [4088, 4088], [4080, 0, 0], [1], [0, 4072, 0, 8176], [100, 200, 4096 * 3, 50], Array(repeating: 30, count: 900),
            [6 * 4096, 10, 10, 6 * 4096 - 8], [40_000], Array(repeating: 4088, count: 9), [0, 0, 9 * 4096, 0], [1 << 20, 0], [3],
        ]
        try kind.run { place in
            var log = try place.open()
            var expected: [(LSN, [UInt8])] = []
            for (index, shape) in shapes.enumerated() {
                let lsns = try log.append(batch: batch(shape, from: index * 1000))
                expected += zip(lsns, shape.indices).map { ($0, sampleRecord(index * 1000 + $1, count: shape[$1])) }
                expected.append((try log.append([UInt8(index)]), [UInt8(index)]))
            }
            for round in 0..<3 {
                let records = try log.records()
                #expect(records.map(\.lsn) == expected.map(\.0), "round \(round)")
                for (record, (lsn, data)) in zip(records, expected) where record.data != data { Issue.record("record at \(lsn), round \(round)") }
                for (lsn, _) in expected where lsn.rawValue % 37 == 0 { #expect(try log.iterFrom(lsn, upTo: .written).first { _ in true }?.get().lsn == lsn) }
                try log.close()
                log = try place.open()
                #expect(log.recoveryReport.bytesDiscarded == 0)
            }
            try log.close()
        }
    }

    @Test(arguments: StoreKind.allCases)
    func whatIsTooLargeChangesNothing(_ kind: StoreKind) throws {
        try kind.run { place in
            let log = try place.open(LogConfiguration(maxRecordSize: 100))
            #expect(throws: WALError.recordTooLarge(count: 101, max: 100)) { try log.append(batch: batch([5, 101, 5])) }
            #expect(log.endLSN == .zero)
            #expect(try log.append(batch: batch([100, 100])).count == 2)
            try log.close()
            #expect(throws: WALError.stopped(cause: .closed)) { try log.append(batch: batch([1])) }
            #expect(throws: WALError.stopped(cause: .closed)) { try log.append(batch: batch([50, 60])) }
        }
    }

    @Test func aBatchHasALimitOfItsOwnUnlessOneRecordMayBeLonger() throws {
        var long = RecordBatch()
        let record = [UInt8](repeating: 1, count: 1 << 20)
        while long.byteCount <= LogLimits.batchSizeMax { long.append(record) }
        let size = long.byteCount
        let store = MemoryStore()
        var log = try MemoryLog(store: store, configuration: LogConfiguration(maxRecordSize: 1 << 20))
        #expect(throws: WALError.recordTooLarge(count: size, max: LogLimits.batchSizeMax)) { try log.append(batch: long) }
        #expect(log.endLSN == .zero)
        try log.close()
        log = try MemoryLog(store: store, configuration: LogConfiguration(maxRecordSize: 100 << 20))
        #expect(try log.append(batch: long).count == 64)
        try log.close()
    }

    @Test(arguments: StoreKind.allCases)
    func truncationStopsAtTheStartOfABatch(_ kind: StoreKind) throws {
        try kind.run { place in
            let log = try place.open()
            for number in 0..<20 { try log.append(sampleRecord(number, count: 300)) }
            let lsns = try log.append(batch: batch(Array(repeating: 1000, count: 20)))
            let after = try log.append([1])
            try log.sync()
            for lsn in [lsns[1], lsns[7].advanced(by: 3), lsns[19], after.advanced(by: 0)] {
                let head = try log.truncateBefore(lsn)
                #expect(head == (lsn == after ? after : lsns[0]))
                if lsn == lsns[1] {
                    try log.pin("inside", at: lsns[5])
                    #expect(try log.truncateBefore(after) == lsns[0], "a pin inside of a batch keeps all of it")
                    try log.unpin("inside")
                }
            }
            try log.close()
        }
    }

    /// The machine dies with each prefix of the log's calls; what is found is whole batches only.
    @Test func afterACrashABatchIsThereWholeOrNotAtAll() throws {
        for seed in UInt64(1)...40 {
            var random = SeededGenerator(seed: seed)
            let machine = SimulatedFileSystem()
            let fixture = LogFixture(machine, directory: "/log")
            let log = try fixture.open()
            var ends: [LSN] = [.zero]
            for number in 0..<12 {
                let sizes = (0..<Int.random(in: 1...6, using: &random)).map { _ in Int.random(in: 0...2500, using: &random) }
                try log.append(batch: batch(sizes, from: number * 10))
                ends.append(log.endLSN)
                if number == 5 { try log.sync() }
            }
            let crashed = LogFixture(machine.crash(seed: seed, directories: .anyOrder), directory: "/log")
            let again = try crashed.open()
            #expect(again.endLSN >= ends[6] && ends.contains(again.endLSN), "seed \(seed): end \(again.endLSN), batches end at \(ends)")
            #expect(try again.records().last?.continuesBatch != true, "seed \(seed)")
            try again.close()
            try log.close()
        }
    }

    @Test(arguments: StoreKind.allCases)
    func watermarksNeverLieInsideABatch(_ kind: StoreKind) throws {
        try kind.run { place in
            let log = try place.open()
            let shared = log
            let done = Atomic(0)
            let problems = Recorder<String>()
            onThreads(4) { thread in
                do {
                    if thread < 3 {
                        defer { done.add(1, ordering: .sequentiallyConsistent) }
                        for number in 0..<100 {
                            let sizes = (0..<(number % 7 + 1)).map { ($0 * 37 + thread * 11) % 400 }
                            try shared.append(batch: self.batch(sizes, from: number))
                            if number % 9 == thread { try shared.sync() }
                        }
                    } else {
                        while done.load(ordering: .sequentiallyConsistent) < 3 {
                            for limit in [AnyLog.ReadLimit.written, .durable] {
                                if try shared.records(upTo: limit).last?.continuesBatch == true { problems.append("\(limit) ends inside a batch") }
                            }
                        }
                    }
                } catch {
                    problems.append("\(error)")
                }
            }
            #expect(problems.values.isEmpty, "\(problems.values.prefix(3))")
            try log.close()
        }
    }

    /// Without the writer's live page a reader goes by a destination's checkpoint, which may lie inside a batch.
    @Test func aReaderAfterPowerLossNeverEndsInsideABatch() throws {
        let machine = SimulatedFileSystem()
        let fixture = LogFixture(machine)
        let log = try fixture.open()
        let lsns = try log.append(batch: batch(Array(repeating: 500, count: 12)))
        try log.sync()
        let sidecar = try LogSidecar.attach(directory: fixture.directory, fileSystem: machine, time: SimulatedTimeSource())
        let state = SlotState(kind: .destination, logID: log.logID, position: .zero, epoch: log.epochs.current.id)
        let slot = try sidecar.takeSlot("d") { () throws(WALError) in state }
        // The first segment is archived; its end lies inside the batch.
        try slot.update { $0.archived = LSN(4096) }
        try slot.settle()
        slot.close()
        sidecar.detach()
        try log.close()
        // Facts and feet say nothing: only the checkpoint does.
        let other = LogFixture(machine.crash(choosing: KeepEverything()))
        try other.forgetDurability()
        let reader = try LogReader.open(directory: other.directory, fileSystem: other.machine, time: SimulatedTimeSource())
        let durable = try reader.durableLSN
        #expect(durable == lsns[11].advanced(by: 508))
        reader.close()
    }
}

extension LogFixture {
    /// Sets the facts' floor back to 0 and empties the feet's cells, as where none of them had been written yet.
    func forgetDurability() throws {
        let path = path("control")
        for page in 1...2 {
            var facts = try Facts.decode(Array(try machine.contents(path)[page * 4096..<(page + 1) * 4096]), page: page)
            facts.floor = .zero
            try write(facts.encode(), path, at: UInt64(page * 4096))
        }
        for name in try machine.list(directory) where SegmentName(fileName: name) != nil {
            let zeros = [UInt8](repeating: 0, count: 512)
            for sequence in UInt64(0)..<2 {
                try write(zeros, self.path(name), at: Self.segmentSize + UInt64(SegmentFoot.durableOffset(ofSequence: sequence)))
            }
        }
    }
}
