import Glibc
import Synchronization
import Testing
import TestSupport
@testable import WAL

/// A range is given up and removed, and everything ends at some call of the file system: nothing is ever gone that the slot does not say, and the
/// range that the slot says only ever grows to what was decided.
@Suite(.serialized) struct GiveUpCrashTests {
    private static let size: UInt64 = 4096

    private final class Findings: Sendable {
        let problems = Recorder<String>()
        let crashes = Atomic(0)
        let seen = Mutex<Set<UInt64>>([])
    }

    private static func attach(_ machine: SimulatedFileSystem) throws -> LogSidecar {
        try LogSidecar.attach(directory: "/log", fileSystem: machine, time: SimulatedTimeSource())
    }

    /// What a crash left: the head is at or below what was shipped, or the slot has the gap from there to at least the head; and it goes on.
    private static func check(
        _ machine: SimulatedFileSystem, archived: LSN, ends: [LSN], durable: LSN, _ name: String, _ findings: Findings
    ) {
        findings.crashes.add(1, ordering: .relaxed)
        func expect(_ condition: Bool, _ what: String) { if !condition { findings.problems.append("\(name): \(what)") } }
        do {
            let sidecar = try attach(machine)
            defer { sidecar.detach() }
            let head = try sidecar.reader.headLSN
            let slot = try sidecar.takeSlot("d") { () throws(WALError) -> SlotState in throw .cancelled }
            defer { slot.close() }
            let state = slot.state
            let gaps = state.gaps.map(\.range)
            findings.seen.withLock { _ = $0.insert(gaps.last?.upperBound.rawValue ?? 0) }
            if let first = gaps.first {
                expect(gaps.count == 1 && first.lowerBound == archived && ends.contains(first.upperBound), "gaps \(gaps)")
                expect(state.position == first.upperBound && state.released == first.upperBound, "position \(state.position)")
                expect(head <= first.upperBound, "head \(head) past the gap \(first)")
            } else {
                expect(head <= archived, "head \(head), and no gap")
                expect(state.position <= archived && state.archived == archived, "position \(state.position)")
            }
            // Both halves, whichever is lost next: neither lets go of more than is recorded.
            for case .success(let half) in try SlotFile.decode(Self.bytes(machine), expecting: state.logID).halves {
                let recorded = half.gaps.last?.range.upperBound ?? archived
                expect(half.hold <= recorded, "a half holds only from \(half.hold)")
            }
            // It goes on to the last end, with one gap.
            if let last = ends.last, state.position < last { _ = try slot.giveUp(reason: "again", time: 3) { _ in last } }
            expect(slot.state.gaps.map(\.range) == [archived..<ends[ends.count - 1]], "went on to \(slot.state.gaps)")
            let after = try sidecar.truncateBefore(slot.state.released)
            expect(after <= slot.state.position && after > head || after == head, "head \(after)")
            expect(try sidecar.reader.durableLSN == durable, "the end")
        } catch {
            findings.problems.append("\(name): \(error)")
        }
    }

    private static func bytes(_ machine: SimulatedFileSystem) throws -> [UInt8] {
        let file = try machine.open("/log/slots/d", .read)
        defer { file.close() }
        return try file.bytes(at: 0, count: SlotFile.size)
    }

    private struct Bench {
        let machine = SimulatedFileSystem()
        let sidecar: LogSidecar
        let slot: DestinationSlot
        let archived: LSN
        let durable: LSN

        init() throws {
            let log = try AnyLog(
                store: AnyStore(SegmentedStore(directory: "/log", segmentSize: 4096, fileSystem: machine, time: SimulatedTimeSource())),
                configuration: .deterministic)
            for number in 0..<400 { try log.append(sampleRecord(number, count: 200)) }
            durable = try log.sync()
            try log.close()
            sidecar = try attach(machine)
            let (id, epoch) = (sidecar.reader.logID, try sidecar.reader.epochs.current.id)
            slot = try sidecar.takeSlot("d") { () throws(WALError) in SlotState(kind: .destination, logID: id, position: .zero, epoch: epoch) }
            let archived = LSN(5 * GiveUpCrashTests.size + 700)
            try slot.update { state in
                state.position = LSN(5 * GiveUpCrashTests.size)
                state.archived = archived
            }
            self.archived = archived
        }
    }

    @Test func aCrashAtAnyCallNeverRemovesWhatIsNotRecorded() throws {
        let bench = try Bench()
        let (machine, archived, durable) = (bench.machine, bench.archived, bench.durable)
        let ends = [LSN(9 * Self.size), LSN(12 * Self.size), LSN(15 * Self.size)]
        let findings = Findings()
        let calls = Atomic(0)
        let me = pthread_self()
        machine.observe { call, path in
            guard pthread_equal(pthread_self(), me) != 0, findings.problems.values.count < 3 else { return }
            let number = calls.add(1, ordering: .relaxed).newValue
            for fate in 0..<4 {
                let order: DirectoryOrder = fate % 2 == 0 ? .ordered : .anyOrder
                let after: SimulatedFileSystem
                switch fate {
                case 0: after = machine.kill()
                case 1: after = machine.crash(choosing: DropEverything(), directories: order)
                case 2: after = machine.crash(choosing: KeepEverything(), directories: order)
                default: after = machine.crash(seed: UInt64(number * 31 + fate), directories: order)
                }
                Self.check(
                    after, archived: archived, ends: ends, durable: durable, "call \(number) (\(call) \(path)), fate \(fate)", findings)
            }
        }
        for end in ends {
            let gap = try bench.slot.giveUp(reason: "storage was away", time: 7) { _ in end }
            #expect(gap?.range == archived..<end)
            #expect(try bench.sidecar.truncateBefore(end) > LSN(end.rawValue - Self.size))
        }
        machine.observe(nil)
        #expect(findings.problems.values.isEmpty, "\(findings.problems.values.prefix(3))")
        #expect(findings.crashes.load(ordering: .relaxed) > 200)
        #expect(findings.seen.withLock { $0 } == Set([0] + ends.map(\.rawValue)))
        #expect(bench.slot.giveUps == 3)
    }

    /// A write or sync of the slot that fails: an error, and nothing may be removed.
    @Test func aRecordThatCannotBeWrittenLetsNothingGo() throws {
        for call in [SimulatedCall.write, .sync] {
            for number in 1...2 {
                let bench = try Bench()
                bench.machine.inject(SimulatedFault(call, on: "*/slots/d", first: number, count: 1, errno: 5))
                let end = LSN(9 * Self.size)
                #expect(throws: WALError.self) { try bench.slot.giveUp(reason: "away", time: 1) { _ in end } }
                // Where the first half could be written the gap is recorded, on stable storage.
                #expect(try bench.sidecar.truncateBefore(end) <= (number == 1 ? bench.archived : end), "\(call) \(number)")
                let findings = Findings()
                for machine in [bench.machine.crash(choosing: DropEverything()), bench.machine.kill()] {
                    Self.check(machine, archived: bench.archived, ends: [end], durable: bench.durable, "\(call) \(number)", findings)
                }
                #expect(findings.problems.values.isEmpty, "\(findings.problems.values)")
            }
        }
    }

    @Test func whatWasToldStaysAndTheRestIsAnotherGap() {
        var state = SlotState(kind: .destination, logID: LogID(high: 1, low: 2), position: LSN(4096), epoch: EpochID(rawValue: 3))
        state.archived = LSN(5000)
        state.giveUp(to: LSN(8192), reason: "a", time: 1)
        state.giveUp(to: LSN(12288), reason: "b", time: 2)
        #expect(state.gaps == [SlotGap(range: LSN(5000)..<LSN(12288), time: 2, reason: "b")])
        state.gaps[0].isTold = true
        state.giveUp(to: LSN(16384), reason: "c", time: 3)
        state.giveUp(to: LSN(20480), reason: "d", time: 4)
        #expect(state.gaps.map(\.range) == [LSN(5000)..<LSN(12288), LSN(12288)..<LSN(20480)])
        #expect(state.position == LSN(20480) && state.archived == LSN(20480) && state.hold == LSN(20480))
    }

    @Test func truncationGoesByWhatWasReleasedAndThePositionAlike() {
        var state = SlotState(kind: .destination, logID: LogID(high: 1, low: 2), position: LSN(4096), epoch: EpochID(rawValue: 3))
        #expect(state.hold == LSN(4096))
        state.position = LSN(9000)
        #expect(state.hold == LSN(4096), "shipped, and not released")
        state.released = LSN(8192)
        #expect(state.hold == LSN(8192))
        state.position = LSN(100)
        #expect(state.hold == LSN(100), "a slot that went back holds what is to be shipped again")
    }
}
