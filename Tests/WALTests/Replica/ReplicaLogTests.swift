import Glibc
import Synchronization
import TestSupport
import Testing
@testable import WAL

/// A replica that grows beside its readers.
@Suite struct ReplicaLogTests {
    static func open(_ machine: any FileSystem, _ directory: String = "/replica") throws -> ReplicaLog {
        try ReplicaLog.open(directory: directory, fileSystem: machine, time: SimulatedTimeSource())
    }

    @Test(arguments: [211, 4096]) func readersSeeWholeBatchesOnlyWhileAReplicaGrows(pieces: Int) throws {
        let history = try SampleHistory()
        let machine = SimulatedFileSystem()
        try history.makeReplica("/replica", machine)
        let replica = try Self.open(machine)
        let reader = try LogReader.open(directory: "/replica", fileSystem: machine, time: SimulatedTimeSource())
        var seen = Set<LSN>()
        try history.grow(replica, pieces: pieces) { replica in
            let durable = try reader.durableLSN
            #expect(durable == replica.endLSN && history.boundaries.contains(durable))
            seen.insert(durable)
        }
        #expect(replica.endLSN == history.end && replica.epochs == history.epochs)
        // What they see grows with about every other record.
        if pieces == 211 { #expect(seen.count > history.boundaries.count / 3) }
        let found = try SampleHistory.bytes("/replica", machine)
        #expect(found.bytes == history.line && found.epochs == history.epochs)
        #expect(try reader.isReplica)
        reader.close()
        try replica.close()
        // What was shown is on the disk, and the feet lead to records.
        let after = machine.crash(choosing: DropEverything())
        #expect(try SampleHistory.bytes("/replica", after).bytes == history.line)
        let again = try LogReader.open(directory: "/replica", fileSystem: after, time: SimulatedTimeSource())
        for lsn in stride(from: UInt64(0), to: history.end.rawValue, by: 501) { _ = try again.recordBoundary(atOrBelow: LSN(lsn)) }
        again.close()
    }

    @Test func whoFollowsOrWaitsIsWokenByWhatIsApplied() async throws {
        let history = try SampleHistory()
        try await withTemporaryDirectory { directory in
            let place = "\(directory)/replica"
            try history.makeReplica(place, LinuxFileSystem())
            let replica = try ReplicaLog.open(directory: place)
            let reader = try LogReader.open(directory: place)
            let following = Task {
                var count: UInt64 = 0
                for try await record in reader.follow(from: .zero) {
                    count += 1
                    if record.endLSN == history.end { break }
                }
                return count
            }
            let waiting = Task { try await reader.waitUntilDurable(history.end) }
            try history.grow(replica, pieces: 700)
            try await waiting.value
            let count: UInt64 = reader.iter().reduce(0) { count, _ in count + 1 }
            #expect(try await following.value == count)
            reader.close()
            try replica.close()
        }
    }

    @Test func onlyAReplicaGrowsAndOnlyInOneHand() throws {
        let history = try SampleHistory()
        let machine = history.machine.kill()
        #expect(throws: WALError.self) { try Self.open(machine, "/log") }
        try history.makeReplica("/replica", machine)
        let replica = try Self.open(machine)
        #expect { try Self.open(machine) } throws: { ($0 as? WALError)?.isLocked == true }
        #expect(throws: WALError.self) { try SampleHistory.open("/replica", machine) }
        try replica.close()
        try Self.open(machine).close()
    }

    @Test func bytesThatAreNoFramesAreNeverShown() throws {
        let history = try SampleHistory()
        let machine = SimulatedFileSystem()
        try history.makeReplica("/replica", machine, upTo: 2000)
        let replica = try Self.open(machine)
        let start = replica.position
        var wrong = Array(history.line[Int(start.rawValue)..<4096])
        wrong[50] ^= 4
        try replica.apply(wrong, at: start)
        #expect(throws: WALError.self) { try replica.takeIn(history.inherited) }
        #expect(replica.endLSN == start)
        // It takes nothing more before it was opened again.
        #expect(throws: WALError.self) { try replica.apply([0], at: replica.position) }
        try replica.close()
        let again = try Self.open(machine)
        #expect(again.endLSN >= start && history.boundaries.contains(again.endLSN))
        try history.grow(again, pieces: 1000)
        try again.close()
        #expect(try SampleHistory.bytes("/replica", machine).bytes == history.line)
    }

    /// Of a failed flush clean-looking pages are left: what is opened again is read, copied and synced before it is shown.
    @Test func whatAFailedFlushLeftIsNotShownAsDurable() throws {
        let history = try SampleHistory()
        for first in 1...40 {
            let machine = SimulatedFileSystem()
            try history.makeReplica("/replica", machine)
            machine.inject(SimulatedFault(.sync, first: first, errno: EIO))
            var replica = try? Self.open(machine)
            if let replica { try? history.grow(replica, pieces: 1000) }
            try? replica?.close()
            replica = nil
            machine.removeFaults()
            machine.evict()
            let again = try Self.open(machine)
            let end = again.endLSN
            let after = machine.crash(choosing: DropEverything())
            #expect(try SampleHistory.bytes("/replica", after).bytes == Array(history.line[..<Int(end.rawValue)]), "sync \(first)")
            try history.grow(again, pieces: 1000)
            try again.close()
            #expect(try SampleHistory.bytes("/replica", machine).bytes == history.line, "sync \(first)")
        }
    }

    @Test func whatHasComeInPartGoesOnOtherwiseThanItBegan() throws {
        let history = try SampleHistory()
        let machine = SimulatedFileSystem()
        try history.makeReplica("/replica", machine, upTo: Int(history.fork.rawValue))
        let replica = try Self.open(machine)
        #expect(replica.endLSN == history.fork)
        // A part of what the parent has there.
        let from = Int(history.fork.rawValue)
        try replica.apply(Array(history.parent[from..<from + 10]), at: history.fork)
        try replica.takeIn([])
        #expect(replica.endLSN == history.fork && replica.position > history.fork)
        try replica.dropUnfinished()
        #expect(replica.position == history.fork)
        try history.grow(replica, pieces: 900)
        try replica.close()
        #expect(try SampleHistory.bytes("/replica", machine).bytes == history.line)
    }

    @Test func aCopiedDirectoryBecomesAReplicaOfItsOwn() throws {
        let history = try SampleHistory()
        let machine = SimulatedFileSystem()
        try history.makeReplica("/replica", machine, upTo: 3000)
        try machine.makeDirectory("/copy")
        for name in try machine.list("/replica") where try machine.status("/replica/\(name)")?.kind == .regular {
            let file = try machine.open("/copy/\(name)", .createNew)
            try file.write(try machine.contents("/replica/\(name)"), at: 0)
            file.close()
        }
        try machine.syncDirectory("/")
        let replica = try Self.open(machine, "/copy")
        let after = machine.crash(choosing: DropEverything())
        let expected = Array(history.line[..<Int(replica.endLSN.rawValue)])
        #expect(try SampleHistory.bytes("/copy", after).bytes == expected)
        try history.grow(replica, pieces: 2000)
        try replica.close()
        #expect(try SampleHistory.bytes("/copy", machine).bytes == history.line)
    }

    @Test func timesOfTheWriterAreKept() throws {
        let history = try SampleHistory()
        let machine = SimulatedFileSystem()
        try history.makeReplica("/replica", machine)
        let second: UInt64 = 1_000_000_000
        var expected: [CommitTime] = []
        // Opened twice: what was noted is not noted again.
        for part in 0..<2 {
            let replica = try Self.open(machine)
            var number: UInt64 = 0
            while replica.position < (part == 0 ? LSN(5000) : history.end) {
                let from = Int(replica.position.rawValue)
                var to = min(from + 800, (from / 4096 + 1) * 4096, history.line.count)
                if replica.position < history.fork { to = min(to, Int(history.fork.rawValue)) }
                try replica.apply(Array(history.line[from..<to]), at: replica.position)
                let time = CommitTime(nanoseconds: (1000 * UInt64(part) + 500 + number) * second, lsn: LSN(UInt64(to)))
                number += 2
                try replica.takeIn(history.inherited, times: [time])
                if replica.endLSN >= time.lsn { expected.append(time) }
            }
            try replica.close()
        }
        let reader = try LogReader.open(directory: "/replica", fileSystem: machine, time: SimulatedTimeSource())
        defer { reader.close() }
        for time in expected { #expect(try reader.durableLSN(at: time.nanoseconds)! >= time.lsn) }
        #expect(try reader.durableLSN(at: 100 * second) == nil)
    }

    /// The beginning goes while it grows; what a pin holds stays.
    @Test func theBeginningOfAReplicaIsTruncatedWhileItGrows() throws {
        let history = try SampleHistory()
        let machine = SimulatedFileSystem()
        try history.makeReplica("/replica", machine)
        let replica = try Self.open(machine)
        let reader = try LogReader.open(directory: "/replica", fileSystem: machine, time: SimulatedTimeSource())
        var heads = Set<LSN>()
        try history.grow(replica, pieces: 1000) { replica in
            guard replica.endLSN.rawValue > 5000 else { return }
            let wanted = LSN(replica.endLSN.rawValue - 5000)
            let head = try replica.truncateBefore(wanted)
            #expect(head <= wanted && head == replica.headLSN && history.boundaries.contains(head))
            #expect(try reader.headLSN == head)
            heads.insert(head)
            _ = try replica.bytes(head..<replica.endLSN)
        }
        #expect(heads.count > 2)
        let head = replica.headLSN
        let found = try SampleHistory.bytes("/replica", machine)
        #expect(found.head == head && found.bytes == Array(history.line[Int(head.rawValue)...]))
        #expect(try machine.status("/replica/00000000000000000000.wal") == nil)
        reader.close()
        try replica.close()
        // It goes on, and after the loss of power, too.
        for left in [machine, machine.crash(choosing: DropEverything())] {
            let again = try Self.open(left)
            #expect(again.headLSN == head && again.endLSN == history.end)
            try again.close()
            #expect(try SampleHistory.bytes("/replica", left).bytes == Array(history.line[Int(head.rawValue)...]))
        }
        let held = try HeldLog.hold(directory: "/replica", fileSystem: machine, time: SimulatedTimeSource()) { $0 }
        try PrefixTruncation(
            time: held.time, control: held.control, medium: held.files, slots: SlotDirectory(paths: held.paths, fileSystem: machine)
        ).pin("reader", at: head, durable: history.end)
        held.close()
        let pinned = try Self.open(machine)
        #expect(try pinned.truncateBefore(history.end) == head)
        try pinned.close()
    }

    // MARK: Crashes

    /// Cut after every operation that changes the disk, by loss of power and by death.
    @Test(arguments: [1500, 4096]) func cutAnywhereAReplicaGoesOnAndIsNeverPastWhatWasApplied(pieces: Int) throws {
        let history = try SampleHistory()
        let machine = SimulatedFileSystem()
        try history.makeReplica("/replica", machine)
        struct Bounds {
            var shown = LSN.zero
            var applied = LSN.zero
        }
        let bounds = Mutex(Bounds())
        let found = Mutex<[(SimulatedFileSystem, Bounds, String)]>([])
        let step = Atomic(0)
        machine.observe { call, path in
            guard call.changesTheDisk else { return }
            let number = step.add(1, ordering: .relaxed).newValue
            let now = bounds.withLock { $0 }
            let moment = "before operation \(number) (\(call) \(path))"
            let machines = [
                (machine.kill(), now, "\(moment), killed"),
                (machine.crash(choosing: DropEverything()), now, "\(moment), everything unsynced lost"),
                (machine.crash(seed: UInt64(number), directories: .anyOrder), now, "\(moment), fates \(number)"),
            ]
            found.withLock { $0 += machines }
        }
        let replica = try Self.open(machine)
        // A piece is applied as far as it goes when its first operation is seen.
        try history.grow(replica, pieces: pieces) { replica in
            bounds.withLock { $0 = Bounds(shown: replica.endLSN, applied: max($0.applied, replica.position.advanced(by: UInt64(pieces)))) }
        }
        try replica.close()
        machine.observe(nil)
        for (left, bounds, moment) in found.withLock({ $0 }) {
            let again = try Self.open(left)
            #expect(again.endLSN >= bounds.shown && again.endLSN <= min(history.end, max(bounds.applied, LSN(UInt64(pieces)))), "\(moment)")
            #expect(history.boundaries.contains(again.endLSN), "\(moment)")
            let end = Int(again.endLSN.rawValue)
            // What it shows now is on the disk.
            let lost = left.crash(choosing: DropEverything())
            #expect(try SampleHistory.bytes("/replica", lost).bytes == Array(history.line[..<end]), "\(moment)")
            try history.grow(again, pieces: 4096)
            try again.close()
            let whole = try SampleHistory.bytes("/replica", left)
            #expect(whole.bytes == history.line && whole.epochs == history.epochs, "\(moment)")
        }
    }
}
