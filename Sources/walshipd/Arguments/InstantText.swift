import Foundation

/// Points in time on the command line: RFC 3339, with its offset, like `2026-03-29T02:30:00Z` or `2026-03-29T04:30:00+02:00`.
enum InstantText {
    /// Nanoseconds since 1970-01-01 UTC.
    static func parse(_ text: String) throws(ArgumentTextError) -> UInt64 {
        let date: Date
        do {
            let hasFraction = text.contains(".")
            date = try Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: hasFraction))
        } catch {
            throw ArgumentTextError("expected a time with its offset, like 2026-03-29T02:30:00Z")
        }
        let seconds = date.timeIntervalSince1970
        // Unsigned nanoseconds end in 2554.
        guard seconds >= 0, seconds < 18_000_000_000 else { throw ArgumentTextError("expected a time between 1970 and 2540") }
        return UInt64(seconds * 1000) * 1_000_000
    }

    /// To the second, in UTC.
    static func format(_ nanoseconds: UInt64) -> String {
        Date(timeIntervalSince1970: Double(nanoseconds / 1_000_000_000)).formatted(.iso8601)
    }
}
