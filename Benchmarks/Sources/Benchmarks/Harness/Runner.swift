/// Measures benchmarks, and makes rows of what it has measured.
///
/// In each repetition the benchmarks come in a new random order, and in each of them its probes do: what is compared is measured right after each
/// other, and what disturbs the machine for a while falls on both sides alike. The first round warms up (page cache, processor, allocator,
/// file system) and is not counted.
struct Runner {
    let workplace: Workplace
    let repetitions: Int
    /// Told after each round: its number, 0 for the warm-up.
    let progress: (Int) -> Void

    private struct State {
        let benchmark: Benchmark
        let probes: [Probe]
        var samples: [Series: [Double]] = [:]
        var error: (any Error)?
    }

    struct Outcome {
        var rows: [RowResult]
        /// What could not be measured, and why.
        var failures: [(benchmark: String, error: any Error)]
    }

    /// `benchmarks` have only the rows that are asked for; probes that no row needs do not run.
    func run(_ benchmarks: [Benchmark], seed: UInt64) -> Outcome {
        var generator = SeededGenerator(seed: seed)
        var states = benchmarks.map { benchmark in
            let needed = Set(benchmark.rows.flatMap(\.series))
            return State(
                benchmark: benchmark,
                probes: benchmark.probes.filter { probe in
                    !(probe.isLong && workplace.isQuick) && probe.series.contains { needed.contains($0) }
                })
        }
        for round in 0...repetitions {
            for index in states.indices.shuffled(using: &generator) {
                for probe in states[index].probes.shuffled(using: &generator) where states[index].error == nil {
                    do {
                        try workplace.settle()
                        let values = try probe.run(workplace)
                        if round == 0 { continue }
                        for (series, value) in values { states[index].samples[series, default: []].append(value) }
                    } catch {
                        states[index].error = error
                    }
                }
            }
            progress(round)
        }
        return Outcome(
            rows: states.flatMap { state in state.benchmark.rows.map { result(of: $0, state) } },
            failures: states.compactMap { state in state.error.map { (state.benchmark.name, $0) } })
    }

    private func result(of row: Row, _ state: State) -> RowResult {
        if state.error != nil { return RowResult(row: row, benchmark: state.benchmark.name, verdict: .failed) }
        guard row.series.allSatisfy({ state.samples[$0] != nil }) else {
            return RowResult(row: row, benchmark: state.benchmark.name, verdict: .skipped)
        }
        return RowResult(row: row, benchmark: state.benchmark.name, samples: state.samples)
    }
}
