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

    /// Whether the highest epoch has a head that can be read.
    func naming(_ epoch: EpochName) -> ObjectNaming { encryptions[epoch.number]?.naming ?? .plain }

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
}

/// Takes the inventory, by a listing where the store has one, else by the names that readers compute.
struct InventoryReader {
    let access: ArchiveAccess
    private var layout: Layout { access.layout }

    init(access: ArchiveAccess) { self.access = access }

    /// Throws `.notFound` where nothing is, and what the store throws when patience ends.
    func read() async throws(ArchiveError) -> ArchiveInventory {
        var inventory = ArchiveInventory()
        if let keys = try await access.list(layout.root) {
            inventory.isListed = true
            try await readListed(keys, &inventory)
        } else {
            try await readNamed(&inventory)
        }
        inventory.sort()
        return inventory
    }

    // MARK: With a listing

    private func readListed(_ keys: [ObjectKey], _ inventory: inout ArchiveInventory) async throws(ArchiveError) {
        let meanings = keys.compactMap { key in layout.meaning(of: key).map { (key, $0) } }
        if meanings.isEmpty { throw nothingIsThere }
        if !meanings.contains(where: { $0.1 == .logDocument }) {
            inventory.findings.append(AuditFinding(.missing, "log.json is missing", key: layout.logDocument))
        }
        for (_, meaning) in meanings { try await readDocument(meaning, &inventory) }
        for (key, meaning) in meanings {
            switch meaning {
            case .gap(let epoch, let start): try await readGap(epoch, start, &inventory)
            case .object(let object): inventory.add(object)
            default: continue
            }
            if let epoch = epoch(of: meaning), let owner = inventory.claims[epoch.number]?.epoch, owner != epoch {
                inventory.findings.append(AuditFinding(.note, "it is of epoch \(epoch), and \(owner) is the one that was claimed: nobody reads it", key: key))
            }
        }
        checkNumbers(meanings.map(\.1), &inventory)
    }

    private func epoch(of meaning: KeyMeaning) -> EpochName? {
        switch meaning {
        case .head(let epoch), .gap(let epoch, _): epoch
        case .object(let object): object.epoch
        default: nil
        }
    }

    /// Epochs are claimed one after another, and nothing is shipped under one that has not begun.
    private func checkNumbers(_ meanings: [KeyMeaning], _ inventory: inout ArchiveInventory) {
        var claimed: Set<UInt64> = []
        var started: Set<UInt64> = []
        var seen: Set<UInt64> = []
        var shipped: Set<UInt64> = []
        for meaning in meanings {
            switch meaning {
            case .claim(let number):
                claimed.insert(number)
                seen.insert(number)
            case .start(let number):
                started.insert(number)
                seen.insert(number)
            case .object, .gap:
                guard let epoch = epoch(of: meaning), inventory.claims[epoch.number].map({ $0.epoch == epoch }) ?? true else { continue }
                seen.insert(epoch.number)
                shipped.insert(epoch.number)
            default:
                if let epoch = epoch(of: meaning) { seen.insert(epoch.number) }
            }
        }
        guard let highest = seen.max() else { return }
        for number in 1...max(1, highest) where !claimed.contains(number) {
            inventory.findings.append(AuditFinding(.missing, "epoch \(number) or one after it was here, and its claim is missing", key: layout.claim(number)))
            // A name that is far off would name thousands.
            if inventory.findings.count > Self.findingsMax { return }
        }
        for number in shipped.sorted() where !started.contains(number) {
            inventory.findings.append(AuditFinding(.missing, "start.json is missing, although objects of epoch \(number) are here", key: layout.start(number)))
        }
    }

    private static let findingsMax = 1000

    // MARK: Without

    private func readNamed(_ inventory: inout ArchiveInventory) async throws(ArchiveError) {
        try await readDocument(.logDocument, &inventory)
        try await readDocument(.floor, &inventory)
        var number: UInt64 = 1
        while number < ArchiveLimits.epochNumberMax {
            let before = inventory.findings.count
            try await readDocument(.claim(number), &inventory)
            // A damaged claim is one, and the next may be there.
            guard inventory.claims[number] != nil || inventory.findings.count > before else { break }
            try await readDocument(.start(number), &inventory)
            try await readDocument(.encryption(number), &inventory)
            if let epoch = inventory.claims[number]?.epoch ?? inventory.starts[number]?.epoch.epoch { try await readDocument(.head(epoch), &inventory) }
            number += 1
        }
        if inventory.log == nil, inventory.findings.isEmpty {
            if inventory.claims.isEmpty { throw nothingIsThere }
            inventory.findings.append(AuditFinding(.missing, "log.json is missing", key: layout.logDocument))
        }
        for start in inventory.starts.sorted(by: { $0.key < $1.key }) { try await walk(start.value, &inventory) }
    }

    /// The names of one epoch's objects, from its start to where nothing is any more.
    private func walk(_ document: StartDocument, _ inventory: inout ArchiveInventory) async throws(ArchiveError) {
        guard let size = inventory.log?.segmentSize, let begin = document.epoch.start else { return }
        let epoch = document.epoch.epoch
        let naming = inventory.naming(epoch)
        let places = inventory.newest?.epochs ?? []
        let clip = places.first { $0.epoch.number > epoch.number && $0.start != nil }?.start
        let known = clip ?? inventory.heads[epoch]?.archived ?? begin
        var reached = max(begin, inventory.floor?.objectStart ?? begin)
        var position = reached
        func objects(_ kind: ObjectMetadata.Kind, _ start: LSN) async throws(ArchiveError) -> [ArchivedObject] {
            var found: [ArchivedObject] = []
            for isEncrypted in naming.forms(start: start) {
                let object = ArchivedObject(epoch: epoch, kind: kind, start: start, isEncrypted: isEncrypted)
                if try await access.isThere(layout.key(object)) { found.append(object) }
            }
            return found
        }
        while true {
            let window = position.rawValue / size
            let next = LSN((window + 1) * size)
            var found = try await objects(.segment, max(LSN(window * size), reached))
            if !found.isEmpty {
                for object in found { inventory.add(object) }
                position = next
                continue
            }
            for level in (0...ArchiveLimits.tailLevelMax).reversed() { found += try await objects(.tail(level: level), position) }
            for object in found { inventory.add(object) }
            if let end = try await end(of: found), end > position {
                position = end
                continue
            }
            if found.isEmpty, let gap = try await readGap(epoch, position, &inventory) {
                (position, reached) = (gap.end, gap.end)
                continue
            }
            // What is missing is said by whoever checks the objects; behind it they go on.
            guard position < known else { return }
            position = next
        }
    }

    /// Where the longest of these tails ends that can be read.
    private func end(of objects: [ArchivedObject]) async throws(ArchiveError) -> LSN? {
        var end: LSN?
        for object in objects {
            do throws(ArchiveError) {
                let found = try await readingAgain { () throws(ArchiveError) -> ObjectMetadata? in
                    let key = layout.key(object)
                    guard let prefix = try await access.bytes(key, limit: ArchiveLimits.objectSizeMax) else { return nil }
                    return try ObjectDecoder.checkSealed(prefix, key: key, start: object.start)
                }
                if let found, end.map({ $0 < found.end }) ?? true { end = found.end }
            } catch where AuditChain.isFault(error) {
                // It is read again with the others, and reported then.
                continue
            }
        }
        return end
    }

    // MARK: Documents

    private var nothingIsThere: ArchiveError {
        ArchiveError(
            .notFound, "there is no archive of the log \(layout.log) at \(access.store.name)", key: layout.logDocument,
            hint: "check the URL: it is <base>/<log name>")
    }

    private func readDocument(_ meaning: KeyMeaning, _ inventory: inout ArchiveInventory) async throws(ArchiveError) {
        switch meaning {
        case .logDocument: inventory.log = try await document(LogDocument.self, layout.logDocument, &inventory) { _ in nil }
        case .floor: inventory.floor = try await document(FloorDocument.self, layout.floor, &inventory) { _ in nil }
        case .claim(let number):
            inventory.claims[number] = try await document(ClaimDocument.self, layout.claim(number), &inventory) { other($0.epoch, number) }
        case .start(let number):
            inventory.starts[number] = try await document(StartDocument.self, layout.start(number), &inventory) { other($0.epoch.epoch, number) }
        case .encryption(let number):
            inventory.encryptions[number] = try await document(EncryptionDocument.self, layout.encryption(number), &inventory) { other($0.epoch, number) }
        case .head(let epoch):
            inventory.heads[epoch] = try await document(HeadDocument.self, layout.head(epoch), &inventory) { $0.epoch == epoch ? nil : "it is of epoch \($0.epoch)" }
        case .gap, .object: break
        }
    }

    private func other(_ epoch: EpochName, _ number: UInt64) -> String? { epoch.number == number ? nil : "it is of epoch \(epoch)" }

    @discardableResult
    private func readGap(_ epoch: EpochName, _ start: LSN, _ inventory: inout ArchiveInventory) async throws(ArchiveError) -> GapDocument? {
        let key = layout.gap(epoch, start: start)
        let gap = try await document(GapDocument.self, key, &inventory) { $0.start == start ? nil : "field start_lsn: \($0.start) is not what the name says" }
        if let gap { inventory.gaps[epoch, default: [:]][start] = gap }
        return gap
    }

    /// Nil where nothing is, or something that is reported: what cannot be read, or has a `problem` with its name.
    private func document<Document: ArchiveDocument>(
        _ type: Document.Type, _ key: ObjectKey, _ inventory: inout ArchiveInventory, problem: (Document) -> String?
    ) async throws(ArchiveError) -> Document? {
        let found: Document?
        do throws(ArchiveError) {
            found = try await access.document(type, key)
        } catch where AuditChain.isFault(error) {
            inventory.findings.append(AuditFinding(.damage, error.message, key: key))
            return nil
        }
        guard let found else { return nil }
        if let problem = problem(found) {
            inventory.findings.append(AuditFinding(.damage, problem, key: key))
            return nil
        }
        inventory.documents += 1
        return found
    }
}
