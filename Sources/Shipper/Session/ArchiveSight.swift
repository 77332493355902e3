import Archive
import WAL

/// What a shipper asks and writes beside objects and claims.
extension ArchiveAccess {
    /// The keys below `prefix`; nil where the store cannot list, as far as its probe found.
    func listed(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey]? {
        await store.capabilities.contains(.list) ? try await list(prefix) : nil
    }

    /// Which names the objects of an epoch have. Throws `.diverged` for an encryption.json of another epoch.
    func naming(_ epoch: EpochName) async throws(ArchiveError) -> ObjectNaming {
        let key = layout.encryption(epoch.number)
        do throws(ArchiveError) {
            guard let document = try await document(EncryptionDocument.self, key) else { return .plain }
            guard document.epoch == epoch else {
                throw ArchiveError(
                    .diverged, "encryption.json is of epoch \(document.epoch), not of \(epoch)", key: key,
                    hint: "another writer has been here; nothing was changed")
            }
            return document.naming
        } catch where error.code == .damaged {
            return .either
        }
    }

    /// Creates a document, or finds one there; returns what is there then. One that was cut short is replaced.
    func createOnce<Document: ArchiveDocument>(
        _ document: Document, at key: ObjectKey
    ) async throws(ArchiveError) -> Document {
        let bytes = try document.encoded(for: key)
        return try await retrying { () throws(ArchiveError) in
            _ = try await store.create(key, bytes)
            do throws(ArchiveError) {
                if let found = try await self.document(Document.self, key) { return found }
            } catch where error.code == .damaged {
                try await store.replace(key, bytes)
                if let found = try await self.document(Document.self, key) { return found }
            }
            throw ArchiveError(.damaged, "the store confirmed a document and does not return it", outcome: .unknown, key: key)
        }
    }

    /// What is at a computable name, as far as its metadata tells.
    enum Sight: Hashable, Sendable {
        case nothing
        /// Cut short, or failing its own checks.
        case damaged
        case object(ObjectMetadata)
    }

    /// What is at the names of an object: the first that is intact, else whether there is anything at all. Its content is not read.
    func sight(_ kind: ObjectMetadata.Kind, _ epoch: EpochName, start: LSN, _ naming: ObjectNaming) async throws(ArchiveError) -> Sight {
        var sight = Sight.nothing
        for key in layout.names(kind, epoch, start: start, naming) {
            do throws(ArchiveError) {
                if let found = try await readingAgain({ () throws(ArchiveError) in try await readMetadata(key, start: start) }) { return .object(found) }
            } catch where error.code == .damaged {
                sight = .damaged
            }
        }
        return sight
    }

    /// The metadata of the object at a computable name; nil where nothing is, or something that was cut short or fails its own checks.
    /// Its content is not read.
    func metadata(
        _ kind: ObjectMetadata.Kind, _ epoch: EpochName, start: LSN, _ naming: ObjectNaming
    ) async throws(ArchiveError) -> ObjectMetadata? {
        if case .object(let found) = try await sight(kind, epoch, start: start, naming) { found } else { nil }
    }

    private func readMetadata(_ key: ObjectKey, start: LSN) async throws(ArchiveError) -> ObjectMetadata? {
        func damaged(_ what: String) -> ArchiveError { ArchiveError(.damaged, what, key: key, lsn: start) }
        let size = try await retrying { () throws(ArchiveError) in try await store.head(key)?.size }
        guard let size else { return nil }
        // A store that ignores ranges sends it all anyway.
        let hasRanges = await store.capabilities.contains(.rangeGet)
        var wanted = hasRanges ? UInt64(ObjectDecoder.prefixSize) : size
        guard wanted <= UInt64(ArchiveLimits.objectSizeMax) else { throw damaged("it has \(wanted) bytes, more than any object") }
        while let prefix = try await bytes(key, range: hasRanges ? 0..<max(1, min(wanted, size)) : nil, limit: Int(wanted)) {
            if let found = try ObjectDecoder.metadata(prefix: prefix, key: key, start: start) {
                guard found.objectSize == size else { throw damaged("it has \(size) bytes instead of \(found.objectSize)") }
                return found
            }
            let needed = UInt64(try ObjectDecoder.metadataSize(prefix: prefix, key: key, start: start))
            guard needed > wanted, needed <= size else { throw damaged("it is cut short") }
            wanted = needed
        }
        return nil
    }
}
