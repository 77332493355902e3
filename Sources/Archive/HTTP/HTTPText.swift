/// The few forms of text that header lines need.
package enum HTTPText {
    /// A number as HTTP writes it: digits only, no sign, no space; nil for anything else and for what does not fit.
    package static func number(_ text: some StringProtocol) -> UInt64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else { return nil }
        return UInt64(text)
    }

    /// Without spaces, tabs and line ends on both sides.
    package static func trimmed(_ text: Substring) -> Substring {
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A }
        let utf8 = text.utf8
        guard let first = utf8.firstIndex(where: { !isBlank($0) }), let last = utf8.lastIndex(where: { !isBlank($0) }) else {
            return ""
        }
        return text[first..<utf8.index(after: last)]
    }
}
