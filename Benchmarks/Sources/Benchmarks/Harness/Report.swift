import Foundation

/// A run as JSON: the machine, and every sample of every row.
struct Report: Encodable {
    let date: String
    let machine: Machine
    let seed: UInt64
    let repetitions: Int
    let isQuick: Bool
    let rows: [Line]

    struct Line: Encodable {
        let row: String
        let benchmark: String
        let unit: Unit
        /// One a repetition, in the unit; empty where nothing was measured.
        let samples: [Double]
        let median: Double?
        let limit: String?
        let limitUnit: Unit?
        let limitSamples: [Double]
        let limitMedian: Double?
        /// The median of the repetitions' own ratios.
        let ratio: Double?
        let ratioLeast: Double?
        let ratioGreatest: Double?
        let threshold: String
        let verdict: Row.Verdict
    }

    init(_ rows: [RowResult], machine: Machine, seed: UInt64, repetitions: Int, isQuick: Bool) {
        date = Date.now.formatted(.iso8601)
        self.machine = machine
        self.seed = seed
        self.repetitions = repetitions
        self.isQuick = isQuick
        self.rows = rows.map(Line.init)
    }

    /// Replaces what is at `path`; makes the directory for it.
    func write(to path: String) throws {
        let url = URL(filePath: path)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(self).write(to: url, options: .atomic)
    }
}

extension Report.Line {
    init(_ result: RowResult) {
        row = result.row.name
        benchmark = result.benchmark
        unit = result.row.ours.unit
        samples = result.ours?.samples ?? []
        median = result.ours?.median
        switch result.row.limit {
        case .measured(let series, _):
            limit = series.name
            limitUnit = series.unit
            limitSamples = result.limit?.samples ?? []
            limitMedian = result.limit?.median
        case .fixed(let value):
            limit = nil
            limitUnit = unit
            limitSamples = []
            limitMedian = value
        }
        ratio = result.ratio?.median
        ratioLeast = result.ratio?.least
        ratioGreatest = result.ratio?.greatest
        threshold = result.row.threshold.text
        verdict = result.verdict
    }
}
