/// The value of a Content-Range header: RFC 9110 section 14.4.
struct ContentRange: Hashable, Sendable {
    /// nil in the form that an unsatisfiable range is answered with: `bytes */10`.
    var range: Range<UInt64>?
    /// nil where the server does not know: `bytes 0-4/*`.
    var total: UInt64?

    /// nil for anything that does not follow the rule, ranges beyond the total included.
    init?(_ text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: true)
        guard words.count == 2, words[0].lowercased() == "bytes" else { return nil }
        let parts = words[1].split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        if parts[1] != "*" {
            guard let total = HTTPText.number(parts[1]) else { return nil }
            self.total = total
        }
        if parts[0] == "*" {
            guard total != nil else { return nil }
            return
        }
        let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, let first = HTTPText.number(ends[0]), let last = HTTPText.number(ends[1]),
            first <= last, last < .max, total.map({ last < $0 }) ?? true
        else { return nil }
        range = first..<last + 1
    }
}
