package import WAL

/// Fetches from a store, with patience: what can be tried again is, until patience ends. Safe from any task.
package struct ArchiveAccess: Sendable {
    package let store: any ObjectStore
    package let layout: Layout
    /// Makes the patience of one request.
    package let patience: @Sendable () -> any RetryWait

    package init(store: any ObjectStore, layout: Layout, patience: @escaping @Sendable () -> any RetryWait) {
        self.store = store
        self.layout = layout
        self.patience = patience
    }

    /// The bytes at `key`, or nil where the store says that nothing is there.
    package func bytes(_ key: ObjectKey, range: Range<UInt64>? = nil, limit: Int) async throws(ArchiveError) -> [UInt8]? {
        try await retrying { () throws(ArchiveError) in
            do throws(ArchiveError) {
                return try await store.get(key, range: range, limit: limit)
            } catch where error.code == .notFound {
                return nil
            }
        }
    }

    /// Whether anything is at `key`.
    package func isThere(_ key: ObjectKey) async throws(ArchiveError) -> Bool {
        try await retrying { () throws(ArchiveError) in try await store.head(key) != nil }
    }

    package func document<Document: ArchiveDocument>(_ type: Document.Type, _ key: ObjectKey) async throws(ArchiveError) -> Document? {
        try await readingAgain { () throws(ArchiveError) in
            guard let bytes = try await bytes(key, limit: Document.sizeMax) else { return nil }
            return try Document(decoding: bytes, key: key)
        }
    }

    /// The head document of an epoch, or nil where there is none. It is a hint that is written over again and again: one that was cut short
    /// or cannot be understood is as good as none.
    package func head(_ epoch: EpochName) async throws(ArchiveError) -> HeadDocument? {
        do throws(ArchiveError) {
            return try await document(HeadDocument.self, layout.head(epoch))
        } catch where error.code == .damaged || error.code == .invalid {
            return nil
        }
    }

    /// The keys below `prefix`, or nil where the store cannot list.
    package func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey]? {
        try await retrying { () throws(ArchiveError) in
            do throws(ArchiveError) {
                return try await readingAgain { () throws(ArchiveError) in try await store.list(prefix) }
            } catch {
                switch error.code {
                // A server without PROPFIND answers 405 or 501; or what it can do, or what we may, has changed.
                case .unsupported, .refused: return nil
                default: throw error
                }
            }
        }
    }

    /// Bytes of what lies at `key`; nil where nothing does.
    package func size(_ key: ObjectKey) async throws(ArchiveError) -> UInt64? {
        try await retrying { () throws(ArchiveError) in try await store.head(key)?.size }
    }

    /// What the object at `key` says about itself, from its first bytes alone; nil where nothing is there. Whether the rest is there and sound is not looked at.
    package func metadata(_ key: ObjectKey, start: LSN) async throws(ArchiveError) -> ObjectMetadata? {
        var size = ObjectDecoder.prefixSize
        while true {
            guard let prefix = try await bytes(key, range: 0..<UInt64(size), limit: ArchiveLimits.objectSizeMax) else { return nil }
            if let metadata = try ObjectDecoder.metadata(prefix: prefix, key: key, start: start) { return metadata }
            let needed = try ObjectDecoder.metadataSize(prefix: prefix, key: key, start: start)
            guard needed > size else { throw ArchiveError(.damaged, "the object is damaged: it is cut short", key: key, lsn: start) }
            size = needed
        }
    }

    /// Stores a document that is written once. One that is there already must say the same: then it is ours, from an attempt whose
    /// reply was lost or that a crash interrupted. Throws `.diverged` where it says something else.
    package func create<Document: ArchiveDocument>(_ document: Document, _ key: ObjectKey) async throws(ArchiveError) {
        try await create(document, try document.encoded(for: key), key)
    }

    /// The same with the document's bytes as they stand elsewhere, fields that we do not know included.
    package func create<Document: ArchiveDocument>(_ document: Document, _ bytes: [UInt8], _ key: ObjectKey) async throws(ArchiveError) {
        try await retrying { () throws(ArchiveError) in
            if try await store.create(key, bytes) == .created { return }
            guard let found = try await store.get(key, range: nil, limit: Document.sizeMax) as [UInt8]? else { return }
            do throws(ArchiveError) {
                guard try Document(decoding: found, key: key) == document else {
                    throw ArchiveError(.diverged, "something else is there than was to be written", key: key)
                }
            } catch where error.code == .damaged {
                // An upload that was cut.
                try await store.replace(key, bytes)
            }
        }
        guard try await self.document(Document.self, key) == document else {
            throw ArchiveError(.damaged, "the store confirmed the document and does not return it", outcome: .unknown, key: key)
        }
    }

    /// Stores bytes that are no document where nothing is, or the same.
    package func createAsItIs(_ bytes: [UInt8], _ key: ObjectKey) async throws(ArchiveError) {
        try await retrying { () throws(ArchiveError) in
            if try await store.create(key, bytes) == .created { return }
            guard try await self.bytes(key, limit: ArchiveLimits.documentSizeMax) == bytes else {
                throw ArchiveError(.diverged, "something else is there than was to be written", key: key)
            }
        }
    }

    /// Finds out what the store can do, which decides how what it confirms is looked at again.
    package func probe() async throws(ArchiveError) -> StoreCapabilities {
        try await retrying { () throws(ArchiveError) in try await store.probe(prefix: layout.probe) }
    }

    package func replace<Document: ArchiveDocument>(_ document: Document, _ key: ObjectKey) async throws(ArchiveError) {
        let bytes = try document.encoded(for: key)
        try await retrying { () throws(ArchiveError) in try await store.replace(key, bytes) }
    }

    /// Removes what lies at `key`; nothing is as good.
    package func delete(_ key: ObjectKey) async throws(ArchiveError) {
        try await retrying { () throws(ArchiveError) in try await store.delete(key) }
    }

    package func replace(bytes: [UInt8], _ key: ObjectKey) async throws(ArchiveError) {
        try await retrying { () throws(ArchiveError) in try await store.replace(key, bytes) }
    }

    /// Stores `bytes` where nothing is; false where something else is.
    package func create(bytes: [UInt8], _ key: ObjectKey) async throws(ArchiveError) -> Bool {
        try await retrying { () throws(ArchiveError) in
            if try await store.create(key, bytes) == .created { return true }
            // Perhaps ours, from an attempt whose reply was lost.
            return try await self.bytes(key, limit: ArchiveLimits.objectSizeMax) == bytes
        }
    }

    /// Every request made here can be repeated: it reads, deletes, or writes the same each time.
    package func retrying<T>(_ attempt: () async throws(ArchiveError) -> T) async throws(ArchiveError) -> T {
        try await withPatience(patience(), attempt)
    }
}
