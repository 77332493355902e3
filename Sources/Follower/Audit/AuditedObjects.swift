import Archive
import WAL

/// Fetches an archive's objects for an audit, and checks each by itself: that it is whole, and what its name says. Safe from any task.
struct AuditedObjects: Sendable {
    let access: ArchiveAccess
    let keys: KeyRing
    /// Nil where log.json cannot be read: then nothing says whose objects they have to be.
    let log: LogDocument?
    private var layout: Layout { access.layout }

    init(access: ArchiveAccess, keys: KeyRing, log: LogDocument?) {
        self.access = access
        self.keys = keys
        self.log = log
    }

    /// A class: with a tuple or a struct of this size the optimizer of Swift 6.3.1 takes what a task group returns for nil.
    private final class Arrival: Sendable {
        let index: Int
        let content: AuditChain.Content

        init(_ index: Int, _ content: AuditChain.Content) {
            self.index = index
            self.content = content
        }
    }

    /// Reads ahead as far as `fetches` allows, and hands out in order.
    func inOrder(
        _ items: ArraySlice<ArchiveInventory.Item>, width: Int, _ take: (ArchiveInventory.Item, AuditChain.Content) async throws -> Void
    ) async throws {
        let items = Array(items)
        try await withThrowingTaskGroup(of: Arrival.self) { group in
            var begun = 0
            var due = 0
            var ready: [Int: AuditChain.Content] = [:]
            while due < items.count {
                while begun < min(items.count, due + width) {
                    let index = begun
                    let object = items[index].object
                    group.addTask { Arrival(index, try await read(object)) }
                    begun += 1
                }
                guard let arrival = try await group.next() else { preconditionFailure("something is under way") }
                ready[arrival.index] = arrival.content
                while let content = ready.removeValue(forKey: due) {
                    try await take(items[due], content)
                    due += 1
                }
            }
        }
    }

    /// Fetches one object and checks it by itself. Throws what the store throws: what could not be read is not damaged.
    func read(_ object: ArchivedObject) async throws(ArchiveError) -> AuditChain.Content {
        let key = layout.key(object)
        do throws(ArchiveError) {
            return try await readingAgain { () throws(ArchiveError) -> AuditChain.Content in
                guard let bytes = try await access.bytes(key, limit: ArchiveLimits.objectSizeMax) else { return .gone }
                let keys = keys
                let content = try await OffPool.run { () throws(ArchiveError) -> AuditChain.Content in
                    do throws(ArchiveError) {
                        let decoded = try ObjectDecoder.decode(bytes, key: key, start: object.start, keys: keys)
                        return .whole(decoded.metadata, raw: decoded.raw)
                    } catch where error.code == .keyMissing {
                        return .whole(try ObjectDecoder.checkSealed(bytes, key: key, start: object.start), raw: nil)
                    }
                }
                if case .whole(let metadata, _) = content { try requireName(metadata, object, key) }
                return content
            }
        } catch where AuditChain.isFault(error) {
            return .faulty(error)
        }
    }

    private func requireName(_ metadata: ObjectMetadata, _ object: ArchivedObject, _ key: ObjectKey) throws(ArchiveError) {
        guard metadata.epoch == object.epoch, metadata.kind == object.kind else {
            throw ArchiveError(.diverged, "it is a \(metadata.kind) of epoch \(metadata.epoch), its name says otherwise", key: key, lsn: object.start)
        }
        guard let log else { return }
        guard metadata.logID == log.logID, metadata.archiveID == log.archiveID else {
            throw ArchiveError(.diverged, "it is of log \(metadata.logID), archive \(metadata.archiveID)", key: key, lsn: object.start)
        }
    }
}
