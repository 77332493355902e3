import Archive
import WAL

/// Looks again, by name, where the inventory of an epoch has a hole: names were listed a while ago, and objects come and go. A shipper puts a segment in the
/// place of its tails, and goes on; a prune raises the floor.
struct SecondLook: Sendable {
    enum Sight: Sendable {
        /// One that was not listed, or has come back.
        case object(ArchiveInventory.Item, AuditChain.Content)
        case gap(GapDocument)
        /// Everything below has gone.
        case pruned(to: LSN)
        case nothing
    }

    private let objects: AuditedObjects
    private let epoch: EpochName
    private var naming: ObjectNaming
    /// Objects that were read or are going to be, as the inventory has them: a hole that they leave is none that a second look could fill.
    private let items: [ArchiveInventory.Item]
    /// Of these, those that are not there any more; and others that second looks have found.
    private var gone: Set<ArchivedObject> = []
    private var seen: Set<ArchivedObject> = []
    private var layout: Layout { objects.access.layout }

    init(objects: AuditedObjects, epoch: EpochName, naming: ObjectNaming, _ items: [ArchiveInventory.Item]) {
        self.objects = objects
        self.epoch = epoch
        self.naming = naming
        self.items = items
    }

    /// It was listed, and is not there.
    mutating func forget(_ object: ArchivedObject) { gone.insert(object) }

    private func isKnown(_ object: ArchivedObject) -> Bool {
        if seen.contains(object) { return true }
        if gone.contains(object) { return false }
        var (low, high) = (0, items.count)
        while low < high {
            let middle = (low + high) / 2
            if items[middle].object.start < object.start { low = middle + 1 } else { high = middle }
        }
        return items[low...].prefix { $0.object.start == object.start }.contains { $0.object == object }
    }

    /// What readers find at `lsn` now. `segmentStarts`: where the segment may begin that holds it.
    mutating func look(at lsn: LSN, segmentStarts: [LSN]) async throws(ArchiveError) -> Sight {
        if let found = try await objects(at: lsn, segmentStarts) { return found }
        if naming == .plain, let document = try await document(EncryptionDocument.self, layout.encryption(epoch.number)), document.epoch == epoch {
            naming = document.naming
            if let found = try await objects(at: lsn, segmentStarts) { return found }
        }
        if let gap = try await document(GapDocument.self, layout.gap(epoch, start: lsn)), gap.start == lsn { return .gap(gap) }
        if let floor = try await document(FloorDocument.self, layout.floor), floor.objectStart > lsn { return .pruned(to: floor.objectStart) }
        return .nothing
    }

    /// The segment once more after the tails: they go when it is there.
    private mutating func objects(at lsn: LSN, _ segmentStarts: [LSN]) async throws(ArchiveError) -> Sight? {
        let segments = segmentStarts.map { (ObjectMetadata.Kind.segment, $0) }
        let tails = (0...ArchiveLimits.tailLevelMax).reversed().map { (ObjectMetadata.Kind.tail(level: $0), lsn) }
        for (kind, start) in segments + tails + segments {
            for isEncrypted in naming.forms(start: start) {
                let object = ArchivedObject(epoch: epoch, kind: kind, start: start, isEncrypted: isEncrypted)
                if isKnown(object) { continue }
                let content = try await objects.read(object)
                if case .gone = content { continue }
                seen.insert(object)
                return .object(ArchiveInventory.Item(object: object, isRead: true), content)
            }
        }
        return nil
    }

    /// Nil also for one that cannot be read: the inventory has told of it.
    private func document<Document: ArchiveDocument>(_ type: Document.Type, _ key: ObjectKey) async throws(ArchiveError) -> Document? {
        do throws(ArchiveError) {
            return try await objects.access.document(type, key)
        } catch where AuditChain.isFault(error) {
            return nil
        }
    }
}
