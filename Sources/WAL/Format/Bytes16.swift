/// Sixteen bytes that the log keeps for others and does not interpret: an object's raw digest, an archive's id.
public struct Bytes16: Hashable, Sendable {
    /// The first eight bytes as a big-endian number.
    public let high: UInt64
    /// The last eight bytes as a big-endian number.
    public let low: UInt64

    public static let zero = Bytes16(high: 0, low: 0)

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

extension Bytes16: CustomStringConvertible {
    /// Thirty-two hex digits in lower case.
    public var description: String { Hex.sixteenDigits(high) + Hex.sixteenDigits(low) }
}
