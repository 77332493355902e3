public import Archive
public import WAL

/// One epoch's ancestry as its start.json tells it: from which epoch's objects the bytes at an LSN come, and under which epoch's id
/// the frame there was written. A value: safe from any thread.
public struct EpochLine: Hashable, Sendable {
    public let document: StartDocument
    /// The history of writers, for the checksums of frames and for a restored log's own table.
    public let epochs: EpochTable
    /// Where the oldest bytes of this line lie.
    public let start: LSN

    /// `key` is where the document was found. Throws `.invalid` where its epochs are no history: numbers that were skipped, or bytes below the first of them.
    public init(_ document: StartDocument, key: ObjectKey) throws(ArchiveError) {
        let history = document.epochs.map { Epoch(number: $0.epoch.number, id: $0.epoch.id, start: $0.fork) }
        guard let table = EpochTable(history) else {
            throw ArchiveError(.invalid, "field epochs: they do not follow one another", key: key)
        }
        guard let start = document.epochs.compactMap(\.start).min() else {
            throw ArchiveError(.invalid, "field epochs: none has a start_lsn", key: key)
        }
        guard history[0].start <= start else {
            throw ArchiveError(
                .invalid, "field epochs: the oldest one begins at LSN \(history[0].start), and the archive at LSN \(start), with frames of nobody", key: key)
        }
        self.document = document
        epochs = table
        self.start = start
    }

    /// Whose objects hold the bytes at an LSN.
    public struct Source: Hashable, Sendable {
        public let epoch: EpochName
        /// Where that epoch begins in this archive.
        public let start: LSN
        /// Where a newer epoch takes over; nil for the newest.
        public let clip: LSN?
    }

    /// The newest epoch that begins at or below `lsn`; nil below `start`.
    public func source(at lsn: LSN) -> Source? {
        guard let index = document.epochs.lastIndex(where: { entry in entry.start.map { $0 <= lsn } ?? false }),
            let start = document.epochs[index].start
        else { return nil }
        // Every newer epoch that has a start here begins past `lsn`.
        let clip = document.epochs[(index + 1)...].compactMap(\.start).min()
        return Source(epoch: document.epochs[index].epoch, start: start, clip: clip)
    }
}
