internal import Crypto
import WAL

/// Names a master key in metadata, messages and status without telling anything of it: it is derived from the key by a function that cannot be inverted.
public struct KeyID: Hashable, Sendable {
    /// The first eight bytes as a big-endian number.
    public let high: UInt64
    /// The last eight bytes as a big-endian number.
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Thirty-two hex digits in lower case; nil for anything else.
    public init?(hex: String) {
        guard let (high, low) = HexPair.parse(hex) else { return nil }
        self.init(high: high, low: low)
    }
}

extension KeyID: CustomStringConvertible {
    /// Thirty-two hex digits in lower case.
    public var description: String { Hex.sixteenDigits(high) + Hex.sixteenDigits(low) }
}

/// The secret from which the keys of encrypted objects are derived: 32 random bytes. Prints as its id only, in descriptions and dumps alike.
///
/// Never used as a key itself: each object has a key of its own, and the digests of each log another (docs/format/archive.md §4.4).
public struct MasterKey: Sendable {
    /// Bytes.
    public static let size = 32

    public let id: KeyID
    private let secret: SymmetricKey

    /// Traps for another count than `size`.
    public init(bytes: [UInt8]) {
        precondition(bytes.count == Self.size, "a master key of \(bytes.count) bytes")
        secret = SymmetricKey(data: bytes)
        let (high, low) = Self.halves(HKDF<SHA256>.deriveKey(inputKeyMaterial: secret, info: Label.keyID.bytes, outputByteCount: 16))
        id = KeyID(high: high, low: low)
    }

    /// The key as files and commands give it: 64 hex digits, and a line break or none. Throws `.invalid`, without repeating any of it, for anything else.
    public init(text: [UInt8]) throws(ArchiveError) {
        var digits = text[...]
        if digits.last == UInt8(ascii: "\n") { digits = digits.dropLast() }
        if digits.last == UInt8(ascii: "\r") { digits = digits.dropLast() }
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in digits {
            guard digits.count == 2 * Self.size, let value = Character(UnicodeScalar(digit)).hexDigitValue else {
                throw Self.malformed(digits.count)
            }
            if let first = high {
                bytes.append(first << 4 | UInt8(value))
                high = nil
            } else {
                high = UInt8(value)
            }
        }
        guard bytes.count == Self.size else { throw Self.malformed(digits.count) }
        self.init(bytes: bytes)
    }

    private static func malformed(_ count: Int) -> ArchiveError {
        let guess = count == size ? "; are these the bytes themselves?" : count == 44 ? "; is this base64?" : ""
        return ArchiveError(
            .invalid, "a key is \(2 * size) hex digits on one line, and this has \(count) characters that are not that\(guess)",
            hint: "make one with walshipd key --new FILE, or openssl rand -hex \(size)")
    }

    /// A new key. `generator` has to be one that nobody can predict, as the system's is.
    public static func random(using generator: inout some RandomNumberGenerator) -> MasterKey {
        MasterKey(bytes: (0..<size).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    /// The 64 hex digits that `init(text:)` reads: for the file that keeps the key, and for nothing else.
    public var secretText: String {
        Self.bytes(of: secret).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 2 ? digits : "0" + digits
        }.joined()
    }

    // MARK: What is derived

    /// What each derivation is for, so that no two can give the same key.
    private enum Label: String {
        case keyID = "walship key id"
        case digest = "walship digest key"
        case object = "walship object key"
        var bytes: [UInt8] { Array(rawValue.utf8) }
    }

    /// The key of one object: of this salt, for this range of this log under this epoch.
    func objectKey(_ metadata: ObjectMetadata, salt: [UInt8]) -> SymmetricKey {
        var info = Label.object.bytes
        info.appendBigEndian(metadata.logID.high)
        info.appendBigEndian(metadata.logID.low)
        info.appendLittleEndian(metadata.epoch.id.rawValue)
        info.appendLittleEndian(metadata.start.rawValue)
        info.appendLittleEndian(metadata.end.rawValue)
        return HKDF<SHA256>.deriveKey(inputKeyMaterial: secret, salt: salt, info: info, outputByteCount: 32)
    }

    /// The raw digest of bytes whose plain one is `plain`: it tells ranges apart as that does, and tells those who have no key nothing.
    func keyed(_ plain: RawDigest, log: LogID) -> RawDigest {
        var info = Label.digest.bytes
        info.appendBigEndian(log.high)
        info.appendBigEndian(log.low)
        let key = HKDF<SHA256>.deriveKey(inputKeyMaterial: secret, info: info, outputByteCount: 32)
        var message: [UInt8] = []
        message.appendBigEndian(plain.high)
        message.appendBigEndian(plain.low)
        let code = Array(HMAC<SHA256>.authenticationCode(for: message, using: key))
        var reader = LittleEndianReader(code[...])
        return RawDigest(high: reader.u64BigEndian(), low: reader.u64BigEndian())
    }

    private static func halves(_ key: SymmetricKey) -> (UInt64, UInt64) {
        var reader = LittleEndianReader(bytes(of: key)[...])
        return (reader.u64BigEndian(), reader.u64BigEndian())
    }

    static func bytes(of key: SymmetricKey) -> [UInt8] {
        // SAFETY: the bytes are copied while they are valid.
        unsafe key.withUnsafeBytes { unsafe Array($0) }
    }
}

extension MasterKey: Hashable {
    /// In constant time.
    public static func == (one: MasterKey, other: MasterKey) -> Bool { one.secret == other.secret }
    public func hash(into hasher: inout Hasher) { hasher.combine(id) }
}

extension MasterKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "key \(id)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
