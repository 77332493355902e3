/// A number and what it counts, as people write it.
enum Counted {
    /// `one` is a noun in the singular that takes an s.
    static func text(_ number: some BinaryInteger, _ one: String) -> String { "\(number) \(one)\(number == 1 ? "" : "s")" }
}
