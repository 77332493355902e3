public import WAL

/// The identity of one archive of a log: sixteen random bytes, made when its log.json is created. A copy of an archive under
/// another URL keeps it; a new archive of the same log has another.
public struct ArchiveID: Hashable, Sendable {
    /// The first eight bytes as a big-endian number.
    public let high: UInt64
    /// The last eight bytes as a big-endian number.
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// From and to the form in which a log's slots keep it.
    public init(_ bytes: Bytes16) {
        self.init(high: bytes.high, low: bytes.low)
    }
    public var bytes: Bytes16 { Bytes16(high: high, low: low) }

    public static func random(using generator: inout some RandomNumberGenerator) -> ArchiveID {
        ArchiveID(high: generator.next(), low: generator.next())
    }

    /// Thirty-two hex digits in lower case; nil for anything else.
    public init?(hex: String) {
        guard let (high, low) = HexPair.parse(hex) else { return nil }
        self.init(high: high, low: low)
    }
}

extension ArchiveID: CustomStringConvertible {
    /// Thirty-two hex digits in lower case.
    public var description: String { Hex.sixteenDigits(high) + Hex.sixteenDigits(low) }
}

/// Sixteen bytes as two big-endian halves, the form that ids and digests share.
enum HexPair {
    /// Exactly thirty-two lower-case hex digits.
    static func parse(_ hex: String) -> (high: UInt64, low: UInt64)? {
        guard hex.utf8.count == 32, isLowerCaseHex(hex),
            let high = UInt64(hex.prefix(16), radix: 16), let low = UInt64(hex.suffix(16), radix: 16)
        else { return nil }
        return (high, low)
    }

    static func isLowerCaseHex(_ text: String) -> Bool {
        text.utf8.allSatisfy { byte in
            UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || UInt8(ascii: "a")...UInt8(ascii: "f") ~= byte
        }
    }
}
