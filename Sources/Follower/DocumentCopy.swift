import Archive
import WAL

/// Documents from one archive to another, byte for byte: fields that this version does not know go along.
struct DocumentCopy: Sendable {
    let source: ArchiveAccess
    let destination: ArchiveAccess

    /// Copies the document that lies at `key` of each layout, and returns it; nil where the source has none. Throws `.diverged` where the destination has another.
    @discardableResult
    func copy<Document: ArchiveDocument>(
        _ type: Document.Type, _ key: (Layout) -> ObjectKey
    ) async throws(ArchiveError) -> Document? {
        let (from, to) = (key(source.layout), key(destination.layout))
        let found = try await naming(.source) { () throws(ArchiveError) in
            try await readingAgain { () throws(ArchiveError) -> (bytes: [UInt8], document: Document)? in
                guard let bytes = try await source.bytes(from, limit: Document.sizeMax) else { return nil }
                return (bytes, try Document(decoding: bytes, key: from))
            }
        }
        guard let found else { return nil }
        try await naming(.destination) { () throws(ArchiveError) in try await destination.create(found.document, found.bytes, to) }
        return found.document
    }

    /// An encryption.json that was cut short means something (names of both kinds are looked for), and is copied as it is.
    func copyEncryption(_ number: UInt64) async throws(ArchiveError) {
        let (from, to) = (source.layout.encryption(number), destination.layout.encryption(number))
        guard let bytes = try await naming(.source, { () throws(ArchiveError) in try await source.bytes(from, limit: EncryptionDocument.sizeMax) })
        else { return }
        do throws(ArchiveError) {
            _ = try EncryptionDocument(decoding: bytes, key: from)
        } catch where error.code == .damaged {
            return try await naming(.destination) { () throws(ArchiveError) in try await destination.createAsItIs(bytes, to) }
        } catch {
            throw error
        }
        try await copy(EncryptionDocument.self) { $0.encryption(number) }
    }

    /// Throws `.diverged` where the destination has a document of this name that says something else than the source's. Nothing is written.
    func compare<Document: ArchiveDocument>(_ type: Document.Type, _ key: (Layout) -> ObjectKey, _ what: String) async throws(ArchiveError) {
        let to = key(destination.layout)
        let theirs = try await naming(.destination) { () throws(ArchiveError) -> Document? in
            do throws(ArchiveError) {
                return try await destination.document(Document.self, to)
            } catch where error.code == .damaged {
                // An upload that was cut: written again when its turn comes.
                return nil
            }
        }
        guard let theirs else { return }
        let ours = try await naming(.source) { () throws(ArchiveError) in try await source.document(Document.self, key(source.layout)) }
        guard ours == theirs else {
            throw ArchiveError(
                .diverged, "at the destination: \(what)", key: to, hint: "choose another destination; nothing was changed")
        }
    }
}
