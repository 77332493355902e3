import Synchronization
import TestSupport
@testable import WAL

/// Cuts a script after every file operation that can change the disk, by loss of power and by death of the process, and looks at what is left.
///
/// Where few things are unsynced, every combination of kept and lost is tried; where many, the extremes and some at random, pages torn too. Some
/// recoveries are cut in their turn, at each of their operations. Equal disks are looked at once.
final class CrashSimulation: Sendable {
    struct Effort: Sendable {
        /// Up to so many unsynced things, all combinations.
        var enumeratedMax = 3
        /// Otherwise, and for torn pages, so many at random.
        var randomCrashes = 2
        /// Of so many disks that were looked at, one has its recovery cut, too.
        var nestedEvery = 400
        /// Of so many disks of lost power, one goes on and loses power again; those of killed processes all do, because they are not what was synced.
        var thoroughEvery = 8

        static let quick = Effort()
        static let full = Effort(enumeratedMax: 6, randomCrashes: 6, nestedEvery: 100, thoroughEvery: 2)
    }

    struct Result: Sendable {
        var problems: [String] = []
        /// Moments at which power was lost, machines that came of it, and how many of those differed.
        var cuts = 0
        var crashes = 0
        var disks = 0
        var nested = 0
    }

    /// Runs on past so many problems.
    private static let problemsMax = 3

    private let script: Script
    private let effort: Effort
    private let seed: UInt64
    private let machine = SimulatedFileSystem()
    private let state = Mutex(State())

    private struct State {
        var result = Result()
        var known: [Disk: Outcome] = [:]
    }

    private struct Disk: Hashable {
        var fingerprint: Int
        var place: String
    }

    private init(_ script: Script, _ effort: Effort, seed: UInt64) {
        self.script = script
        self.effort = effort
        self.seed = seed
    }

    /// The workload has the bug; what is left is looked at without it.
    static func run(_ script: Script, effort: Effort = .quick, seed: UInt64 = 1, bug: PlantedBug.Bug? = nil) -> Result {
        let simulation = CrashSimulation(script, effort, seed: seed)
        simulation.run(bug)
        return simulation.state.withLock(\.result)
    }

    private func run(_ bug: PlantedBug.Bug?) {
        let fileSystem: any FileSystem = bug.map { PlantedBug($0, machine) } ?? machine
        // Set below, before the first call.
        let running = Mutex<ScriptRun?>(nil)
        let run = ScriptRun(script, on: fileSystem, bug: bug) { [weak self] moment in
            if let run = running.withLock({ $0 }) { self?.cut(run, moment) }
        }
        running.withLock { $0 = run }
        machine.observe { [weak self] call, path in
            if call.changesTheDisk { self?.cut(run, "before \(call) \(path)") }
        }
        do {
            try run.run()
        } catch {
            state.withLock { $0.result.problems.append("\(script.name) itself: \(error)") }
        }
        machine.observe(nil)
        running.withLock { $0 = nil }
    }

    // MARK: One cut

    private func cut(_ run: ScriptRun, _ moment: String) {
        // One at a time, and nothing is promised meanwhile.
        state.withLock { state in
            guard state.result.problems.count < Self.problemsMax else { return }
            state.result.cuts += 1
            let promise = run.promise.withLock { $0 }
            let name = "\(script.name), cut \(state.result.cuts) (\(moment))"
            judge(machine.kill(), promise, killed: true, "\(name), killed", &state)
            var random = SeededGenerator(seed: seed &* 1_000_003 &+ UInt64(state.result.cuts))
            if machine.unsyncedCount() <= effort.enumeratedMax {
                machine.everyCrash { judge($0, promise, killed: false, "\(name), \($1)", &state) }
            } else {
                judge(machine.crash(choosing: DropEverything()), promise, killed: false, "\(name), everything unsynced lost", &state)
                judge(machine.crash(choosing: KeepEverything()), promise, killed: false, "\(name), nothing lost", &state)
            }
            for number in 0..<effort.randomCrashes {
                let order: DirectoryOrder = number % 2 == 0 ? .ordered : .anyOrder
                let seed = random.next()
                judge(machine.crash(seed: seed, directories: order), promise, killed: false, "\(name), fates \(seed) \(order)", &state)
            }
        }
    }

    private func judge(_ after: SimulatedFileSystem, _ promise: Promise, killed: Bool, _ name: String, _ state: inout State, isNested: Bool = false) {
        guard state.result.problems.count < Self.problemsMax else { return }
        state.result.crashes += 1
        let disk = Disk(fingerprint: after.fingerprint(), place: promise.place)
        let outcome: Outcome
        if let known = state.known[disk] {
            outcome = known
        } else {
            state.result.disks += 1
            if !isNested && state.result.disks % effort.nestedEvery == 1 { cutRecovery(after.kill(), promise, killed: killed, name, &state) }
            outcome = CrashCheck.outcome(
                after, script.kind, promise.place, thorough: killed || state.result.disks % effort.thoroughEvery == 0)
            state.known[disk] = outcome
        }
        if let problem = promise.broken(by: outcome, killed: killed) { state.result.problems.append("\(name): \(problem)") }
    }

    /// The recovery of a machine is cut at each of its operations, in its turn.
    private func cutRecovery(_ recovering: SimulatedFileSystem, _ promise: Promise, killed: Bool, _ name: String, _ state: inout State) {
        let found = Mutex<[(SimulatedFileSystem, Bool, String)]>([])
        let step = Atomic(0)
        recovering.observe { [seed] call, path in
            guard call.changesTheDisk else { return }
            let number = step.add(1, ordering: .relaxed).newValue
            let moment = "again before operation \(number) of recovery (\(call) \(path))"
            let machines = [
                (recovering.kill(), killed, "\(moment), killed"),
                (recovering.crash(choosing: DropEverything()), false, "\(moment), everything unsynced lost"),
                (recovering.crash(choosing: KeepEverything()), false, "\(moment), nothing lost"),
                (recovering.crash(seed: seed &+ UInt64(number), directories: .anyOrder), false, "\(moment), fates \(seed &+ UInt64(number)) anyOrder"),
            ]
            found.withLock { $0 += machines }
        }
        do {
            let log = try CrashCheck.open(recovering, script.kind, promise.place)
            recovering.observe(nil)
            try log.close()
        } catch {
            state.result.problems.append("\(name): \(error)")
        }
        recovering.observe(nil)
        for (machine, killed, moment) in found.withLock({ $0 }) {
            state.result.nested += 1
            judge(machine, promise, killed: killed, "\(name), \(moment)", &state, isNested: true)
        }
    }
}
