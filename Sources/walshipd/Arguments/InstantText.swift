import Follower

/// Points in time on the command line: RFC 3339, with its offset, like `2026-03-29T02:30:00Z` or `2026-03-29T04:30:00+02:00`.
///
/// A day that does not exist is refused: read as another one, it would have something else restored or deleted than was meant.
enum InstantText {
    /// Nanoseconds since 1970-01-01 UTC.
    static func parse(_ text: String) throws(ArgumentTextError) -> UInt64 {
        guard let time = RFC3339.parse(text) else {
            throw ArgumentTextError("expected a time with its offset, like 2026-03-29T02:30:00Z, from 1970 to 2554")
        }
        return time
    }

    /// To the second, in UTC.
    static func format(_ nanoseconds: UInt64) -> String { RFC3339.text(nanoseconds / 1_000_000_000 * 1_000_000_000) }
}
