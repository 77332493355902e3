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

    fileprivate static func noRecord(at lsn: LSN) -> ArchiveError {
        ArchiveError(.notFound, "no record begins here", lsn: lsn, hint: "ask for the LSN of a record")
    }

    public func makeAsyncIterator() -> Iterator { Iterator(open: open, from: from, to: to) }

    /// Not for two tasks at once.
    public struct Iterator: AsyncIteratorProtocol {
        private let open: @Sendable () async throws(ArchiveError) -> ArchiveReader
        private let from: LSN?
        private let to: LSN?
        private var walk: ArchiveWalk?
        private var frames: FrameAssembler?
        private var isDone = false
        /// Where a record must begin, as long as none was seen there.
        private var unmet: LSN?

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
                if let record = try frames?.next() {
                    // Records before the start only show where the others begin.
                    if let start = unmet, record.lsn < start { continue }
                    if let start = unmet, record.lsn > start { throw ArchiveRecords.noRecord(at: start) }
                    unmet = nil
                    if let to, record.lsn >= to { break }
                    return record
                }
                guard let piece = try await nextPiece() else { break }
                frames?.add(piece)
            }
            isDone = true
            if let start = unmet, let reached = frames?.position, reached != start { throw ArchiveRecords.noRecord(at: start) }
            return nil
        }

        /// The bytes of the next piece, the first one from the start on; nil at the end.
        private mutating func nextPiece() async throws -> [UInt8]? {
            if var walk {
                guard to.map({ walk.position < $0 }) ?? true || frames?.isInsideRecord == true else { return nil }
                let piece = try await walk.next()
                self.walk = walk
                return piece?.bytes
            }
            let reader = try await open()
            let first = try reader.firstRecord
            let start = from ?? first
            let epochs = try reader.requireLine().epochs
            var walk = try reader.walk(from: start)
            while let piece = try await walk.next() {
                guard piece.range.upperBound > start else { continue }
                self.walk = walk
                // The object says where its first record begins: from there on frames show whether one begins at the start.
                let boundary = start == first ? start : piece.metadata.records?.first ?? start
                guard piece.range.contains(boundary), boundary <= start else { throw ArchiveRecords.noRecord(at: start) }
                frames = FrameAssembler(logID: reader.log.logID, epochs: epochs, start: boundary)
                unmet = start
                return Array(piece.bytes[Int(boundary.distance(from: piece.range.lowerBound))...])
            }
            return nil
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
