import Testing
import TestSupport

@testable import WAL

/// Taking in archived bytes and becoming a log, cut at any call: what is left is the replica that it was, with more or less taken in, or the log.
@Suite struct PromotionCrashTests {
    private let claimed = [LogPromotion.ClaimedEpoch(number: 2, id: EpochID(rawValue: 0xABCD))]

    /// A log of 60 records, and a copy of it from when it had 25.
    private func make() throws -> (machine: SimulatedFileSystem, lsns: [LSN], bytes: [UInt8], end: LSN) {
        let fixture = LogFixture()
        var lsns = try fixture.fill(25)
        _ = try fixture.copy(to: "/copy")
        // As a restore leaves it; a copy that was not synced may go whole.
        for name in try fixture.machine.list("/copy") {
            let file = try fixture.machine.open("/copy/" + name, .read)
            try file.sync()
            file.close()
        }
        for directory in ["/copy", "/"] { try fixture.machine.syncDirectory(directory) }
        let log = try fixture.open()
        for number in 25..<60 { lsns.append(try log.append(sampleRecord(number, count: 200))) }
        try log.sync()
        let end = log.endLSN
        try log.close()
        let reader = try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
        defer { reader.close() }
        return (fixture.machine, lsns, try reader.verifiedRange(.zero..<end).bytes, end)
    }

    private func begin(_ machine: SimulatedFileSystem) throws(WALError) -> LogPromotion {
        try LogPromotion.begin(directory: "/copy", fileSystem: machine, time: SimulatedTimeSource())
    }

    /// In pieces that end anywhere, as objects do.
    private func takeIn(_ promotion: LogPromotion, _ bytes: [UInt8]) throws(WALError) {
        var position = Int(promotion.position.rawValue)
        while position < bytes.count {
            let next = min(bytes.count, position + 3001)
            try promotion.apply(Array(bytes[position..<next]), at: LSN(UInt64(position)))
            try promotion.takeIn([])
            // What was only a part of a record is applied again.
            position = Int(promotion.position.rawValue)
        }
    }

    @Test func aPromotionThatIsCutAnywhereCanBeDoneAgain() throws {
        let (machine, lsns, bytes, end) = try make()
        let cuts = Recorder<(String, SimulatedFileSystem)>()
        machine.observe { call, path in
            guard call.changesTheDisk, path.hasPrefix("/copy") else { return }
            let place = "before \(call) \(path)"
            cuts.append((place, machine.crash(choosing: DropEverything())))
            cuts.append((place, machine.crash(seed: UInt64(cuts.values.count), directories: .anyOrder)))
            cuts.append((place, machine.kill()))
        }
        let promotion = try begin(machine)
        try takeIn(promotion, bytes)
        _ = try promotion.finish(claimed)
        promotion.close()
        machine.observe(nil)
        #expect(cuts.values.count > 100)
        for (place, machine) in cuts.values + [("at the end", machine)] {
            do {
                let again = try begin(machine)
                if again.candidate.isReplica {
                    #expect(again.end >= lsns[25] && again.end <= end, "\(place): \(again.end)")
                    try takeIn(again, bytes)
                    _ = try again.finish(claimed)
                }
                again.close()
                let log = try LogFixture(machine, directory: "/copy").open(.init(verify: .full))
                #expect(try log.records().map(\.lsn) == lsns && !log.isReplica && log.epochs.current.number == 2, "\(place)")
                try log.close()
            } catch {
                Issue.record("\(place): \(error)")
            }
        }
    }

    /// No space for the next segment: the same bytes can be applied again when there is, by the same promotion or by another.
    @Test func bytesForWhichThereWasNoSpaceAreAppliedAgain() throws {
        for calls in [[SimulatedCall.allocate], [.write], [.allocate, .unlink]] {
            for isOther in [false, true] {
                let (machine, lsns, bytes, _) = try make()
                var promotion = try begin(machine)
                for call in calls { machine.inject(.init(call, on: "/copy/*2.wal*", errno: call == .unlink ? 5 : 28)) }
                #expect(throws: WALError.self, "\(calls)") { try takeIn(promotion, bytes) }
                machine.removeFaults()
                if isOther {
                    promotion.close()
                    promotion = try begin(machine)
                } else {
                    try promotion.takeIn([])
                }
                try takeIn(promotion, bytes)
                _ = try promotion.finish(claimed)
                promotion.close()
                let log = try LogFixture(machine, directory: "/copy").open(.init(verify: .full))
                #expect(try log.records().map(\.lsn) == lsns, "\(calls)")
                try log.close()
            }
        }
    }

    private func begin(_ machine: SimulatedFileSystem, _ logID: LogID, _ epochs: EpochTable) throws(WALError) -> ReplicaWriter? {
        let mark = ReplicaMark(logID: logID, segmentSize: 4096, head: .zero, end: .everything, synced: .zero)
        switch try ReplicaWriter.begin(
            directory: "/replica", mark, epochs: epochs, fileSystem: machine, time: SimulatedTimeSource(), flushing: .synchronous)
        {
        case .writer(let writer): return writer
        case .complete: return nil
        }
    }

    private func restore(_ machine: SimulatedFileSystem, _ bytes: [UInt8], _ logID: LogID, _ epochs: EpochTable) throws(WALError) -> LSN? {
        guard let writer = try begin(machine, logID, epochs) else { return nil }
        defer { writer.close() }
        for position in stride(from: Int(writer.position.rawValue), to: bytes.count, by: 3001) {
            try writer.write(Array(bytes[position..<min(bytes.count, position + 3001)]))
        }
        return try writer.finish()
    }

    /// A restored directory, cut at any call, is no log or the whole one; and can be gone on with.
    @Test func aReplicaThatIsCutWhileItIsMadeIsNoLogOrAllOfIt() throws {
        let (machine, lsns, bytes, end) = try make()
        let reader = try LogReader.open(directory: "/log", fileSystem: machine, time: SimulatedTimeSource())
        let (logID, epochs) = (reader.logID, try reader.epochs)
        reader.close()
        let cuts = Recorder<(String, SimulatedFileSystem)>()
        machine.observe { call, path in
            guard call.changesTheDisk, path.hasPrefix("/replica") else { return }
            cuts.append(("before \(call) \(path)", machine.crash(choosing: DropEverything())))
            cuts.append(("before \(call) \(path)", machine.crash(seed: UInt64(cuts.values.count), directories: .anyOrder)))
        }
        #expect(try restore(machine, bytes, logID, epochs) == end)
        machine.observe(nil)
        var logs = 0
        for (place, machine) in cuts.values + [("at the end", machine.crash(choosing: DropEverything()))] {
            if try machine.status("/replica/control") == nil {
                #expect(try restore(machine, bytes, logID, epochs) == end, "\(place)")
            } else {
                logs += 1
                if try machine.status("/replica/restoring") != nil { #expect(try restore(machine, bytes, logID, epochs) == nil, "\(place)") }
            }
            let found = try LogReader.open(directory: "/replica", fileSystem: machine, time: SimulatedTimeSource())
            #expect(try found.isReplica && found.durableLSN == end, "\(place)")
            #expect(try found.iter().map { try $0.get().lsn } == lsns, "\(place)")
            found.close()
        }
        #expect(logs > 0)
    }

    @Test func aSegmentForWhichThereWasNoSpaceIsAskedForAgain() throws {
        let (machine, lsns, bytes, end) = try make()
        let reader = try LogReader.open(directory: "/log", fileSystem: machine, time: SimulatedTimeSource())
        let (logID, epochs) = (reader.logID, try reader.epochs)
        reader.close()
        let writer = try #require(try begin(machine, logID, epochs))
        try writer.write(Array(bytes[..<4096]))
        machine.inject(.init(.allocate, on: "/replica/*1.wal", errno: 28))
        let rest = Array(bytes[4096...])
        #expect(throws: WALError.self) { try writer.write(rest) }
        #expect(writer.position == LSN(4096))
        try writer.write(rest)
        #expect(try writer.finish() == end)
        let log = try LogFixture(machine, directory: "/replica").open(.init(verify: .full))
        #expect(try log.records().map(\.lsn) == lsns && log.isReplica)
        try log.close()
    }
}
