/// One line of the table: what the log does, against a limit measured in the same run, and how near it has to come.
struct Row: Sendable {
    /// Unique among all rows; `--filter` finds it by this, and so does docs/benchmarks.md.
    let name: String
    let ours: Series
    let limit: Limit
    let threshold: Threshold

    /// What a row is compared with.
    enum Limit: Sendable {
        /// Measured beside it; the letter as in docs/benchmarks.md.
        case measured(Series, letter: String)
        /// A number that the design promises, in the unit of our series.
        case fixed(Double)
    }

    enum Threshold: Sendable {
        /// At least so many times as good as the limit: as fast, or as many.
        case atLeast(Double)
        /// At most so many times what the limit takes.
        case atMost(Double)
    }

    enum Verdict: String, Sendable, Encodable {
        case ok
        /// Measured, and not what it should be.
        case short
        /// Not measured in a quick run.
        case skipped
        /// Could not be measured; the error is told beside the table.
        case failed
    }

    /// The series that have to be measured for this row.
    var series: [Series] {
        switch limit {
        case .measured(let series, _): [ours, series]
        case .fixed: [ours]
        }
    }
}

/// A row with what was measured.
struct RowResult: Sendable {
    let row: Row
    let benchmark: String
    var verdict: Row.Verdict
    /// Nil where nothing was measured.
    var ours: Measurement?
    /// Nil where nothing was measured, or the limit is a fixed number.
    var limit: Measurement?
    /// Of each repetition, both sides having been measured right after each other; nil where the limit is zero.
    var ratio: Measurement?

    init(row: Row, benchmark: String, verdict: Row.Verdict) {
        self.row = row
        self.benchmark = benchmark
        self.verdict = verdict
    }

    /// Compares what was measured. Both sides have a sample a repetition.
    init(row: Row, benchmark: String, samples: [Series: [Double]]) {
        let ours = samples[row.ours] ?? []
        self.init(row: row, benchmark: benchmark, verdict: .short)
        self.ours = Measurement(samples: ours)
        var limits: [Double]
        switch row.limit {
        case .measured(let series, _):
            limits = samples[series] ?? []
            precondition(limits.count == ours.count, "both sides of a row are measured in each repetition")
            limit = Measurement(samples: limits)
        case .fixed(let value): limits = Array(repeating: value, count: ours.count)
        }
        if limits.contains(0) {
            // Nothing can be compared with nothing: not a single allocation is allowed.
            verdict = ours.allSatisfy { $0 == 0 } ? .ok : .short
            return
        }
        let ratio = Measurement(samples: zip(ours, limits).map { row.threshold.ratio(ours: $0, limit: $1, row.ours.unit) })
        self.ratio = ratio
        verdict = row.threshold.isMet(by: ratio.median) ? .ok : .short
    }
}

extension Row.Threshold {
    var value: Double {
        switch self {
        case .atLeast(let value), .atMost(let value): value
        }
    }

    var text: String {
        switch self {
        case .atLeast(let value): "≥ \(Unit.digits(value))"
        case .atMost(let value): "≤ \(Unit.digits(value))"
        }
    }

    /// How many times as good as the limit we are, or how many times as much we take.
    func ratio(ours: Double, limit: Double, _ unit: Unit) -> Double {
        let timesAsGood = unit.isBetterWhenLess ? limit / ours : ours / limit
        return switch self {
        case .atLeast: timesAsGood
        case .atMost: 1 / timesAsGood
        }
    }

    func isMet(by ratio: Double) -> Bool {
        switch self {
        case .atLeast(let value): ratio >= value
        case .atMost(let value): ratio <= value
        }
    }
}
