import Follower

/// Points in time on the command line: RFC 3339, with its offset, like `2026-03-29T02:30:00Z` or `2026-03-29T04:30:00+02:00`.
enum InstantText {
    /// Nanoseconds since 1970-01-01 UTC.
    static func parse(_ text: String) throws(ArgumentTextError) -> UInt64 {
        guard let time = RFC3339.parse(text) else {
            throw ArgumentTextError("expected a time with its offset, like 2026-03-29T02:30:00Z, from 1970 to 2554")
        }
        return time
    }
}
