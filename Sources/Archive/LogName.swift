/// The name of a log in an archive, the first segment of all its keys: `[A-Za-z0-9][A-Za-z0-9._-]{0,99}`.
public struct LogName: Hashable, Sendable, CustomStringConvertible {
    public let text: String

    /// Nil for anything that breaks the rule above.
    public init?(_ text: String) {
        let bytes = text.utf8
        guard let first = bytes.first, bytes.count <= 100, LogName.isAlphanumeric(first),
            bytes.allSatisfy({ LogName.isAlphanumeric($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") })
        else { return nil }
        self.text = text
    }

    public var description: String { text }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }
}
