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
