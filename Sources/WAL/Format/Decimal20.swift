/// Numbers in file names: exactly twenty decimal digits.
package enum Decimal20 {
    package static func text(_ value: UInt64) -> String {
        let digits = String(value)
        return String(repeating: "0", count: 20 - digits.utf8.count) + digits
    }

    /// nil unless the text is twenty ASCII digits of a 64-bit number.
    package static func value(_ text: some StringProtocol) -> UInt64? {
        guard text.utf8.count == 20, text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
            return nil
        }
        return UInt64(text)
    }
}
