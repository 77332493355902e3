/// The random identity of one generation of writers; the fencing token. It is hashed into every frame written in its epoch.
public struct EpochID: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public static func random(using generator: inout some RandomNumberGenerator) -> EpochID {
        EpochID(rawValue: generator.next())
    }

    /// Sixteen hex digits in lower case; nil for anything else.
    public init?(hex: String) {
        let isLowerCaseHex = hex.utf8.allSatisfy { byte in
            UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || UInt8(ascii: "a")...UInt8(ascii: "f") ~= byte
        }
        guard hex.utf8.count == 16, isLowerCaseHex, let value = UInt64(hex, radix: 16) else {
            return nil
        }
        self.init(rawValue: value)
    }
}

extension EpochID: CustomStringConvertible {
    /// Sixteen hex digits in lower case, as in object names.
    public var description: String { Hex.sixteenDigits(rawValue) }
}

/// One generation of writers of a log: its number (from 1, never skipped), its id, and the LSN at which it begins.
public struct Epoch: Hashable, Sendable {
    public let number: UInt64
    public let id: EpochID
    public let start: LSN

    public init(number: UInt64, id: EpochID, start: LSN) {
        self.number = number
        self.id = id
        self.start = start
    }
}
