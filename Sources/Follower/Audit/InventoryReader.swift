import Archive
import WAL

/// Takes the inventory of an archive, by a listing where the store has one, else by the names that readers compute.
///
/// A listing takes its time, and documents come meanwhile: one that is missed is asked for by name before it counts as missing.
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
        inventory.findings += inventory.contradictions(layout)
        inventory.sort()
        return inventory
    }

    private var nothingIsThere: ArchiveError {
        ArchiveError(
            .notFound, "there is no archive of the log \(layout.log) at \(access.store.name)", key: layout.logDocument,
            hint: "check the URL: it is <base>/<log name>")
    }

    // MARK: With a listing

    private func readListed(_ keys: [ObjectKey], _ inventory: inout ArchiveInventory) async throws(ArchiveError) {
        let meanings = keys.compactMap { key in layout.meaning(of: key).map { (key, $0) } }
        if meanings.isEmpty { throw nothingIsThere }
        for (_, meaning) in meanings { try await readDocument(meaning, &inventory) }
        if !meanings.contains(where: { $0.1 == .logDocument }) { try await require(.logDocument, layout.logDocument, "log.json is missing", &inventory) }
        for (_, meaning) in meanings {
            guard case .object(let object) = meaning, object.isEncrypted, isOwned(object.epoch, inventory) else { continue }
            try await requireEncryption(object.epoch, &inventory)
        }
        for (key, meaning) in meanings {
            switch meaning {
            case .gap(let epoch, let start): try await readGap(epoch, start, &inventory)
            case .object(let object): inventory.add(object)
            default: break
            }
            if let epoch = meaning.epoch, let owner = inventory.claims[epoch.number]?.epoch, owner != epoch {
                inventory.findings.append(AuditFinding(.note, "it is of epoch \(epoch), and \(owner) is the one that was claimed: nobody reads it", key: key))
            }
        }
        try await checkNumbers(meanings.map(\.1), &inventory)
    }

    private func isOwned(_ epoch: EpochName, _ inventory: ArchiveInventory) -> Bool { inventory.claims[epoch.number].map { $0.epoch == epoch } ?? true }

    private func requireEncryption(_ epoch: EpochName, _ inventory: inout ArchiveInventory) async throws(ArchiveError) {
        guard inventory.encryptions[epoch.number] == nil, !inventory.withoutEncryption.contains(epoch.number) else { return }
        try await require(
            .encryption(epoch.number), layout.encryption(epoch.number), "encryption.json is missing, although encrypted objects of epoch \(epoch.number) are here", &inventory)
        if inventory.encryptions[epoch.number] == nil { inventory.withoutEncryption.insert(epoch.number) }
    }

    // MARK: Numbers

    private static let findingsMax = 1000

    /// Epochs are claimed one after another, and nothing is shipped under one that has not begun.
    private func checkNumbers(_ meanings: [KeyMeaning], _ inventory: inout ArchiveInventory) async throws(ArchiveError) {
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
                guard let epoch = meaning.epoch, isOwned(epoch, inventory) else { continue }
                seen.insert(epoch.number)
                shipped.insert(epoch.number)
            case .head(let epoch):
                seen.insert(epoch.number)
                // A promotion writes a head before start.json, with nothing behind it.
                if let head = inventory.heads[epoch], head.archived > head.checkpoint, isOwned(epoch, inventory) { shipped.insert(epoch.number) }
            case .encryption(let number): seen.insert(number)
            case .logDocument, .floor: continue
            }
        }
        guard let highest = seen.max() else { return }
        for number in 1...highest where !claimed.contains(number) {
            try await require(.claim(number), layout.claim(number), "epoch \(number) or one after it was here, and its claim is missing", &inventory)
            // A name that is far off would name thousands.
            if inventory.findings.count > Self.findingsMax { break }
        }
        for number in shipped.sorted() where !started.contains(number) {
            try await require(.start(number), layout.start(number), "start.json is missing, although objects of epoch \(number) are here", &inventory)
        }
    }

    /// A document that was not found so far.
    private func require(_ meaning: KeyMeaning, _ key: ObjectKey, _ words: String, _ inventory: inout ArchiveInventory) async throws(ArchiveError) {
        if try await !readDocument(meaning, &inventory) { inventory.findings.append(AuditFinding(.missing, words, key: key)) }
    }

    // MARK: Without

    private func readNamed(_ inventory: inout ArchiveInventory) async throws(ArchiveError) {
        let hasLog = try await readDocument(.logDocument, &inventory)
        let hasFloor = try await readDocument(.floor, &inventory)
        var found: [KeyMeaning] = []
        var highest: UInt64 = 0
        var number: UInt64 = 1
        // A claim that was lost hides none after it: readers look as far.
        while number <= min(highest + 2, ArchiveLimits.epochNumberMax) {
            for meaning in [KeyMeaning.claim(number), .start(number)] where try await readDocument(meaning, &inventory) {
                found.append(meaning)
                highest = number
            }
            if highest == number {
                if try await readDocument(.encryption(number), &inventory) { found.append(.encryption(number)) }
                let epoch = inventory.claims[number]?.epoch ?? inventory.starts[number]?.epoch.epoch
                if let epoch, try await readDocument(.head(epoch), &inventory) { found.append(.head(epoch)) }
            }
            number += 1
        }
        if !hasLog {
            if found.isEmpty, !hasFloor { throw nothingIsThere }
            inventory.findings.append(AuditFinding(.missing, "log.json is missing", key: layout.logDocument))
        }
        try await checkNumbers(found, &inventory)
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

    /// Takes a document in, or reports it; false where nothing is there.
    @discardableResult
    private func readDocument(_ meaning: KeyMeaning, _ inventory: inout ArchiveInventory) async throws(ArchiveError) -> Bool {
        let before = (inventory.documents, inventory.findings.count)
        switch meaning {
        case .logDocument: inventory.log = try await document(LogDocument.self, layout.logDocument, &inventory) { _ in nil }
        case .floor: inventory.floor = try await document(FloorDocument.self, layout.floor, &inventory) { _ in nil }
        case .claim(let number):
            inventory.claims[number] = try await document(ClaimDocument.self, layout.claim(number), &inventory) { other($0.epoch, number) }
        case .start(let number):
            inventory.starts[number] = try await document(StartDocument.self, layout.start(number), &inventory) { other($0.epoch.epoch, number) }
        case .encryption(let number):
            let reported = inventory.findings.count
            inventory.encryptions[number] = try await document(EncryptionDocument.self, layout.encryption(number), &inventory) { other($0.epoch, number) }
            if inventory.findings.count > reported { inventory.withoutEncryption.insert(number) }
        case .head(let epoch):
            inventory.heads[epoch] = try await document(HeadDocument.self, layout.head(epoch), &inventory) { $0.epoch == epoch ? nil : "it is of epoch \($0.epoch)" }
        case .gap, .object: break
        }
        return (inventory.documents, inventory.findings.count) != before
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

extension KeyMeaning {
    /// Whose object, gap or head it is.
    fileprivate var epoch: EpochName? {
        switch self {
        case .head(let epoch), .gap(let epoch, _): epoch
        case .object(let object): object.epoch
        default: nil
        }
    }
}
