import WAL

/// LSNs on the command line: decimal digits, as everything of ours prints them.
enum LSNText {
    static func parse(_ text: String) throws(ArgumentTextError) -> LSN {
        guard !text.isEmpty, text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
            throw ArgumentTextError("expected an LSN: decimal digits, as `walshipd status` and `append --ack` print them")
        }
        guard let value = UInt64(text), value < 1 << 62 else {
            throw ArgumentTextError("expected an LSN below 4611686018427387904 (2^62)")
        }
        return LSN(value)
    }
}
