import TestSupport
@testable import WAL

/// Opens the log on a machine as a crash left it: says what is there, and whether it goes on.
enum CrashCheck {
    /// `thorough`: it also goes on, and loses power again.
    static func outcome(_ machine: SimulatedFileSystem, _ kind: Script.Kind, _ place: String, thorough: Bool) -> Outcome {
        var outcome = Outcome()
        do {
            var log = try open(machine, kind, place)
            outcome = try look(log, machine, kind, place)
            if log.isReplica {
                // A promotion that was interrupted is done again.
                try log.close()
                let number = log.epochs.current.number + 1
                try promote(place, .init(number: number, id: EpochID(rawValue: number << 32)), machine, SimulatedTimeSource())
                log = try open(machine, kind, place)
                try expect(!log.isReplica, "still a replica after it was promoted")
                try expectSame(try look(log, machine, kind, place), outcome, "promoting it")
            }
            if thorough { try goOn(log, &outcome, machine, kind, place) }
            try log.close()
        } catch {
            outcome.problem = "\(error)"
        }
        return outcome
    }

    /// What was recovered is on the disk before anything is appended, and so is what comes after it.
    private static func goOn(
        _ log: AnyLog, _ outcome: inout Outcome, _ machine: SimulatedFileSystem, _ kind: Script.Kind, _ place: String
    ) throws {
        let recovered = machine.crash(choosing: DropEverything())
        let lsn = try log.append([1, 2, 3])
        try expect(lsn == outcome.end, "appended at \(lsn), not at the end \(outcome.end)")
        let durable = try log.sync()
        try expect(durable == outcome.end.advanced(by: 11), "synced up to \(durable)")
        let grown = machine.crash(choosing: DropEverything())
        let head = try log.truncateBefore(durable)
        let truncated = machine.crash(choosing: DropEverything())

        let first = try reopen(recovered, kind, place)
        try expectSame(first, outcome, "the worst crash")
        var second = try reopen(grown, kind, place)
        try expect(second.records.popLast()?.lsn == outcome.end, "the record that was appended after recovery is gone")
        second.end = outcome.end
        try expectSame(second, outcome, "going on and the worst crash")
        let third = try reopen(truncated, kind, place)
        try expect(third.head == head, "truncated to \(head), and after the worst crash the head is \(third.head)")
        outcome.laterSlots = [first.slots, second.slots, third.slots]
    }

    static func open(_ machine: SimulatedFileSystem, _ kind: Script.Kind, _ place: String) throws -> AnyLog {
        // What is prepared ahead is the workload's to leave behind; what is looked at here goes on by a record at most.
        var configuration = LogConfiguration()
        configuration.helpers = .off
        return try AnyLog(store: AnyStore(ScriptedStore.make(kind, place, machine, SimulatedTimeSource())), configuration: configuration)
    }

    private static func reopen(_ machine: SimulatedFileSystem, _ kind: Script.Kind, _ place: String) throws -> Outcome {
        let log = try open(machine, kind, place)
        defer { try? log.close() }
        return try look(log, machine, kind, place)
    }

    private static func look(_ log: AnyLog, _ machine: SimulatedFileSystem, _ kind: Script.Kind, _ place: String) throws -> Outcome {
        var outcome = Outcome(
            logID: log.logID, head: log.headLSN, end: log.endLSN, epoch: log.epochs.current.number, isReplica: log.isReplica)
        try expect(log.headLSN <= log.durableLSN, "head \(log.headLSN) above durable \(log.durableLSN)")
        try expect(log.durableLSN <= log.writtenLSN, "durable \(log.durableLSN) above written \(log.writtenLSN)")
        try expect(log.writtenLSN == log.endLSN, "written \(log.writtenLSN), the end \(log.endLSN)")
        for element in log.iter(upTo: .written) {
            let record = try element.get()
            outcome.records.append(.init(lsn: record.lsn, count: record.count, digest: digest(record.data), continues: record.continuesBatch))
        }
        let paths = switch kind {
        case .segments: LogPaths(directory: place)
        case .file: LogPaths(file: place)
        }
        let slots = SlotDirectory(paths: paths, fileSystem: machine)
        for name in try slots.names() {
            let file = try slots.read(name, expecting: log.logID)
            guard let current = file.current, case .from(let lower) = file.hold else { throw ScriptError("slot \(name): \(file.hold)") }
            outcome.slots[name] = .init(current: current.position, lower: lower)
            try expect(log.headLSN <= lower, "head \(log.headLSN) above slot \(name) at \(lower)")
        }
        return outcome
    }

    private static func expectSame(_ found: Outcome, _ before: Outcome, _ what: String) throws {
        try expect(found.head == before.head, "head \(before.head), after \(what) \(found.head)")
        try expect(found.end == before.end, "end \(before.end), after \(what) \(found.end)")
        try expect(found.records == before.records, "other records after \(what)")
    }

    private static func expect(_ condition: Bool, _ what: @autoclosure () -> String) throws {
        if !condition { throw ScriptError(what()) }
    }
}
