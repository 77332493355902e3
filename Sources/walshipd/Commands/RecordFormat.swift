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
    /// For a consumer: LSN, LSN and epoch id of the position after the record, eight bytes each, then as framed.
    case positioned

    /// Those that `cat` prints.
    static let printed: [RecordFormat] = [.lines, .framed, .hex, .json]
    /// Those that `append` reads.
    static let readable: [RecordFormat] = [.lines, .framed]

    /// For the help of commands that feed consumers.
    static let positionWords = """
        Formats: json (default), one object a line, {"lsn":"11","next":"30@00f1e2d3c4b5a697","data":"text"}; positioned, LSN, next and the id of next's epoch in 8 bytes each and the \
        length in 4, little-endian, then the record; lines, framed and hex as `walshipd cat`, without positions. A command that stores next together with what it made of the \
        record, and is started with it as --from, has each record exactly once; where the log's history has left that epoch below next, it ends with 4.
        """

    static func parse(_ allowed: [RecordFormat]) -> (String) throws(ArgumentTextError) -> RecordFormat {
        { (text: String) throws(ArgumentTextError) -> RecordFormat in
            guard let format = RecordFormat(rawValue: text), allowed.contains(format) else {
                throw ArgumentTextError("expected \(allowed.dropLast().map(\.rawValue).joined(separator: ", ")) or \(allowed.last?.rawValue ?? "")")
            }
            return format
        }
    }
}
