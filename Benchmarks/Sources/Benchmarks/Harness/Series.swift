/// What a probe measures each time it runs: one number of one unit. Two series of a benchmark with one name are the same series.
struct Series: Hashable, Sendable {
    let name: String
    let unit: Unit

    init(_ name: String, _ unit: Unit) {
        self.name = name
        self.unit = unit
    }
}

/// What a number counts. Values are kept in the unit that the case names.
enum Unit: String, Hashable, Sendable, Encodable {
    /// A time; less is better.
    case nanoseconds = "ns"
    /// How many in a second; more is better.
    case perSecond = "/s"
    /// More is better.
    case bytesPerSecond = "B/s"
    /// Heap allocations for one append; less is better.
    case allocations = "allocations"
    /// Memory; less is better.
    case bytes = "B"
    /// Processor time for each GiB of log; less is better.
    case secondsPerGiB = "s/GiB"
    /// Of one processor's time; less is better.
    case processorShare = "of a processor"
    /// Less is better.
    case requests = "requests"

    var isBetterWhenLess: Bool {
        switch self {
        case .nanoseconds, .allocations, .bytes, .secondsPerGiB, .processorShare, .requests: true
        case .perSecond, .bytesPerSecond: false
        }
    }

    /// The number with three significant digits, in the multiple of the unit that suits it.
    func text(_ value: Double) -> String {
        switch self {
        case .nanoseconds: Unit.scaled(value, [("ns", 1), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)])
        case .perSecond: Unit.scaled(value, [("/s", 1), ("k/s", 1e3), ("M/s", 1e6)])
        case .bytesPerSecond: Unit.scaled(value, [("B/s", 1), ("kB/s", 1e3), ("MB/s", 1e6), ("GB/s", 1e9)])
        case .allocations, .requests: Unit.digits(value)
        case .bytes: Unit.scaled(value, [("B", 1), ("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824)])
        case .secondsPerGiB: "\(Unit.digits(value)) s/GiB"
        case .processorShare: "\(Unit.digits(value * 100)) %"
        }
    }

    private static func scaled(_ value: Double, _ steps: [(name: String, size: Double)]) -> String {
        let step = steps.last { value >= $0.size } ?? steps[0]
        return "\(digits(value / step.size)) \(step.name)"
    }

    /// Three significant digits, without an exponent where that can be.
    static func digits(_ value: Double) -> String {
        guard value.isFinite, value != 0 else { return value == 0 ? "0" : "\(value)" }
        if value.magnitude < 0.001 { return "\(digits(value * 1e6)) ppm" }
        let places = value.magnitude >= 100 ? 0 : value.magnitude >= 10 ? 1 : value.magnitude >= 1 ? 2 : 3
        var scale = 1
        for _ in 0..<places { scale *= 10 }
        let scaled = Int((value.magnitude * Double(scale)).rounded())
        let whole = "\(value < 0 ? "-" : "")\(scaled / scale)"
        if places == 0 { return whole }
        let fraction = "\(scaled % scale)"
        return "\(whole).\(String(repeating: "0", count: places - fraction.count))\(fraction)"
    }
}
