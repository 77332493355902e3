public import WAL

/// An epoch as it appears in names: its number and its id. Where it begins is not part of its name.
public struct EpochName: Hashable, Sendable {
    /// 1 to `ArchiveLimits.epochNumberMax`.
    public let number: UInt64
    public let id: EpochID

    /// Traps on a number outside 1 to `ArchiveLimits.epochNumberMax`: numbers from outside are checked where they are read.
    public init(number: UInt64, id: EpochID) {
        precondition(EpochName.isValid(number: number), "epoch number out of range: \(number)")
        self.number = number
        self.id = id
    }

    /// Traps like `init(number:id:)`.
    public init(_ epoch: Epoch) {
        self.init(number: epoch.number, id: epoch.id)
    }

    public static func isValid(number: UInt64) -> Bool {
        (1...ArchiveLimits.epochNumberMax).contains(number)
    }
}

extension EpochName: CustomStringConvertible {
    /// `<n>-<epoch id>`, ten decimal digits and sixteen hex digits, as in keys.
    public var description: String { "\(Layout.padded(number, digits: 10))-\(id)" }
}
