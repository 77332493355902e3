import ArgumentParser
import Foundation

/// `make bench`: measures the log and its shipping against limits that are measured beside them. See docs/benchmarks.md.
@main struct BenchmarksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "benchmarks",
        abstract: "Measures walship against limits that are measured in the same run.",
        discussion: "Prints a table, and writes every sample as JSON. Whether a row is ok or short does not change the exit status; a failure does.",
        subcommands: [Run.self, LeaveDirtyTail.self], defaultSubcommand: Run.self)

    /// Every benchmark there is: one list a suite.
    static let all = AppendSuite.benchmarks + CommitSuite.benchmarks + OpenSuite.benchmarks + ReadSuite.benchmarks + AllocationSuite.benchmarks
        + ShipSuite.benchmarks + ShipBesideSuite.benchmarks + FollowSuite.benchmarks + ReplaySuite.benchmarks + RestoreSuite.benchmarks
}

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Measures (default).")

    @Option(help: "Only rows whose name this regular expression finds; repeat for more.")
    var filter: [String] = []

    @Option(help: "Rounds that count, after one that does not.")
    var repetitions: Int?

    @Option(help: "The order in which things are measured; printed, so that it can be repeated.")
    var seed: UInt64 = .random(in: .min ... .max)

    @Option(help: "Where every sample goes.")
    var json = ".build/benchmarks.json"

    @Option(help: "Where files are made while measuring; must be missing or empty, and is removed.")
    var directory = ".build/benchmarks"

    @Flag(help: "A first look: less volume, two rounds, and nothing that takes long to prepare.")
    var quick = false

    @Flag(help: "Lists the rows that would be measured.")
    var list = false

    func validate() throws {
        if let repetitions, !(1...1000).contains(repetitions) { throw ValidationError("repetitions are 1 to 1000") }
        for text in filter where (try? Regex(text)) == nil { throw ValidationError("\(text) is no regular expression") }
    }

    func run() throws {
        let selected = try select()
        guard !selected.isEmpty else { throw ValidationError("no row has such a name; see --list") }
        if list {
            for benchmark in selected {
                for row in benchmark.rows { print("\(row.name): \(benchmark.about)") }
            }
            return
        }
        let rounds = repetitions ?? (quick ? 2 : 5)
        let workplace = try Workplace(path: directory, isQuick: quick)
        let machine = Machine(measuringIn: workplace.path)
        tell("seed \(seed), \(rounds) rounds after a warm-up\(quick ? ", quick: no basis for a verdict" : "")")
        let start = Clock.now()
        let outcome = Runner(workplace: workplace, repetitions: rounds) { round in
            tell("\(round == 0 ? "warm-up" : "round \(round)") done after \((Clock.now() - start) / 1_000_000_000) s")
        }.run(selected, seed: seed)
        try workplace.removeAll()

        print("\(machine)\nseed \(seed), \(rounds) rounds\(quick ? ", quick" : "")\n\n\(Table(rows: outcome.rows))", terminator: "")
        try Report(outcome.rows, machine: machine, seed: seed, repetitions: rounds, isQuick: quick).write(to: json)
        for failure in outcome.failures { tell("\(failure.benchmark) failed: \(failure.error)") }
        if !outcome.failures.isEmpty { throw ExitCode.failure }
    }

    private func select() throws -> [Benchmark] {
        let expressions = try filter.map { try Regex($0) }
        return BenchmarksCommand.all.compactMap { benchmark in
            let rows = benchmark.rows.filter { row in
                expressions.isEmpty || expressions.contains { row.name.firstMatch(of: $0) != nil }
            }
            return rows.isEmpty ? nil : Benchmark(benchmark.name, about: benchmark.about, probes: benchmark.probes, rows: rows)
        }
    }

    /// To standard error: not part of the table.
    private func tell(_ text: String) { FileHandle.standardError.write(Data("\(text)\n".utf8)) }
}

/// Not for people: the writer that is killed. See `DirtyTail`.
struct LeaveDirtyTail: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: DirtyTail.command, shouldDisplay: false)

    @Option var log: String

    func run() throws { try DirtyTail.write(in: log) }
}
