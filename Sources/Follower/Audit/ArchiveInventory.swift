import Archive
import WAL

/// What lies in an archive: every document, read and checked, and the name of every object, in the order in which an epoch's readers come to them.
struct ArchiveInventory: Sendable {
    struct Item: Hashable, Sendable {
        let object: ArchivedObject
        /// Whether the reading rule leads to this name.
        let isRead: Bool
    }

    var log: LogDocument?
    var claims: [UInt64: ClaimDocument] = [:]
    var starts: [UInt64: StartDocument] = [:]
    var encryptions: [UInt64: EncryptionDocument] = [:]
    var heads: [EpochName: HeadDocument] = [:]
    var floor: FloorDocument?
    var gaps: [EpochName: [LSN: GapDocument]] = [:]
    var items: [EpochName: [Item]] = [:]
    /// Documents that are intact.
    var documents = 0
    var isListed = false
    var findings: [AuditFinding] = []

    /// The newest epoch that has begun, as far as its start.json can be read.
    var newest: StartDocument? { starts.max { $0.key < $1.key }?.value }

    /// Epochs of which encryption.json is not there or cannot be read, though there is or should be one.
    var withoutEncryption: Set<UInt64> = []

    /// Which names of the epoch's objects readers ask for; both, where that cannot be read.
    func naming(_ epoch: EpochName) -> ObjectNaming {
        if withoutEncryption.contains(epoch.number) { return .either }
        return encryptions[epoch.number]?.naming ?? .plain
    }

    mutating func add(_ object: ArchivedObject) {
        let isRead = naming(object.epoch).forms(start: object.start).contains(object.isEncrypted)
        items[object.epoch, default: []].append(Item(object: object, isRead: isRead))
    }

    /// Ascending by start; at one start segments before tails, and high levels before low ones, as readers ask for them.
    mutating func sort() {
        func rank(_ item: Item) -> (UInt64, Int, Int) {
            let kind = if case .tail(let level) = item.object.kind { 1 + ArchiveLimits.tailLevelMax - level } else { 0 }
            return (item.object.start.rawValue, kind, item.object.isEncrypted ? 1 : 0)
        }
        for epoch in items.keys { items[epoch]?.sort { rank($0) < rank($1) } }
    }

    /// Documents that are intact and do not fit together: readers refuse them.
    func contradictions(_ layout: Layout) -> [AuditFinding] {
        var findings: [AuditFinding] = []
        func damage(_ key: ObjectKey, _ what: String) { findings.append(AuditFinding(.damage, what, key: key)) }
        for (number, start) in starts.sorted(by: { $0.key < $1.key }) {
            let (key, epoch) = (layout.start(number), start.epoch.epoch)
            if let owner = claims[number]?.epoch, owner != epoch { damage(key, "it is of epoch \(epoch), and \(owner) is the one that was claimed") }
            do throws(ArchiveError) { _ = try EpochLine(start, key: key) } catch { damage(key, error.message) }
        }
        for (number, encryption) in encryptions.sorted(by: { $0.key < $1.key }) {
            guard let owner = claims[number]?.epoch, owner != encryption.epoch else { continue }
            damage(layout.encryption(number), "it is of epoch \(encryption.epoch), and \(owner) is the one that was claimed")
        }
        return findings
    }
}
