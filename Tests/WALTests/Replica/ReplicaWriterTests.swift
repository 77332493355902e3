import Testing
import TestSupport
@testable import WAL

/// A replica is made once, whatever interrupts it: what was brought to the disk is taken up, and nothing else is believed.
@Suite struct ReplicaWriterTests {
    static let segmentSize: UInt64 = 4096

    /// A log to make a replica of, on a machine of its own.
    struct Original {
        let fixture = LogFixture()
        let bytes: [UInt8]
        let epochs: EpochTable
        let logID: LogID
        let lsns: [LSN]

        init(_ count: Int = 90) throws {
            lsns = try fixture.fill(count)
            let log = try fixture.open()
            (logID, epochs) = (log.logID, log.epochs)
            let reader = try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
            bytes = try reader.verifiedRange(.zero..<log.endLSN).bytes
            reader.close()
            try log.close()
        }

        /// Of more writers than the facts name.
        init(epochs count: Int) throws {
            let log = try fixture.open()
            for number in 0..<count {
                let kept = try log.append(sampleRecord(number, count: 20))
                try log.append(sampleRecord(number, count: 30))
                try log.sync()
                try log.truncateAfter(kept)
            }
            lsns = try log.records().map(\.lsn)
            (logID, epochs) = (log.logID, log.epochs)
            let reader = try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
            bytes = try reader.verifiedRange(.zero..<log.endLSN).bytes
            reader.close()
            try log.close()
        }

        func mark(_ end: ReplicaStream.End = .everything) -> ReplicaMark {
            ReplicaMark(logID: logID, segmentSize: ReplicaWriterTests.segmentSize, head: .zero, end: end, synced: .zero)
        }

        func begin(_ machine: SimulatedFileSystem, _ end: ReplicaStream.End = .everything) throws(WALError) -> ReplicaWriter? {
            switch try ReplicaWriter.begin(
                directory: "/restored", mark(end), epochs: epochs, fileSystem: machine, time: SimulatedTimeSource(), flushing: .synchronous)
            {
            case .writer(let writer): writer
            case .complete: nil
            }
        }

        /// Writes what is missing in pieces of `size`, and finishes; true where there was something to do.
        @discardableResult
        func restore(_ machine: SimulatedFileSystem, size: Int = 1500, _ end: ReplicaStream.End = .everything, pieces: Int = .max) throws(WALError) -> Bool {
            guard let writer = try begin(machine, end) else { return false }
            defer { writer.close() }
            for _ in 0..<pieces {
                let position = Int(writer.position.rawValue)
                guard position < bytes.count else { break }
                try writer.write(Array(bytes[position..<min(bytes.count, position + size)]))
            }
            guard Int(writer.position.rawValue) == bytes.count else { return true }
            _ = try writer.finish()
            return true
        }

        func check(_ machine: SimulatedFileSystem, count: Int? = nil, _ what: String) throws {
            let worst = machine.crash(choosing: DropEverything())
            let log = try LogFixture(worst, directory: "/restored").open(.init(verify: .full))
            #expect(log.isReplica)
            #expect(try log.records().map(\.lsn) == Array(lsns.prefix(count ?? lsns.count)), "\(what)")
            try log.close()
        }
    }

    @Test func aReplicaIsDurableAndWholeWhateverThePieces() throws {
        let original = try Original()
        for size in [1, 700, 4096, 5000, 1 << 20] {
            let machine = SimulatedFileSystem()
            try original.restore(machine, size: size)
            try original.check(machine, "pieces of \(size)")
            let names = try machine.crash(choosing: DropEverything()).list("/restored")
            #expect(!names.contains(ReplicaMark.fileName))
        }
    }

    /// Power failure after any number of pieces, with unsynced pages kept, dropped or torn; then again.
    @Test func afterPowerFailureItGoesOnFromWhatWasSyncedAndIsTheSame() throws {
        let original = try Original()
        for pieces in 0...14 {
            for seed in 0..<4 as Range<UInt64> {
                let first = SimulatedFileSystem()
                try original.restore(first, pieces: pieces)
                let second = seed == 0 ? first.crash(choosing: DropEverything()) : first.crash(seed: seed)
                if try second.status("/restored/control") == nil || second.status("/restored/restoring") != nil { try original.restore(second, pieces: 3) }
                let third = second.crash(seed: seed + 100)
                if try third.status("/restored/control") == nil || third.status("/restored/restoring") != nil { try original.restore(third) }
                try original.check(third, "\(pieces) pieces, seed \(seed)")
            }
        }
    }

    /// Every call that can fail, and the process that dies of it.
    @Test func afterAnyFailingCallItCanBeGoneOnWith() throws {
        let original = try Original(60)
        for call in [SimulatedCall.open, .write, .allocate, .sync, .syncDirectory, .rename, .unlink] {
            for number in 1...60 {
                let machine = SimulatedFileSystem()
                machine.inject(SimulatedFault(call, on: "/restored*", first: number, count: 1, errno: 5))
                var hasFailed = false
                do throws(WALError) {
                    try original.restore(machine)
                } catch {
                    hasFailed = true
                }
                machine.removeFaults()
                guard hasFailed else { break }
                for next in [machine.kill(), machine.crash(choosing: DropEverything())] {
                    // What failed last may only have been to make it durable that the mark has gone.
                    if try next.status("/restored/control") == nil || next.status("/restored/restoring") != nil { try original.restore(next) }
                    try original.check(next, "\(call) \(number)")
                }
            }
        }
    }

    /// A log that was cut off again and again has a history that its facts alone do not hold.
    @Test func aLogOfManyWritersIsRestored() throws {
        let original = try Original(epochs: 300)
        #expect(original.epochs.epochs.count == 301)
        let machine = SimulatedFileSystem()
        try original.restore(machine)
        try original.check(machine, "300 writers")
        let log = try LogFixture(machine, directory: "/restored").open()
        #expect(log.epochs == original.epochs)
        try log.close()
        // What was made for it goes with what is given up.
        let failing = SimulatedFileSystem()
        failing.inject(SimulatedFault(.rename, on: "/restored/control*", first: 1, count: 1, errno: 5))
        let writer = try #require(try original.begin(failing))
        try writer.write(original.bytes)
        #expect(throws: WALError.self) { try writer.finish() }
        #expect(try failing.list("/restored").contains { EpochFile.generation(ofName: $0) != nil })
        try writer.abandon()
        #expect(try failing.status("/restored") == nil || failing.list("/restored").isEmpty)
    }

    /// A failed sync leaves pages that look clean: they are written anew, not believed.
    @Test func whatAFailedSyncLeftBehindIsNotBelieved() throws {
        let original = try Original()
        let machine = SimulatedFileSystem()
        machine.inject(SimulatedFault(.sync, on: "*00000000000000000001.wal", first: 1, count: 1, errno: 5))
        #expect(throws: WALError.self) { try original.restore(machine) }
        machine.removeFaults()
        let killed = machine.kill()
        let writer = try #require(try original.begin(killed))
        #expect(writer.position == LSN(4096) && writer.resumed == 4096)
        writer.close()
        try original.restore(killed)
        try original.check(killed, "after a failed sync")
    }

    @Test func damageToWhatWasRestoredIsRestoredAgain() throws {
        let original = try Original()
        for offset in [0, 100, 4095, 4096, 4100] {
            let machine = SimulatedFileSystem()
            try original.restore(machine, size: 4096, pieces: 3)
            try machine.damage("/restored/00000000000000000001.wal", at: offset, xor: 1)
            let writer = try #require(try original.begin(machine))
            // The frame that the first byte belongs to begins in the segment before.
            #expect(writer.position == LSN(offset == 0 ? 0 : 4096), "byte \(offset)")
            #expect(try machine.status("/restored/00000000000000000001.wal") == nil)
            writer.close()
            try original.restore(machine)
            try original.check(machine, "byte \(offset)")
        }
    }

    @Test func noSpaceIsSaidAndGoneOnFrom() throws {
        let original = try Original()
        let machine = SimulatedFileSystem()
        machine.setFreeSpace(40_000)
        var error: WALError?
        do throws(WALError) { try original.restore(machine) } catch let thrown { error = thrown }
        guard case .noSpace? = error else { Issue.record("\(String(describing: error))"); return }
        machine.setFreeSpace(nil)
        let writer = try #require(try original.begin(machine))
        #expect(writer.resumed > 0)
        writer.close()
        try original.restore(machine)
        try original.check(machine, "after the disk was full")
    }

    /// Frames of an attempt that was to go further are no part of a log that ends before them.
    @Test func anotherTargetIsKeptTo() throws {
        let original = try Original()
        for count in [10, 40, 60] {
            let machine = SimulatedFileSystem()
            try original.restore(machine, size: 4096, pieces: 4)
            try original.restore(machine, size: 4096, .through(original.lsns[count - 1]))
            try original.check(machine, count: count, "\(count) records")
        }
    }

    @Test func oneThatWasCompleteButForTheWordIsDone() throws {
        let original = try Original()
        let machine = SimulatedFileSystem()
        machine.inject(SimulatedFault(.unlink, on: "*/restoring", first: 1, count: 1, errno: 5))
        #expect(throws: WALError.self) { try original.restore(machine) }
        machine.removeFaults()
        let killed = machine.kill()
        // Another target is another log.
        #expect(throws: WALError.self) { try original.restore(killed, .through(original.lsns[3])) }
        #expect(try original.restore(killed) == false)
        try original.check(killed, "complete")
    }

    @Test func nobodyElsesDirectoryIsTouchedAndNoOneOpensAnUnfinishedOne() throws {
        let original = try Original()
        let other = try Original()
        let machine = SimulatedFileSystem()
        try original.restore(machine, pieces: 4)
        let before = try LogFixture(machine, directory: "/restored").contents()
        #expect(throws: WALError.self) { try other.restore(machine) }
        #expect(throws: WALError.self) { try LogFixture(machine, directory: "/restored").open() }
        #expect(throws: WALError.self) { try LogReader.open(directory: "/restored", fileSystem: machine, time: SimulatedTimeSource()) }
        #expect(try LogFixture(machine, directory: "/restored").contents() == before)
        let writer = try #require(try original.begin(machine))
        #expect { try original.restore(machine) } throws: { if case WALError.locked? = $0 as? WALError { true } else { false } }
        writer.close()
        try original.restore(machine)
        try original.check(machine, "after strangers")
        #expect(throws: WALError.self) { try original.restore(machine) }
    }

    /// What a log that was never made has left is ours; what ends alike is not.
    @Test func anotherProgramsTemporaryFileIsNoEmptyDirectory() throws {
        let original = try Original(20)
        for (name, isOurs) in [
            ("control.tmp", true), ("restoring.tmp", true), ("00000000000000000003.wal.tmp", true), ("epochs-00000000000000000001.tmp", true),
            ("dump.tmp", false), ("3.wal.tmp", false), (".tmp", false),
        ] {
            let machine = SimulatedFileSystem()
            try machine.makeDirectory("/restored")
            try machine.open("/restored/\(name)", .createNew).close()
            if isOurs {
                try original.restore(machine)
                try original.check(machine, name)
            } else {
                #expect(throws: WALError.self, "\(name)") { try original.restore(machine) }
                #expect(try machine.list("/restored") == [name])
            }
        }
    }

    @Test func theMarkIsReadAsItWasWrittenAndDamageToIsNotBelieved() throws {
        for end in [ReplicaStream.End.everything, .limit(LSN(5)), .through(LSN(77))] {
            let mark = ReplicaMark(logID: LogID(high: 3, low: 4), segmentSize: 8192, head: LSN(12), end: end, synced: LSN(8192))
            let bytes = mark.encode()
            #expect(bytes.count == ReplicaMark.size)
            #expect(try ReplicaMark.decode(bytes) == mark)
            for offset in Array(0..<60) + Array(512..<524) {
                var changed = bytes
                changed[offset] ^= 4
                if offset < 512 {
                    #expect(throws: FormatError.self, "byte \(offset)") { try ReplicaMark.decode(changed) }
                } else {
                    #expect(try ReplicaMark.decode(changed).synced == .zero, "byte \(offset)")
                }
            }
        }
    }
}
