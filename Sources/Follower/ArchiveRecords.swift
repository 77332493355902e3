public import Archive
public import WAL

/// The records of an archive in LSN order, each verified, one object in memory at a time.
///
/// The elements are the whole records and batches from a position up to the end of what is archived; at or past the end there are none. Iterating throws
/// `ArchiveError` (a gap, a missing or damaged object, an end that is not proven; `.notFound` for a position inside a record or below the first one) and
/// `WALError.corruption` for a frame that does not verify; both name the LSN.
public struct ArchiveRecords: AsyncSequence, Sendable {
    public typealias Element = (LSN, [UInt8])

    private let open: @Sendable () async throws(ArchiveError) -> ArchiveReader
    private let from: LSN?
    private let to: LSN?

    init(open: @escaping @Sendable () async throws(ArchiveError) -> ArchiveReader, from: LSN?, to: LSN?) {
        self.open = open
        self.from = from
        self.to = to
    }

    public func makeAsyncIterator() -> Iterator { Iterator(open: open, from: from, to: to) }

    /// Not for two tasks at once.
    public struct Iterator: AsyncIteratorProtocol {
        private let open: @Sendable () async throws(ArchiveError) -> ArchiveReader
        private let from: LSN?
        private let to: LSN?
        private var walk: ArchiveWalk?
        private var records: PieceRecords?
        private var isDone = false

        init(open: @escaping @Sendable () async throws(ArchiveError) -> ArchiveReader, from: LSN?, to: LSN?) {
            self.open = open
            self.from = from
            self.to = to
        }

        public mutating func next() async throws -> (LSN, [UInt8])? {
            if isDone { return nil }
            do {
                return try await advance()
            } catch {
                // What was damaged is said once.
                isDone = true
                throw error
            }
        }

        private mutating func advance() async throws -> (LSN, [UInt8])? {
            while true {
                if let record = try records?.next() {
                    if let to, record.lsn >= to { break }
                    return record
                }
                guard let piece = try await nextPiece() else {
                    try records?.finish()
                    break
                }
                try records?.add(piece)
            }
            isDone = true
            return nil
        }

        /// Nil at the end, and where no record below the last that is wanted is in what comes.
        private mutating func nextPiece() async throws -> ArchivePiece? {
            var walk: ArchiveWalk
            if let opened = self.walk {
                walk = opened
            } else {
                let reader = try await open()
                let first = try reader.firstRecord
                let start = from ?? first
                walk = try reader.walk(from: start)
                records = PieceRecords(logID: reader.log.logID, epochs: try reader.requireLine().epochs, start: start, isFirst: start == first)
            }
            guard to.map({ walk.position < $0 }) ?? true || records?.isInsideRecord == true else { return nil }
            let piece = try await walk.next()
            self.walk = walk
            return piece
        }
    }
}

/// The records of the archive of `log` in `store`, opened with `keys` where they are encrypted, from `from` (a record's LSN; nil: the first) to `to` (exclusive; nil: the end).
public func archiveRecords(
    store: any ObjectStore, log: LogName, keys: KeyRing = .none, from: LSN? = nil, to: LSN? = nil,
    patience: @escaping @Sendable () -> any RetryWait = { RetryTimer(ArchiveReader.retryPolicy) }
) -> ArchiveRecords {
    ArchiveRecords(
        open: { () throws(ArchiveError) in try await ArchiveReader.open(store: store, log: log, keys: keys, patience: patience) }, from: from, to: to)
}
