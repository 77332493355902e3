import Foundation
import Testing
import TestSupport
import WAL

/// Scripts on a simulated machine, cut after every file operation: the log opens, holds what was acknowledged, nothing after a gap, and goes on.
///
/// `make crash` runs more of it, and each thoroughly: `make crash FIRST=1 SEEDS=500`. The written ones are among them where it begins with the first seed.
@Suite struct CrashTests {
    private static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }
    static let isLong = number("WALSHIP_CRASH_SEEDS") != nil
    private static let first = number("WALSHIP_CRASH_FIRST") ?? 1
    static let seeds = (first..<first + (number("WALSHIP_CRASH_SEEDS") ?? 2)).map { UInt64($0) }
    private static let effort = isLong ? CrashSimulation.Effort.full : .quick

    /// Segments of two sizes only where there is time.
    private static let written = Script.written.filter { isLong ? first == 1 : $0.kind != .segments(8192) }

    @Test(arguments: written)
    func acknowledgedRecordsSurviveACrashAtAnyCall(_ script: Script) {
        let result = CrashSimulation.run(script, effort: Self.effort)
        #expect(result.problems.isEmpty)
        #expect(result.cuts > 20 && result.disks > 20, "\(result)")
    }

    @Test(arguments: seeds)
    func acknowledgedRecordsOfAnyWorkloadSurviveACrashAtAnyCall(_ seed: UInt64) {
        let script = Script.seeded(seed)
        let result = CrashSimulation.run(script, effort: Self.effort, seed: seed)
        #expect(result.problems.isEmpty, "to see it again: make crash FIRST=\(seed) SEEDS=1\n\(script.steps)")
        #expect(result.cuts > 20, "\(result)")
    }
}

/// The simulation notices what it is there for.
@Suite struct CrashSimulationTests {
    @Test(arguments: PlantedBug.Bug.allCases)
    func aPlantedBugIsFound(_ bug: PlantedBug.Bug) throws {
        var found: [String] = []
        for script in Script.written where script.kind == .segments(4096) && found.isEmpty {
            found = CrashSimulation.run(script, bug: bug).problems.filter { !$0.contains(" itself: ") }
        }
        #expect(!found.isEmpty, "\(bug) was not noticed")
    }

    /// A recovery that took the last intact record for the end, wherever a batch ends, would be noticed: each prefix of the records is an end that keeps
    /// the promise only where no batch is cut.
    @Test func anEndOrAHeadInsideOfABatchBreaksThePromise() {
        var promise = Promise()
        let counts = [[5], [10, 0, 3], [1], [2, 2]]
        for counts in counts { _ = promise.issue(batch: counts.map { sampleRecord(1, count: $0) }) }
        let (records, whole) = (promise.history, [0, 1, 4, 5, 7])
        promise.head = .zero...promise.end
        for kept in 0...records.count {
            var outcome = Outcome(logID: LogID(high: 0, low: 0), end: kept == 0 ? .zero : records[kept - 1].end, records: Array(records[..<kept]))
            #expect((promise.broken(by: outcome, killed: false) == nil) == whole.contains(kept), "the log ends after \(kept) records")
            outcome = Outcome(logID: LogID(high: 0, low: 0), end: promise.end, records: Array(records[kept...]))
            outcome.head = kept < records.count ? records[kept].lsn : promise.end
            #expect((promise.broken(by: outcome, killed: false) == nil) == whole.contains(kept), "the log begins with record \(kept)")
        }
    }

    /// A process that is killed leaves names, facts and positions that were never synced; the next one must not build on them. (Found by this
    /// simulation: a kill between rename and fsync of the directory, then a loss of power after the next process had acknowledged records.)
    @Test func whatAKilledProcessLeftUnsyncedIsSyncedBeforeItIsReliedOn() throws {
        let machine = SimulatedFileSystem()
        let kind = Script.Kind.segments(4096)
        var killed: [SimulatedFileSystem] = []
        let log = try CrashCheck.open(machine, kind, "/log")
        let found = Recorder<SimulatedFileSystem>()
        machine.observe { call, path in if call == .syncDirectory { found.append(machine.kill()) } }
        try log.append([1])
        machine.observe(nil)
        killed = found.values
        #expect(!killed.isEmpty)
        for machine in killed {
            let next = try CrashCheck.open(machine, kind, "/log")
            try next.append([2])
            let durable = try next.sync()
            let after = try CrashCheck.open(machine.crash(choosing: DropEverything()), kind, "/log")
            #expect(after.endLSN == durable)
            try after.close()
            try next.close()
        }
        try log.close()
    }
}
