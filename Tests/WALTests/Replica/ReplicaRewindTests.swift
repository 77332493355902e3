import Synchronization
import TestSupport
import Testing
@testable import WAL

/// A log that went on alone follows the others: what it had past the fork lies beside it, to the byte.
@Suite struct ReplicaRewindTests {
    private func rewind(_ history: SampleHistory, _ machine: any FileSystem, _ directory: String = "/log") throws -> ReplicaRewind {
        try ReplicaRewind.run(
            directory: directory, fork: history.fork, line: history.epochs, fileSystem: machine, time: SimulatedTimeSource())
    }

    /// Both histories are there: the line in the log, and what was cut beside it.
    private func expectBoth(_ history: SampleHistory, _ machine: SimulatedFileSystem, _ moment: String = "") throws {
        let replica = try ReplicaLogTests.open(machine, "/log")
        #expect(replica.endLSN == history.fork && replica.epochs == history.epochs, "\(moment)")
        try history.grow(replica, pieces: 3000)
        try replica.close()
        #expect(try SampleHistory.bytes("/log", machine).bytes == history.line, "\(moment)")
        let kept = try SampleHistory.bytes("/log/diverged-1-\(history.fork)", machine)
        #expect(kept.head == history.fork && kept.bytes == Array(history.parent[Int(history.fork.rawValue)...]), "\(moment)")
        #expect(kept.epochs == history.firstEpoch, "\(moment)")
    }

    @Test func anOldWriterFollowsAndWhatItHadIsKeptAside() throws {
        let history = try SampleHistory()
        let machine = history.machine.kill()
        let outcome = try rewind(history, machine)
        #expect(outcome.cut == history.fork..<LSN(UInt64(history.parent.count)) && outcome.keptIn == "/log/diverged-1-\(history.fork)")
        let after = machine.crash(choosing: DropEverything())
        try expectBoth(history, after)
        try expectBoth(history, machine)
        // What was kept is a log of its own, which is refused as one to be written.
        let kept = try LogReader.open(directory: "/log/diverged-1-\(history.fork)", fileSystem: machine, time: SimulatedTimeSource())
        #expect(try kept.isReplica)
        kept.close()
    }

    @Test func cutAnywhereTheLogIsWholeOrCutWithEverythingAside() throws {
        let history = try SampleHistory()
        let machine = history.machine.kill()
        let found = Mutex<[(SimulatedFileSystem, String)]>([])
        let step = Atomic(0)
        machine.observe { call, path in
            guard call.changesTheDisk else { return }
            let number = step.add(1, ordering: .relaxed).newValue
            let moment = "before operation \(number) (\(call) \(path))"
            let machines = [
                (machine.kill(), "\(moment), killed"), (machine.crash(choosing: DropEverything()), "\(moment), everything unsynced lost"),
                (machine.crash(choosing: KeepEverything()), "\(moment), nothing lost"),
                (machine.crash(seed: UInt64(number), directories: .anyOrder), "\(moment), fates \(number)"),
            ]
            found.withLock { $0 += machines }
        }
        _ = try rewind(history, machine)
        machine.observe(nil)
        for (left, moment) in found.withLock({ $0 }) {
            let isCut = try left.kill().isReplica("/log")
            if !isCut {
                // Nothing is missing of what was durable, and it is still written.
                let log = try SampleHistory.open("/log", left)
                #expect(log.endLSN == LSN(UInt64(history.parent.count)), "\(moment)")
                try log.close()
            }
            _ = try rewind(history, left)
            try expectBoth(history, left, moment)
        }
    }

    /// A log of many epochs keeps the older ones in a file of their own, which is there before the control file.
    @Test func whatWasHalfKeptAsideIsMadeAnewWithItsFileOfEpochs() throws {
        let history = try SampleHistory()
        let machine = history.machine.kill()
        let kept = "/log/diverged-1-\(history.fork)"
        try machine.makeDirectory(kept)
        for name in ["lock", "maintenance", ReplicaMark.fileName, EpochFile.name(generation: 1), "control.tmp"] {
            let file = try machine.open("\(kept)/\(name)", .createNew)
            try file.write([1, 2, 3], at: 0)
            file.close()
        }
        _ = try rewind(history, machine)
        try expectBoth(history, machine)
    }

    @Test func refusalsChangeNothing() throws {
        let history = try SampleHistory()
        let machine = history.machine.kill()
        // Somebody reads it.
        let reader = try LogReader.open(directory: "/log", fileSystem: machine, time: SimulatedTimeSource())
        #expect { try rewind(history, machine) } throws: { ($0 as? WALError)?.isLocked == true }
        reader.close()
        // Somebody writes it.
        let log = try SampleHistory.open("/log", machine)
        #expect { try rewind(history, machine) } throws: { ($0 as? WALError)?.isLocked == true }
        try log.close()
        // A fork inside a record, and one of a line that is another log's.
        #expect(throws: WALError.self) {
            try ReplicaRewind.run(
                directory: "/log", fork: LSN(history.fork.rawValue - 1),
                line: EpochTable([history.epochs.epochs[0], Epoch(number: 2, id: history.epochs.current.id, start: LSN(history.fork.rawValue - 1))])!,
                fileSystem: machine, time: SimulatedTimeSource())
        }
        #expect(throws: WALError.self) {
            try ReplicaRewind.run(
                directory: "/log", fork: history.fork, line: EpochTable([Epoch(number: 1, id: EpochID(rawValue: 5), start: .zero)])!,
                fileSystem: machine, time: SimulatedTimeSource())
        }
        #expect(try SampleHistory.open("/log", machine).endLSN == LSN(UInt64(history.parent.count)))
    }

    // MARK: A log with an epoch of its own

    /// Where it begins: a log may have been promoted by somebody else than the line goes on from.
    enum Own: CaseIterable {
        case beforeTheFork
        case pastTheFork
    }

    @Test(arguments: Own.allCases) func anEpochOfItsOwnGoesAsideWithItsRecords(own: Own) throws {
        let history = try SampleHistory()
        let machine = history.machine.kill()
        let log = try SampleHistory.open("/log", machine)
        let records = try log.iter().map { try $0.get() }.filter { !$0.continuesBatch }
        let kept = try #require(own == .pastTheFork ? records.last { $0.lsn >= history.fork } : records.last { $0.endLSN < history.fork && $0.endLSN.rawValue % 4096 > 1000 })
        try log.truncateAfter(kept.lsn)
        for number in 0..<40 { try log.append([UInt8](repeating: UInt8(number), count: 150)) }
        try log.sync()
        try log.close()
        let before = try SampleHistory.bytes("/log", machine)
        #expect(before.epochs.current.number == 2 && before.epochs.current.id != history.epochs.current.id)
        let fork = min(kept.endLSN, history.fork)
        let found = Mutex<[(SimulatedFileSystem, String)]>([])
        let step = Atomic(0)
        machine.observe { call, path in
            guard call.changesTheDisk else { return }
            let number = step.add(1, ordering: .relaxed).newValue
            let moment = "\(own), before operation \(number) (\(call) \(path))"
            let machines = [
                (machine.kill(), "\(moment), killed"), (machine.crash(choosing: DropEverything()), "\(moment), everything unsynced lost"),
                (machine.crash(seed: UInt64(number), directories: .anyOrder), "\(moment), fates \(number)"),
            ]
            found.withLock { $0 += machines }
        }
        func rewind(_ machine: SimulatedFileSystem) throws -> ReplicaRewind {
            try ReplicaRewind.run(directory: "/log", fork: fork, line: history.epochs, fileSystem: machine, time: SimulatedTimeSource())
        }
        _ = try rewind(machine)
        machine.observe(nil)
        for (left, moment) in found.withLock({ $0 }) + [(machine, "\(own), done")] {
            // Readers, and whoever opens it, find one of the two histories.
            let seen = try SampleHistory.bytes("/log", left).bytes
            #expect(seen == before.bytes || seen == Array(history.line[..<Int(fork.rawValue)]), "\(moment)")
            _ = try rewind(left)
            let replica = try ReplicaLogTests.open(left, "/log")
            #expect(replica.endLSN == fork, "\(moment)")
            try history.grow(replica, pieces: 3000)
            try replica.close()
            #expect(try SampleHistory.bytes("/log", left).bytes == history.line, "\(moment)")
            let aside = try SampleHistory.bytes("/log/diverged-2-\(fork)", left)
            #expect(aside.bytes == Array(before.bytes[Int(fork.rawValue)...]) && aside.epochs == before.epochs, "\(moment)")
        }
    }

    /// A cell of the log's current epoch in the last foot below `end`, as a writer leaves one that removes what it had prepared.
    private func leaveCell(_ directory: String, at end: LSN, _ machine: SimulatedFileSystem) throws {
        let held = try HeldLog.hold(directory: directory, fileSystem: machine, time: SimulatedTimeSource()) { $0 }
        defer { held.close() }
        let cell = SegmentFoot.DurableCell(epoch: held.found.epochs.current.id, durable: end, sequence: 1000)
        try held.files.keep(cell, below: (end.rawValue - 1) / UInt64(SampleHistory.segmentSize) + 1)
    }

    /// Frames of exactly a segment each: what begins at the fork leaves its traces in the foot of the segment before.
    @Test(arguments: [0, 1, 2]) func anEpochOfItsOwnThatBeginsWhereASegmentEndsLeavesNoTrace(records: Int) throws {
        let machine = SimulatedFileSystem()
        let log = try SampleHistory.open("/log", machine)
        let whole = [UInt8](repeating: 7, count: SampleHistory.segmentSize - 8)
        var kept = LSN.zero
        for _ in 0..<4 { kept = try log.append(whole) }
        try log.append(whole)
        try log.sync()
        let first = log.epochs.epochs[0]
        try log.truncateAfter(kept)
        let fork = log.endLSN
        #expect(fork.rawValue % UInt64(SampleHistory.segmentSize) == 0)
        try log.sync()
        try log.close()
        let own = try SampleHistory.open("/log", machine)
        for _ in 0..<records { try own.append(whole) }
        try own.sync()
        try own.close()
        try leaveCell("/log", at: fork, machine)
        // Another has taken over there.
        let line = try #require(EpochTable([first, Epoch(number: 2, id: EpochID(rawValue: 99), start: fork)]))
        let outcome = try ReplicaRewind.run(directory: "/log", fork: fork, line: line, fileSystem: machine, time: SimulatedTimeSource())
        #expect((outcome.keptIn != nil) == (records > 0))
        for left in [machine, machine.crash(choosing: DropEverything())] {
            for _ in 0..<2 {
                let replica = try ReplicaLogTests.open(left, "/log")
                #expect(replica.endLSN == fork && replica.epochs == line)
                try replica.close()
            }
        }
    }

    /// The same with an end inside a segment and nothing written past it: nothing is cut, and the foot of the segment stays.
    @Test func anEpochOfItsOwnWithoutARecordLeavesNoTrace() throws {
        let history = try SampleHistory()
        let machine = SimulatedFileSystem()
        try history.makeReplica("/replica", machine, upTo: Int(history.fork.rawValue))
        let promotion = try LogPromotion.begin(directory: "/replica", fileSystem: machine, time: SimulatedTimeSource())
        _ = try promotion.finish([.init(number: 2, id: EpochID(rawValue: 77))])
        promotion.close()
        // It is opened for writing, and nothing is written.
        for _ in 0..<2 {
            let log = try SampleHistory.open("/replica", machine)
            try log.sync()
            try log.close()
        }
        try leaveCell("/replica", at: history.fork, machine)
        _ = try rewind(history, machine, "/replica")
        for _ in 0..<2 { try ReplicaLogTests.open(machine).close() }
        let replica = try ReplicaLogTests.open(machine)
        try history.grow(replica, pieces: 2000)
        try replica.close()
        #expect(try SampleHistory.bytes("/replica", machine).bytes == history.line)
    }

    /// An epoch that both have began later in the log than in the line: somebody forked below its beginning.
    @Test func aForkBelowTheBeginningOfTheLogsEpochIsRewoundTo() throws {
        let history = try SampleHistory()
        let machine = SimulatedFileSystem()
        try history.makeReplica("/replica", machine, upTo: history.line.count)
        let before = try SampleHistory.bytes("/replica", machine)
        let boundary = try #require(history.boundaries.filter { $0 < history.fork && $0.rawValue > 3000 }.max())
        var line = try #require(EpochTable([history.epochs.epochs[0]]))
        line.begin(Epoch(number: 2, id: history.epochs.current.id, start: boundary))
        line.begin(Epoch(number: 3, id: EpochID(rawValue: 5), start: boundary))
        let outcome = try ReplicaRewind.run(directory: "/replica", fork: boundary, line: line, fileSystem: machine, time: SimulatedTimeSource())
        #expect(outcome.cut == boundary..<history.end)
        let replica = try ReplicaLogTests.open(machine)
        #expect(replica.endLSN == boundary && replica.epochs == line)
        try replica.close()
        let aside = try SampleHistory.bytes("/replica/diverged-2-\(boundary)", machine)
        #expect(aside.bytes == Array(before.bytes[Int(boundary.rawValue)...]) && aside.epochs == before.epochs)
    }

    @Test func aLogThatEndsAtTheForkOnlyBecomesAReplica() throws {
        let history = try SampleHistory()
        let machine = SimulatedFileSystem()
        try history.makeReplica("/replica", machine, upTo: Int(history.fork.rawValue))
        let outcome = try rewind(history, machine, "/replica")
        #expect(outcome.cut.isEmpty && outcome.keptIn == nil)
        let replica = try ReplicaLogTests.open(machine)
        try history.grow(replica, pieces: 4096)
        try replica.close()
        #expect(try SampleHistory.bytes("/replica", machine).bytes == history.line)
    }
}

extension SimulatedFileSystem {
    fileprivate func isReplica(_ directory: String) throws -> Bool {
        let reader = try LogReader.open(directory: directory, fileSystem: self, time: SimulatedTimeSource())
        defer { reader.close() }
        return try reader.isReplica
    }
}
