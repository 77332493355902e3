import Glibc
import Synchronization
import Testing
import TestSupport
@testable import WAL

/// A truncation of the end that is interrupted at each call of the file system: the log ends where it did, or where it was to end.
@Suite(.serialized) struct TruncateAfterCrashTests {
    struct Case: Sendable {
        var kept: Int
        var kind: Kind
        enum Kind: Sendable { case segments, file }
    }
    static let cases = [
        Case(kept: 99, kind: .segments), Case(kept: 45, kind: .segments), Case(kept: 15, kind: .segments), Case(kept: 0, kind: .segments),
        Case(kept: 40, kind: .file),
    ]

    static func open(_ machine: SimulatedFileSystem, _ kind: Case.Kind) throws -> AnyLog {
        switch kind {
        case .segments:
            try AnyLog(store: AnyStore(SegmentedStore(directory: "/log", segmentSize: 4096, fileSystem: machine, time: SimulatedTimeSource())), configuration: .deterministic)
        case .file: try AnyLog(store: AnyStore(FileStore(path: "/log", fileSystem: machine, time: SimulatedTimeSource())), configuration: .deterministic)
        }
    }

    /// Record 15 ends exactly on a boundary of segments.
    static func data(_ number: Int) -> [UInt8] { sampleRecord(number, count: number < 16 ? 248 : 200) }

    private final class Findings: Sendable {
        let problems = Recorder<String>()
        let crashes = Atomic(0)
        let outcomes = Mutex<Set<Bool>>([])
    }

    private static func check(
        _ machine: SimulatedFileSystem, _ kind: Case.Kind, old: [LSN], kept: Int, end: LSN, _ name: String, _ findings: Findings
    ) {
        findings.crashes.add(1, ordering: .relaxed)
        do {
            let log = try open(machine, kind)
            let isCut = log.epochs.current.number == 2
            findings.outcomes.withLock { _ = $0.insert(isCut) }
            if log.endLSN != (isCut ? old[kept + 1] : end) { findings.problems.append("\(name): end \(log.endLSN)") }
            let expected = Array(isCut ? old[...kept] : old[..<(old.count - 1)])
            if try log.records().map(\.lsn) != expected { findings.problems.append("\(name): other records") }
            // It goes on, over where the old records were, and they do not come back.
            let more = try (0..<10).map { try log.append(sampleRecord(500 + $0, count: 150)) }
            try log.sync()
            let worst = machine.crash(choosing: DropEverything())
            let again = try open(worst, kind)
            let records = try again.records()
            if records.map(\.lsn) != expected + more { findings.problems.append("\(name): other records after going on") }
            if records.suffix(10).map(\.data) != (0..<10).map({ sampleRecord(500 + $0, count: 150) }) {
                findings.problems.append("\(name): the records after the end are others")
            }
            try again.close()
            try log.close()
        } catch {
            findings.problems.append("\(name): \(error)")
        }
    }

    @Test(arguments: cases) func aCrashAtAnyCallLeavesTheOldEndOrTheNewOne(_ plan: Case) throws {
        let machine = SimulatedFileSystem()
        let log = try Self.open(machine, plan.kind)
        var lsns = try (0..<100).map { try log.append(Self.data($0)) }
        lsns.append(try log.sync())
        let (old, end) = (lsns, log.endLSN)
        let findings = Findings()
        let calls = Atomic(0)
        let me = pthread_self()
        machine.observe { call, path in
            guard pthread_equal(pthread_self(), me) != 0, findings.problems.values.count < 3 else { return }
            let number = calls.add(1, ordering: .relaxed).newValue
            // With `make crash` all of them at each call.
            for fate in 0..<4 where CrashTests.isLong || fate == number % 4 {
                let order: DirectoryOrder = fate % 2 == 0 ? .ordered : .anyOrder
                let after: SimulatedFileSystem
                switch fate {
                case 0: after = machine.kill()
                case 1: after = machine.crash(choosing: DropEverything(), directories: order)
                case 2: after = machine.crash(choosing: KeepEverything(), directories: order)
                default: after = machine.crash(seed: UInt64(number * 31 + fate), directories: order)
                }
                let name = "call \(number) (\(call) \(path)), fate \(fate)"
                // The finishing is interrupted, too.
                if number % 7 == 2, CrashTests.isLong ? fate == 0 || fate == 3 : true {
                    let second = after.crash(choosing: KeepEverything())
                    let killed = after.kill()
                    for again in [second, killed] {
                        let step = Atomic(0)
                        again.observe { call, path in
                            let inner = step.add(1, ordering: .relaxed).newValue
                            guard inner % 9 == number / 7 % 9, findings.problems.values.count < 3 else { return }
                            Self.check(
                                again.crash(seed: UInt64(inner * 7 + number), directories: order), plan.kind, old: old, kept: plan.kept, end: end,
                                "\(name), again at \(inner) (\(call) \(path))", findings)
                            Self.check(
                                again.kill(), plan.kind, old: old, kept: plan.kept, end: end, "\(name), killed again at \(inner) (\(call) \(path))", findings)
                        }
                        do { try Self.open(again, plan.kind).close() } catch { findings.problems.append("\(name): \(error)") }
                        again.observe(nil)
                    }
                }
                Self.check(after, plan.kind, old: old, kept: plan.kept, end: end, name, findings)
            }
        }
        try log.truncateAfter(lsns[plan.kept])
        machine.observe(nil)
        #expect(findings.problems.values.isEmpty, "\(findings.problems.values.prefix(3))")
        #expect(findings.crashes.load(ordering: .relaxed) > 50)
        #expect(findings.outcomes.withLock { $0 } == [true, false])
        #expect(log.endLSN == old[plan.kept + 1])
        Self.check(machine.crash(choosing: DropEverything()), plan.kind, old: old, kept: plan.kept, end: old[plan.kept + 1], "after it returned", findings)
        #expect(findings.problems.values.isEmpty, "\(findings.problems.values.prefix(3))")
        try log.close()
    }

    /// Every call that fails: refused and as before, or stopped; and then the next opening finds one of the two ends.
    @Test func anErrorOfAnyCallRefusesOrStops() throws {
        var (refused, stopped) = (0, 0)
        for call in SimulatedCall.allCases {
            for number in 1... {
                let machine = SimulatedFileSystem()
                let log = try Self.open(machine, .segments)
                var lsns = try (0..<100).map { try log.append(Self.data($0)) }
                lsns.append(try log.sync())
                machine.inject(SimulatedFault(call, first: number, count: 1, errno: call == .allocate ? 28 : 5))
                do throws(WALError) {
                    try log.truncateAfter(lsns[45])
                    machine.removeFaults()
                    #expect(log.endLSN == lsns[46])
                    try log.close()
                    break
                } catch .stopped {
                    stopped += 1
                    machine.removeFaults()
                    #expect(throws: WALError.self) { try log.append([1]) }
                    try? log.close()
                    let findings = Findings()
                    Self.check(machine.kill(), .segments, old: lsns, kept: 45, end: lsns[100], "\(call) \(number)", findings)
                    Self.check(machine.crash(choosing: DropEverything()), .segments, old: lsns, kept: 45, end: lsns[100], "\(call) \(number)", findings)
                    #expect(findings.problems.values.isEmpty, "\(findings.problems.values)")
                } catch {
                    refused += 1
                    machine.removeFaults()
                    #expect(log.endLSN == lsns[100] && log.epochs.current.number == 1, "\(call) \(number)")
                    #expect(try log.append([1]) == lsns[100])
                    try log.sync()
                    try log.truncateAfter(lsns[45])
                    #expect(try log.records().count == 46)
                    try log.close()
                }
            }
        }
        #expect(refused > 5 && stopped > 10, "\(refused) \(stopped)")
    }
}
