import Testing
import TestSupport
@testable import WAL

/// The end of a log is cut off, or it is not: what remains, what is refused, and who is told.
@Suite struct TruncateAfterTests {
    private func lengths(_ count: Int) -> [Int] { (0..<count).map { [200, 0, 3800, 17, 9000, 640, 4088][$0 % 7] } }

    @Test func truncateAfterBelowTheHeadIsRefusedAndTruncateBeforeGoesOn() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill(100)
        let log = try fixture.open()
        try log.truncateBefore(lsns[40])
        #expect(throws: WALError.positionLost(head: lsns[40])) { try log.truncateAfter(lsns[39]) }
        #expect(throws: WALError.positionLost(head: lsns[40])) { try log.truncateAfter(.zero) }
        #expect(try log.truncateBefore(lsns[50]) == lsns[50])
        try log.truncateAfter(lsns[50])
        #expect(try log.truncateBefore(log.endLSN) == lsns[51])
        #expect(log.isEmpty && log.headLSN == lsns[51])
        // The record that the log would end with is not there any more.
        #expect(throws: WALError.positionLost(head: lsns[51])) { try log.truncateAfter(lsns[50]) }
        #expect(try log.append([1]) == lsns[51])
        try log.close()
        let again = try fixture.open(.init(verify: .full))
        #expect(try again.records().map(\.data) == [[1]])
        try again.close()
    }

    @Test func aReaderOrASidecarKeepsTheEndWhereItIs() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill()
        let log = try fixture.open()
        let before = try fixture.contents()
        let reader = try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
        #expect { try log.truncateAfter(lsns[5]) } throws: { ($0 as? WALError)?.isLocked ?? false }
        reader.close()
        let sidecar = try LogSidecar.attach(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
        #expect { try log.truncateAfter(lsns[5]) } throws: { ($0 as? WALError)?.isLocked ?? false }
        sidecar.detach()
        #expect(try fixture.contents() == before)
        try log.truncateAfter(lsns[5])
        #expect(log.endLSN == lsns[6])
        // And none of it keeps readers away afterwards.
        let after = try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
        #expect(try after.durableLSN == lsns[6] && after.epochs.current.number == 2)
        #expect(try after.iter().map { try $0.get().lsn } == Array(lsns[...5]))
        after.close()
        try log.close()
    }

    /// A checkpoint, each range in flight, and what was archived: whichever reaches above the end.
    @Test func aSlotThatReachesAboveTheEndRefuses() throws {
        let changes: [(String, (inout SlotState, LSN) -> Void)] = [
            ("position", { $0.position = $1 }), ("archived", { $0.archived = $1 }), ("segments started", { $0.segmentsStarted = $1 }),
            ("in flight", { $0.levels[2].inFlight = .zero..<$1 }),
            ("last object", { $0.lastSegment = .init(digest: Bytes16(high: 1, low: 1), range: .zero..<$1) }), ("gap", { $0.gaps = [SlotGap(range: .zero..<$1, time: 0, reason: "")] }),
        ]
        for (name, change) in changes {
            let fixture = LogFixture()
            let lsns = try fixture.fill()
            let log = try fixture.open()
            func set(_ lsn: LSN) throws {
                let sidecar = try LogSidecar.attach(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
                defer { sidecar.detach() }
                let slot = try sidecar.takeSlot("d-0") { () throws(WALError) in
                    SlotState(kind: .destination, logID: log.logID, position: .zero, epoch: log.epochs.current.id)
                }
                defer { slot.close() }
                try slot.update { change(&$0, lsn) }
                try slot.settle()
            }
            try set(lsns[11])
            #expect("\(name)") { try log.truncateAfter(lsns[9]) } throws: { ($0 as? WALError)?.isLocked ?? false }
            #expect(log.endLSN.rawValue == UInt64(lsns.count) * 208 && log.epochs.current.number == 1)
            try log.truncateAfter(lsns[10])
            #expect(log.endLSN == lsns[11], "\(name)")
            try fixture.machine.damage("/log/slots/d-0", at: 100, xor: 1)
            try fixture.machine.damage("/log/slots/d-0", at: 4196, xor: 1)
            #expect("a slot that cannot be read") { try log.truncateAfter(lsns[9]) } throws: { ($0 as? WALError)?.isLocked ?? false }
            try log.close()
        }
    }

    @Test func iteratorsEndWhereTheLogWasCutOrAreToldThatTheyWentTooFar() throws {
        try StoreKind.allCases.forEach { kind in
            try kind.run { place in
                let log = try place.open()
                let lsns = try (0..<200).map { try log.append(sampleRecord($0, count: 300)) }
                try log.sync()
                let (behind, fresh) = (log.iter(), log.iter())
                var (at, past) = (log.iter().makeIterator(), log.iter().makeIterator())
                for _ in 0...100 { _ = try at.next()?.get() }
                for _ in 0...101 { _ = try past.next()?.get() }
                try log.truncateAfter(lsns[100])
                let others = try (0..<200).map { try log.append(sampleRecord(1000 + $0, count: 100)) }
                try log.sync()
                #expect(try at.next()?.get().lsn == nil, "\(kind)")
                #expect(throws: WALError.positionLost(head: .zero)) { try past.next()?.get() }
                #expect(try past.next()?.get().lsn == nil)
                #expect(try behind.map { try $0.get().lsn } == Array(lsns[...100]), "\(kind)")
                #expect(try fresh.first { _ in true }?.get().lsn == .zero)
                #expect(try log.records().map(\.lsn) == Array(lsns[...100]) + others)
                // Cut again below, then above: what began first still ends at the lowest.
                try log.truncateAfter(lsns[50])
                for number in 0..<50 { try log.append(sampleRecord(number, count: 300)) }
                try log.truncateAfter(lsns[70])
                #expect(try behind.map { try $0.get().lsn } == Array(lsns[...50]))
                try log.close()
            }
        }
    }

    @Test func whoeverWaitsForWhatIsCutOffIsTold() async throws {
        try await StoreKind.segmentsOnSimulation.run { place async throws in
            let log = try place.open()
            let lsns = try (0..<30).map { try log.append(sampleRecord($0, count: 300)) }
            let end = try await log.sync()
            let waiting = Task { () async throws -> Void in try await log.waitUntilDurable(end.advanced(by: 100)) }
            // It has begun to wait, or will: either way it ends.
            for _ in 0..<20 { await Task.yield() }
            try log.truncateAfter(lsns[10])
            #expect(log.durableLSN == lsns[11] && log.writtenLSN == lsns[11] && log.endLSN == lsns[11])
            let another = Task { () async throws -> Void in try await log.waitUntilDurable(lsns[12]) }
            _ = try log.append(sampleRecord(1, count: 5000))
            _ = try await log.sync()
            try await another.value
            if case .failure(let error) = await waiting.result {
                #expect(error as? WALError == .positionLost(head: .zero))
            }
            try log.close()
        }
    }

    @Test(arguments: [StoreKind.memory, .segmentsOnSimulation])
    func whoeverWaitsForRecordsToComeIsToldThatTheLogWasCutBelowThem(_ kind: StoreKind) async throws {
        try await kind.run { place async throws in
            let log = try place.open()
            let lsns = try (0..<30).map { try log.append(sampleRecord($0, count: 300)) }
            let target = try await log.sync().advanced(by: 1000)
            // Runs at once, until it waits.
            let waiting = Task.immediate { () async throws -> Void in try await log.waitUntilDurable(target) }
            try log.truncateAfter(lsns[10])
            try log.append([1])
            _ = try await log.sync()
            #expect(log.endLSN < target)
            await #expect(throws: WALError.positionLost(head: .zero)) { try await waiting.value }
            // Who asks now waits for the records that come now.
            let anew = Task.immediate { () async throws -> Void in try await log.waitUntilDurable(target) }
            while log.endLSN < target { try log.append(sampleRecord(7, count: 300)) }
            _ = try await log.sync()
            try await anew.value
            try log.close()
        }
    }

    @Test func commitTimesOfWhatWasCutOffAreForgotten() throws {
        let fixture = LogFixture()
        let time = SimulatedTimeSource()
        let log = try fixture.open(time: time)
        var lsns: [LSN] = []
        for number in 0..<60 {
            lsns.append(try log.append(sampleRecord(number, count: 200)))
            time.advance(nanoseconds: 1_500_000_000)
            try log.sync()
        }
        func noted() throws -> [LSN] {
            try (0..<4 as Range<UInt64>).flatMap { index -> [LSN] in
                let path = "/log/" + SegmentName(index: index).timesName
                guard try fixture.machine.status(path) != nil else { return [] }
                return try TimeIndexDecoder.decode(try fixture.machine.contents(path), expecting: log.logID, index: index).entries.map(\.lsn)
            }
        }
        #expect(try noted().count > 50)
        try log.truncateAfter(lsns[25])
        #expect(try noted().max() == lsns[26])
        for number in 0..<20 {
            try log.append(sampleRecord(number, count: 77))
            time.advance(nanoseconds: 1_500_000_000)
            try log.sync()
        }
        let after = try noted()
        #expect(after == after.sorted() && after.max() == log.endLSN && !after.contains(lsns[28]))
        try log.close()
    }

    @Test func manyTruncationsKeepTheirHistoryAndReopen() throws {
        let fixture = LogFixture()
        var log = try fixture.open()
        var random = SeededGenerator(seed: 5)
        var records: [(lsn: LSN, data: [UInt8])] = []
        for round in 0..<300 {
            for number in 0..<6 {
                let data = sampleRecord(round * 10 + number, count: Int.random(in: 0...600, using: &random))
                records.append((try log.append(data), data))
            }
            let kept = records.count - Int.random(in: 1...4, using: &random)
            try log.truncateAfter(records[kept - 1].lsn)
            records.removeSubrange(kept...)
            #expect(log.epochs.current.number == UInt64(round + 2))
            if round % 50 == 49 {
                let before = try fixture.machine.list("/log").filter { $0.hasPrefix("epochs-") }.count
                #expect(before <= 1, "round \(round)")
                try log.close()
                log = try fixture.open(.init(verify: .full))
                #expect(try log.records().map(\.data) == records.map(\.data), "round \(round)")
            }
            if round == 199 {
                #expect(try log.truncateBefore(records[records.count / 2].lsn) == records[records.count / 2].lsn)
                records.removeSubrange(..<(records.count / 2))
            }
        }
        #expect(log.epochs.current.number == 301)
        #expect(try fixture.machine.list("/log").contains { $0.hasPrefix("epochs-") })
        let head = records[records.count - 5].lsn
        try log.truncateBefore(head)
        records = records.filter { $0.lsn >= head }
        try log.close()
        #expect(try fixture.machine.list("/log").allSatisfy { !$0.hasPrefix("epochs-") }, "a handful fits into the facts")
        let worst = LogFixture(fixture.machine.crash(choosing: DropEverything()))
        let again = try worst.open(.init(verify: .full))
        #expect(try again.records().map(\.data) == records.map(\.data))
        #expect(again.epochs.current.number == 301 && again.epochs.epochs.count < 20)
        try again.close()
    }
}

extension WALError {
    var isLocked: Bool { if case .locked = self { true } else { false } }
    var isStopped: Bool { if case .stopped = self { true } else { false } }
}
