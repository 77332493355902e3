import CXXHash
public import WAL

/// The fast 128-bit hash of an object's raw bytes: XXH3-128 with seed 0, in its canonical (big-endian) form.
///
/// It tells two ranges apart and finds damage; it is no defence against somebody who forges objects. When objects are
/// encrypted the same field holds a keyed hash. See docs/decisions/0002-raw-digest.md.
public struct RawDigest: Hashable, Sendable {
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

    public init(of bytes: [UInt8]) {
        unsafe self = bytes.withUnsafeBytes { unsafe RawDigest(of: $0) }
    }

    /// C name: `XXH3_128bits` (libxxhash).
    package init(of bytes: UnsafeRawBufferPointer) {
        // SAFETY: the buffer is valid for its count during the call; libxxhash reads nothing for a count of 0.
        let hash = unsafe XXH3_128bits(bytes.baseAddress, bytes.count)
        self.init(high: hash.high64, low: hash.low64)
    }

    /// Thirty-two hex digits in lower case; nil for anything else.
    public init?(hex: String) {
        guard let (high, low) = HexPair.parse(hex) else { return nil }
        self.init(high: high, low: low)
    }
}

extension RawDigest: CustomStringConvertible {
    /// Thirty-two hex digits in lower case, as `xxh128sum` prints it.
    public var description: String { Hex.sixteenDigits(high) + Hex.sixteenDigits(low) }
}
