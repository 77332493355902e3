/// Why a text is not the value it should be: what is allowed. The text itself is named by whoever read it.
struct ArgumentTextError: Error, Equatable, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}
