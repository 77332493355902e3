public import WAL

/// Where everything of one log lies in an archive. Every key is computed here and nowhere else.
///
/// Names are computable, so a reader needs no listing: `n` has ten digits, LSNs have twenty, ids are lower-case hex. The kind
/// comes first, so one lifecycle rule of a bucket can cover the tails of all epochs.
public struct Layout: Hashable, Sendable {
    public let log: LogName

    public init(log: LogName) {
        self.log = log
    }

    /// Everything of the log.
    public var root: ObjectKey { ObjectKey(log.text) }
    /// Where a store's probe puts its fixed names.
    public var probe: ObjectKey { key(".probe") }
    /// logID, archive id, segment size; created once.
    public var logDocument: ObjectKey { key("log.json") }
    /// Where a pruned archive begins.
    public var floor: ObjectKey { key("floor.json") }

    /// The collection whose making claims epoch `number` where collections are exclusive.
    public func claimCollection(_ number: UInt64) -> ObjectKey {
        precondition(EpochName.isValid(number: number), "epoch number out of range: \(number)")
        return key("epochs/\(Layout.padded(number, digits: 10))")
    }
    /// The epoch's claim: its id, host and time; created once.
    public func claim(_ number: UInt64) -> ObjectKey { ObjectKey("\(claimCollection(number))/claim.json") }
    /// The epoch's ancestry and where it begins; until it exists, readers stay on the parent.
    public func start(_ number: UInt64) -> ObjectKey { ObjectKey("\(claimCollection(number))/start.json") }
    /// From where on the epoch's objects are encrypted; absent: none is.
    public func encryption(_ number: UInt64) -> ObjectKey { ObjectKey("\(claimCollection(number))/encryption.json") }

    /// The closed segments shipped in `epoch`.
    public func segments(_ epoch: EpochName) -> ObjectKey { key("segments/\(epoch)") }
    public func segment(_ epoch: EpochName, start: LSN, isEncrypted: Bool = false) -> ObjectKey {
        ObjectKey("\(segments(epoch))/\(Layout.name(start))\(Layout.suffix(isEncrypted))")
    }

    /// The tails shipped in `epoch`, of every level.
    public func tails(_ epoch: EpochName) -> ObjectKey { key("tail/\(epoch)") }
    /// The tails of one level, 0 to `ArchiveLimits.tailLevelMax`.
    public func tails(_ epoch: EpochName, level: Int) -> ObjectKey {
        precondition((0...ArchiveLimits.tailLevelMax).contains(level), "tail level out of range: \(level)")
        return ObjectKey("\(tails(epoch))/\(level)")
    }
    public func tail(_ epoch: EpochName, level: Int, start: LSN, isEncrypted: Bool = false) -> ObjectKey {
        ObjectKey("\(tails(epoch, level: level))/\(Layout.name(start))\(Layout.suffix(isEncrypted))")
    }

    /// Where an object of this kind and start lies.
    public func object(_ kind: ObjectMetadata.Kind, _ epoch: EpochName, start: LSN, isEncrypted: Bool = false) -> ObjectKey {
        switch kind {
        case .segment: segment(epoch, start: start, isEncrypted: isEncrypted)
        case .tail(let level): tail(epoch, level: level, start: start, isEncrypted: isEncrypted)
        }
    }

    /// How the names of encrypted objects end, and no others.
    static let encryptedSuffix = ".zst.enc"
    private static func suffix(_ isEncrypted: Bool) -> String { isEncrypted ? encryptedSuffix : ".zst" }

    /// The ranges that were given up in `epoch`.
    public func gaps(_ epoch: EpochName) -> ObjectKey { key("gaps/\(epoch)") }
    public func gap(_ epoch: EpochName, start: LSN) -> ObjectKey {
        ObjectKey("\(gaps(epoch))/\(Layout.name(start)).json")
    }

    /// The epoch's mutable hint: how far, when.
    public func head(_ epoch: EpochName) -> ObjectKey { key("heads/\(epoch).json") }

    private func key(_ suffix: String) -> ObjectKey { ObjectKey("\(log)/\(suffix)") }

    private static func name(_ lsn: LSN) -> String { padded(lsn.rawValue, digits: 20) }

    /// Decimal with leading zeros; every `UInt64` fits twenty digits.
    static func padded(_ value: UInt64, digits: Int) -> String {
        let text = String(value)
        precondition(text.utf8.count <= digits, "\(value) has more than \(digits) digits")
        return String(repeating: "0", count: digits - text.utf8.count) + text
    }
}
