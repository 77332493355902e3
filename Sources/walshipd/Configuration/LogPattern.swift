import Archive

/// Logs that are found rather than listed: a path with `*` (any characters) and `?` (one) in one of its parts, like `/var/lib/*/wal`.
///
/// That part names each log in the archives, or is put in for the `*` of a name: `name: "host1-*"`. A part that begins with a dot is found only by a
/// pattern that does, as in a shell.
struct LogPattern: Hashable, Sendable {
    /// As configured.
    var text: String
    /// What comes before the part, what the part looks like, what comes after.
    let parent: String
    private let part: String
    private let rest: String
    private let name: (before: String, after: String)

    static let nameRule = "a log name has 1 to 100 letters, digits, dots, _ and -, and begins with a letter or digit"

    static func isPattern(_ path: String) -> Bool { path.contains(where: isWild) }

    private static func isWild(_ character: Character) -> Bool { character == "*" || character == "?" }

    /// Throws what is wrong with `path`, or with `name` (nil: the part itself).
    init(path: String, name: String?) throws(ArgumentTextError) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        let wild = parts.indices.filter { Self.isPattern(parts[$0]) }
        guard wild.count == 1, let index = wild.first else {
            throw ArgumentTextError("expected * and ? in one part of the path only, which names each log; list several patterns")
        }
        let pieces = (name ?? "*").split(separator: "*", omittingEmptySubsequences: false)
        guard pieces.count == 2, !pieces.contains(where: { $0.contains("?") }) else {
            throw ArgumentTextError("expected a name with one *, for which the matching part of each path is put in")
        }
        let root = path.hasPrefix("/") ? "/" : ""
        text = path
        parent = index == 0 ? (root.isEmpty ? "." : root) : root + parts[..<index].joined(separator: "/")
        part = parts[index]
        rest = parts[(index + 1)...].map { "/" + $0 }.joined()
        self.name = (String(pieces[0]), String(pieces[1]))
    }

    static func == (lhs: LogPattern, rhs: LogPattern) -> Bool { lhs.text == rhs.text && lhs.name == rhs.name }

    func hash(into hasher: inout Hasher) { hasher.combine(text) }

    func path(for part: String) -> String { (parent == "/" ? "" : parent) + "/" + part + rest }

    func name(for part: String) -> LogName? { LogName(name.before + part + name.after) }

    func matches(_ entry: String) -> Bool {
        guard !entry.hasPrefix(".") || part.hasPrefix(".") else { return false }
        return Self.matches(Array(entry.utf8), Array(part.utf8))
    }

    /// The usual walk with one place to go back to: linear for one star, quadratic at worst.
    private static func matches(_ text: [UInt8], _ pattern: [UInt8]) -> Bool {
        var (at, wanted) = (0, 0)
        var star: (pattern: Int, text: Int)?
        while at < text.count {
            if wanted < pattern.count, pattern[wanted] == UInt8(ascii: "*") {
                star = (wanted, at)
                wanted += 1
            } else if wanted < pattern.count, pattern[wanted] == UInt8(ascii: "?") || pattern[wanted] == text[at] {
                wanted += 1
                at += 1
            } else if let last = star {
                star = (last.pattern, last.text + 1)
                wanted = last.pattern + 1
                at = last.text + 1
            } else {
                return false
            }
        }
        return pattern[wanted...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
