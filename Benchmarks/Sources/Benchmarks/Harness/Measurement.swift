/// The values of one series, one for each repetition, and what is said of them: the median, and the spread from the least to the greatest.
struct Measurement: Hashable, Sendable {
    /// In the order of the repetitions; never empty.
    let samples: [Double]

    init(samples: [Double]) {
        precondition(!samples.isEmpty, "nothing was measured")
        self.samples = samples
    }

    var median: Double { samples.percentile(50) }
    var least: Double { samples.percentile(0) }
    var greatest: Double { samples.percentile(100) }
}

extension Collection where Element == Double {
    /// The value below or at which `percent` of all lie: with 50 the median (the mean of the middle two where there are two). Not for an empty collection.
    func percentile(_ percent: Double) -> Double {
        precondition(!isEmpty, "nothing was measured")
        let ordered = sorted()
        let place = percent / 100 * Double(ordered.count - 1)
        let below = Int(place)
        let above = Swift.min(below + 1, ordered.count - 1)
        // Between two neighbours the line between them.
        return ordered[below] + (ordered[above] - ordered[below]) * (place - Double(below))
    }
}
