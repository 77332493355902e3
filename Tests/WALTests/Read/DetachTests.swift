import Synchronization
import Testing
import TestSupport

@testable import WAL

/// Whoever lets go of a log while others still ask: they are told so, and nothing that was closed is used.
@Suite(.timeLimit(.minutes(1))) struct DetachTests {
    private final class Calls: Sendable {
        let sidecar: LogSidecar
        let slot: DestinationSlot
        init(_ sidecar: LogSidecar, _ slot: DestinationSlot) { (self.sidecar, self.slot) = (sidecar, slot) }

        /// Everything that is asked of a log beside its writer.
        var all: [(String, @Sendable () throws -> Void)] {
            let (sidecar, slot) = (sidecar, slot)
            let reader = sidecar.reader
            return [
                ("blockage", { _ = try reader.blockage }), ("headLSN", { _ = try reader.headLSN }), ("durableLSN", { _ = try reader.durableLSN }),
                ("writtenLSN", { _ = try reader.writtenLSN }), ("blockAppends", { try sidecar.blockAppends() }),
                ("truncateBefore", { try sidecar.truncateBefore(.zero) }), ("dropSlot", { try sidecar.dropSlot("none") }),
                ("iter", { for element in reader.iter() { _ = try element.get() } }),
                ("wait", { _ = try reader.waitUntilDurable(LSN(1 << 40), timeout: .microseconds(200)) }),
                ("update", { try slot.update { _ in } }), ("settle", { try slot.settle() }),
                ("giveUp", { _ = try slot.giveUp(reason: "", time: 0) { $0.archived.advanced(by: 4096) } }),
            ]
        }

        /// These answer, or do nothing, whether it is closed or not.
        var harmless: [@Sendable () throws -> Void] {
            let (sidecar, slot) = (sidecar, slot)
            let reader = sidecar.reader
            return [
                { try sidecar.unblockAppends() }, { _ = try reader.epochs }, { _ = try reader.isReplica }, { _ = try reader.writer }, { _ = try sidecar.hold() },
                { _ = try sidecar.slotNames() }, { _ = try sidecar.slotState("d") }, { _ = (reader.isStopped, reader.incarnation, slot.state, slot.giveUps) },
            ]
        }
    }

    private func attach(_ directory: String, _ slot: String) throws -> Calls {
        let sidecar = try LogSidecar.attach(directory: directory)
        let (logID, epoch) = (sidecar.reader.logID, try sidecar.reader.epochs.current.id)
        return Calls(sidecar, try sidecar.takeSlot(slot) { SlotState(kind: .destination, logID: logID, position: .zero, epoch: epoch) })
    }

    @Test func everyCallBesideAndAfterDetachingIsAnsweredAndNoneTraps() throws {
        try withTemporaryDirectory { directory in
            let log = try SegmentedLog.open(directory: directory, segmentSize: 4096)
            for number in 0..<20 { try log.append(sampleRecord(number, count: 100)) }
            try log.sync()
            for round in 0..<40 {
                let calls = try attach(directory, "d\(round % 2)")
                let arrived = Atomic(0)
                let threads = try (0..<3).map { number in
                    try NamedThread(name: "asks") {
                        let (all, harmless) = (calls.all, calls.harmless)
                        var (index, isOpen) = (number * 4 + round, true)
                        arrived.add(1, ordering: .relaxed)
                        while isOpen {
                            index += 1
                            do { try harmless[index % harmless.count]() } catch { Issue.record("\(error)") }
                            do { try all[index % all.count].1() } catch { isOpen = error as? WALError != .stopped(cause: .closed) }
                        }
                    }
                }
                while arrived.load(ordering: .relaxed) < 3 { LinuxTimeSource().sleep(nanoseconds: 10_000) }
                LinuxTimeSource().sleep(nanoseconds: UInt64(round) * 50_000)
                if round % 2 == 0 { calls.slot.close() }
                calls.sidecar.detach()
                calls.slot.close()
                for thread in threads { thread.join() }
                for (name, call) in calls.all {
                    #expect(throws: WALError.stopped(cause: .closed), "\(name)") { try call() }
                }
                for call in calls.harmless { try call() }
                #expect(throws: WALError.stopped(cause: .closed)) { _ = try calls.sidecar.takeSlot("x") { calls.slot.state } }
                calls.sidecar.detach()
                calls.slot.close()
            }
            #expect(log.headLSN == .zero)
            try log.close()
        }
    }

    /// Of the log itself, each beside `close`.
    @Test func everyCallBesideClosingIsAnsweredAndNoneTraps() throws {
        for round in 0..<30 {
            try withTemporaryDirectory { directory in
                let log = try SegmentedLog.open(directory: directory, segmentSize: 4096)
                let sidecar = try LogSidecar.attach(directory: directory)
                if round % 3 == 0 { try sidecar.blockAppends() }
                let calls: [@Sendable () throws -> Void] = [
                    { try log.append([UInt8](repeating: 1, count: 300)) }, { try log.append([UInt8](repeating: 1, count: 30_000)) }, { try log.sync() },
                    { try log.truncateBefore(log.durableLSN) }, { try log.pin("a", at: log.headLSN) }, { try log.unpin("a") },
                    { try log.truncateAfter(log.headLSN) }, { for element in log.iter() { _ = try element.get() } }, { _ = (log.length, log.isEmpty, log.writtenLSN) },
                    { _ = try log.waitUntilDurable(log.endLSN.advanced(by: 1), timeout: .microseconds(100)) }, { _ = try log.timesOfSegment(0) },
                ]
                let isDone = Atomic(false)
                let threads = try (0..<3).map { number in
                    try NamedThread(name: "asks") {
                        var index = number * 3 + round
                        while !isDone.load(ordering: .relaxed) {
                            index += 1
                            try? calls[index % calls.count]()
                        }
                    }
                }
                LinuxTimeSource().sleep(nanoseconds: UInt64(round) * 100_000)
                try log.close()
                isDone.store(true, ordering: .relaxed)
                for thread in threads { thread.join() }
                sidecar.detach()
                let again = try SegmentedLog.open(directory: directory, configuration: .init(verify: .full))
                #expect(again.endLSN == log.endLSN && again.headLSN == log.headLSN, "round \(round)")
                try again.close()
            }
        }
    }

    /// The end of a log may be cut off from the moment on at which nobody is attached any more: what a truncation knew before is not used after.
    @Test func aTruncationThatWasDetachedBeforeItsTurnDoesNothing() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill()
        let log = try fixture.open()
        let sidecar = try LogSidecar.attach(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
        let hasCome = Atomic(false)
        fixture.machine.observe { call, path in
            guard call == .lock, path == "/log/maintenance", !hasCome.exchange(true, ordering: .relaxed) else { return }
            let thread = try? NamedThread(name: "cuts") {
                sidecar.detach()
                do { try log.truncateAfter(lsns[9]) } catch { Issue.record("\(error)") }
            }
            thread?.join()
        }
        #expect(throws: WALError.stopped(cause: .closed)) { try sidecar.truncateBefore(lsns[40]) }
        fixture.machine.observe(nil)
        #expect(hasCome.load(ordering: .relaxed) && log.endLSN == lsns[10] && log.headLSN == .zero)
        #expect(try log.records().count == 10)
        try log.close()
    }
}
