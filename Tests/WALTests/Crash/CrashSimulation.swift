import Glibc
import Synchronization
import Testing
import TestSupport
import WAL

/// A seeded workload on a simulated machine, and the machine as power failure (or death of the process) would leave it at each call of the
/// file system; each is opened again and compared with what had been promised at that moment.
final class CrashSimulation: Sendable {
    struct Plan: Sendable {
        var seed: UInt64
        var steps = 40
        var segmentSize = 4096
        /// Every how many calls the machine crashes.
        var stride = 1
        var kind = Kind.segments
        /// Makes the store under test; nil: the right one.
        var makeStore: (@Sendable (SimulatedFileSystem, any TimeSource) -> AnyStore)?
        enum Kind: Sendable { case segments, file }

        func store(_ machine: SimulatedFileSystem, _ time: any TimeSource) -> AnyStore {
            switch kind {
            case .segments: AnyStore(SegmentedStore(directory: "/log", segmentSize: segmentSize, fileSystem: machine, time: time))
            case .file: AnyStore(FileStore(path: "/log", fileSystem: machine, time: time))
            }
        }
    }

    /// What is promised at a moment.
    private struct Promise {
        /// Every record whose append has returned, ascending.
        var returned: [(lsn: LSN, data: [UInt8])] = []
        /// One whose append is under way.
        var pending: [UInt8]?
        /// Everything below was acknowledged by a sync.
        var acknowledged = LSN.zero
        /// The head lies between: what truncation has returned, and what it was asked for.
        var head = LSN.zero
        var headAsked = LSN.zero
        var isCreated = false
    }

    private let plan: Plan
    private let promise = Mutex(Promise())
    private let problems = Recorder<String>()
    private let calls = Atomic(0)
    private let crashCount = Atomic(0)

    private init(_ plan: Plan) { self.plan = plan }

    /// What went wrong, and how many crashes there were.
    static func run(_ plan: Plan) throws -> (problems: [String], crashes: Int) {
        let simulation = CrashSimulation(plan)
        try simulation.run()
        return (simulation.problems.values, simulation.crashCount.load(ordering: .relaxed))
    }

    private func run() throws {
        let machine = SimulatedFileSystem()
        let me = pthread_self()
        machine.observe { [self] call, path in
            // Calls of this thread only, so that their numbers follow from the seed.
            guard pthread_equal(pthread_self(), me) != 0 else { return }
            let number = calls.add(1, ordering: .relaxed).newValue
            guard number % plan.stride == 0, problems.values.count < 3 else { return }
            crash(machine, number, "\(call) \(path)")
        }
        try work(on: machine)
        machine.observe(nil)
    }

    // MARK: The workload

    private func work(on machine: SimulatedFileSystem) throws {
        var random = SeededGenerator(seed: plan.seed)
        let time = SimulatedTimeSource()
        let make = plan.makeStore ?? { [plan] in plan.store($0, $1) }
        var log = try AnyLog(store: make(machine, time))
        promise.withLock { $0.isCreated = true }
        for step in 0..<plan.steps {
            time.advance(nanoseconds: UInt64.random(in: 0...20_000_000, using: &random))
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<11:
                let count: Int
                switch Int.random(in: 0..<12, using: &random) {
                case 0: count = 0
                case 1: count = plan.segmentSize - 8
                case 2: count = Int.random(in: 0...3 * plan.segmentSize, using: &random)
                case 3 where step % 3 == 0: count = 6 * plan.segmentSize
                default: count = Int.random(in: 1...700, using: &random)
                }
                let data = sampleRecord(step + Int(plan.seed) * 1000, count: count)
                promise.withLock { $0.pending = data }
                let lsn = try log.append(data)
                promise.withLock { promise in
                    promise.returned.append((lsn, data))
                    promise.pending = nil
                }
            case 11..<16:
                let durable = try log.sync()
                promise.withLock { $0.acknowledged = durable }
            case 16:
                let (head, durable) = (log.headLSN, log.durableLSN)
                let target = LSN(UInt64.random(in: head.rawValue...durable.rawValue, using: &random))
                promise.withLock { $0.headAsked = target }
                let new = try log.truncateBefore(target)
                promise.withLock { $0.head = new }
            case 17:
                let durable = log.durableLSN
                try log.pin("pin", at: LSN(UInt64.random(in: log.headLSN.rawValue...durable.rawValue, using: &random)))
                try log.unpin("pin")
            case 18:
                try log.close()
                promise.withLock { $0.acknowledged = log.durableLSN }
                log = try AnyLog(store: make(machine, time))
            default:
                // The process dies: nothing is closed, the page cache stays.
                let end = log.endLSN
                _ = consume log
                log = try AnyLog(store: make(machine, time))
                if log.endLSN != end { problems.append("after dropping the log: end \(log.endLSN), not \(end)") }
                // Recovery has made everything durable.
                promise.withLock { $0.acknowledged = end }
            }
        }
        try log.close()
    }

    // MARK: Crashes

    private func crash(_ machine: SimulatedFileSystem, _ number: Int, _ what: String) {
        let promise = promise.withLock { $0 }
        let seed = plan.seed &* 100_003 &+ UInt64(number)
        let order: DirectoryOrder = number % 2 == 0 ? .ordered : .anyOrder
        let after: (SimulatedFileSystem, String)
        switch number % 5 {
        case 0: after = (machine.crash(choosing: DropEverything(), directories: order), "drop everything")
        case 1: after = (machine.kill(), "kill")
        case 2: after = (machine.crash(choosing: KeepEverything(), directories: order), "keep everything")
        default: after = (machine.crash(seed: seed, directories: order), "seed \(seed)")
        }
        let name = "call \(number) (\(what)), \(after.1), \(order)"
        // The second crash meets every call of the recovery from the first, on one crash in twelve.
        if number % 12 == 3 {
            let second = Atomic(0)
            let recovering = after.0.crash(choosing: KeepEverything())
            recovering.observe { [self] call, path in
                let step = second.add(1, ordering: .relaxed).newValue
                guard problems.values.count < 3 else { return }
                check(
                    recovering.crash(seed: seed &+ UInt64(step) &* 31, directories: order), promise, killed: false,
                    "\(name), again at call \(step) (\(call) \(path)) of recovery")
            }
            do {
                try AnyLog(store: plan.store(recovering, SimulatedTimeSource())).close()
            } catch {
                problems.append("\(name): \(error)")
            }
            recovering.observe(nil)
        }
        check(after.0, promise, killed: after.1 == "kill", name)
    }

    private func check(_ machine: SimulatedFileSystem, _ promise: Promise, killed: Bool, _ name: String) {
        crashCount.add(1, ordering: .relaxed)
        do {
            var log = try AnyLog(store: plan.store(machine, SimulatedTimeSource()))
            if let problem = compare(log, promise, killed: killed) { problems.append("\(name): \(problem)") }
            // It goes on, and what it recovered now survives the worst crash.
            let end = log.endLSN
            let lsn = try log.append([1, 2, 3])
            if lsn != end { problems.append("\(name): appended at \(lsn), not at the end \(end)") }
            let worst = machine.crash(choosing: DropEverything())
            _ = consume log
            log = try AnyLog(store: plan.store(worst, SimulatedTimeSource()))
            if log.endLSN != end { problems.append("\(name): recovered up to \(end), and then lost down to \(log.endLSN)") }
            if let problem = compare(log, promise, killed: killed) { problems.append("\(name), then the worst crash: \(problem)") }
            try log.close()
        } catch {
            problems.append("\(name): \(error)")
        }
    }

    private func compare(_ log: AnyLog, _ promise: Promise, killed: Bool) -> String? {
        let head = log.headLSN
        guard head >= promise.head, head <= max(promise.head, promise.headAsked) else {
            return "head \(head), not \(promise.head) to \(promise.headAsked)"
        }
        guard log.endLSN >= promise.acknowledged else { return "end \(log.endLSN) below the acknowledged \(promise.acknowledged)" }
        var expected = promise.returned.filter { $0.lsn >= head }
        let end = promise.returned.last.map { $0.lsn.advanced(by: UInt64($0.data.count + 8)) } ?? .zero
        if killed, log.endLSN < end { return "end \(log.endLSN) below \(end), which the process had written" }
        if let pending = promise.pending { expected.append((end, pending)) }
        var position = head
        var index = 0
        for element in log.iter(upTo: .written) {
            guard case .success(let record) = element else { return "\(element)" }
            guard index < expected.count else { return "a record at \(record.lsn) that nobody appended" }
            guard record.lsn == expected[index].lsn, record.lsn == position else {
                return "a record at \(record.lsn) where \(expected[index].lsn) belongs"
            }
            guard record.data == expected[index].data else { return "the record at \(record.lsn) is another" }
            position = record.endLSN
            index += 1
        }
        return position == log.endLSN ? nil : "records end at \(position), the log at \(log.endLSN)"
    }
}
