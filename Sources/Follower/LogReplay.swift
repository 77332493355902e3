public import Archive
public import WAL

/// Replays records, from a log or from its archive, to a closure: each once, in order, with the position after it. Whoever stores that position together with
/// what it made of the record, and begins there again, has each record exactly once.
public enum LogReplay {
    /// Lends `body` the LSN and the bytes of each durable record of the log in `directory`, and the position after it, from `from` (a record's LSN or the position
    /// after one; nil: the head) to `to` (exclusive; nil: where the log is durable at the start). The fastest way to read a log: bytes are lent, not copied, and must not be
    /// used after `body` returns. Blocks its thread.
    ///
    /// Throws what `body` throws, `.positionLost` below the head, `.corruption` for a record that is damaged, what opening a log throws, and `ArchiveError` `.diverged` for a
    /// position of another history than the log's.
    /// - Returns: the position to go on from.
    @discardableResult
    public static func run(
        log directory: String, from: LogPosition? = nil, to: LSN? = nil, _ body: (_ lsn: LSN, _ bytes: RawSpan, _ next: LogPosition) throws -> Void
    ) throws -> LogPosition {
        let reader = try LogReader.open(directory: directory)
        defer { reader.close() }
        let epochs = try reader.epochs
        let head = try reader.headLSN
        let start = from ?? LogPosition(head)
        // Below the head the log does not know its history any more.
        guard start.lsn >= head else { throw WALError.positionLost(head: head) }
        try epochs.require(start, in: "the log")
        let end = try min(to ?? LSN(LogLimits.lsnMax), reader.durableLSN)
        guard start.lsn < end else { return start }
        var position = start
        var writers = EpochCursor(epochs)
        do {
            try reader.iterFrom(start.lsn, ifTruncated: .fail).forEachRecord { lsn, bytes in
                guard lsn < end else { throw Enough() }
                writers.move(to: lsn)
                let next = LogPosition(lsn.advanced(by: UInt64(Record.overhead + bytes.byteCount)), epoch: writers.id)
                try body(lsn, bytes, next)
                position = next
            }
        } catch is Enough {}
        return position
    }

    /// What is past the end that was asked for is not looked at.
    private struct Enough: Error {}

    /// As above, of an archive: whole records and batches, as far as is archived. Throws what `archiveRecords` throws, and `ArchiveError` `.diverged` for a position of another
    /// history than the archive's line.
    /// - Returns: the position to go on from; nil where there was no record.
    @discardableResult
    public static func run(
        archive store: any ObjectStore, log: LogName, keys: KeyRing = .none, from: LogPosition? = nil, to: LSN? = nil,
        _ body: (FollowedRecord) async throws -> Void
    ) async throws -> LogPosition? {
        let reader = try await ArchiveReader.open(store: store, log: log, keys: keys)
        let epochs = try reader.requireLine().epochs
        if let from { try epochs.require(from, in: "the archive's line") }
        var position: LogPosition?
        var writers = EpochCursor(epochs)
        for try await (lsn, data) in ArchiveRecords(open: { reader }, from: from?.lsn, to: to) {
            writers.move(to: lsn)
            let next = LogPosition(lsn.advanced(by: UInt64(Record.overhead + data.count)), epoch: writers.id)
            try await body(FollowedRecord(lsn: lsn, data: data, next: next))
            position = next
        }
        return position
    }
}
