/// How records lie one after the other in a stream of bytes.
enum RecordFormat: String, CaseIterable, Sendable {
    /// One record a line, without its newline.
    case lines
    /// The length as four bytes, little-endian, then the bytes.
    case framed
    /// One record a line, two lower-case digits a byte.
    case hex
    /// One object a line: `lsn`, and `data` or `base64`; for a consumer also `next`.
    case json
    /// For a consumer: LSN and the position after the record, eight bytes each, then as framed.
    case positioned

    /// Those that `cat` prints.
    static let printed: [RecordFormat] = [.lines, .framed, .hex, .json]
    /// Those that `append` reads.
    static let readable: [RecordFormat] = [.lines, .framed]

    static func parse(_ allowed: [RecordFormat]) -> (String) throws(ArgumentTextError) -> RecordFormat {
        { (text: String) throws(ArgumentTextError) -> RecordFormat in
            guard let format = RecordFormat(rawValue: text), allowed.contains(format) else {
                throw ArgumentTextError("expected \(allowed.dropLast().map(\.rawValue).joined(separator: ", ")) or \(allowed.last?.rawValue ?? "")")
            }
            return format
        }
    }
}
