/// Things that are measured beside each other, because they are compared with each other.
struct Benchmark: Sendable {
    let name: String
    /// One sentence: what is measured.
    let about: String
    let probes: [Probe]
    let rows: [Row]

    init(_ name: String, about: String, probes: [Probe], rows: [Row]) {
        self.name = name
        self.about = about
        self.probes = probes
        self.rows = rows
        let known = Set(probes.flatMap(\.series))
        for row in rows {
            for series in row.series { precondition(known.contains(series), "row \(row.name): no probe measures \(series.name)") }
        }
    }
}

/// One measurement that can be repeated. It prepares and cleans up by itself, outside of what it times.
struct Probe: Sendable {
    /// What it measures, each once whenever it runs.
    let series: [Series]
    /// Takes seconds to prepare, so a quick run leaves it out.
    let isLong: Bool
    let run: @Sendable (Workplace) throws -> [Series: Double]

    init(_ series: Series..., isLong: Bool = false, run: @escaping @Sendable (Workplace) throws -> [Series: Double]) {
        self.series = series
        self.isLong = isLong
        self.run = run
    }

    /// A probe of one series.
    init(_ series: Series, isLong: Bool = false, measure: @escaping @Sendable (Workplace) throws -> Double) {
        self.init(series, isLong: isLong) { workplace in [series: try measure(workplace)] }
    }
}
