/// Durations as people write them: a whole number and its unit, `10ms`, `1s`, `5m`, `2h`, `7d`. The unit is never left out.
enum DurationText {
    private static let units: [(suffix: String, milliseconds: Int64)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1),
    ]

    /// Longer than any wait of ours; keeps every sum of durations far from overflow.
    private static let max: Int64 = 36_500 * 86_400_000

    static func parse(_ text: String) throws(ArgumentTextError) -> Duration {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let suffix = text.dropFirst(digits.count)
        guard !digits.isEmpty, let unit = units.first(where: { $0.suffix == suffix }) else {
            throw ArgumentTextError("expected a whole number with its unit: ms, s, m, h or d, like 500ms or 10s")
        }
        guard let number = Int64(digits) else { throw tooLong }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit.milliseconds)
        guard !overflow, product <= max else { throw tooLong }
        return .milliseconds(product)
    }

    private static var tooLong: ArgumentTextError { ArgumentTextError("expected at most 36500d") }

    /// The shortest form that `parse` reads back; parts of a millisecond are dropped.
    static func format(_ duration: Duration) -> String {
        let milliseconds = duration.components.seconds * 1_000 + duration.components.attoseconds / 1_000_000_000_000_000
        for unit in units where milliseconds != 0 && milliseconds % unit.milliseconds == 0 {
            return "\(milliseconds / unit.milliseconds)\(unit.suffix)"
        }
        return "0s"
    }
}
