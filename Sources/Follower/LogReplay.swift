public import Archive
public import WAL

/// Replays records, from a log or from its archive, to a closure: each once, in order, with the position after it. Whoever stores that position together with
/// what it made of the record, and begins there again, has each record exactly once.
public enum LogReplay {
    /// Lends `body` the LSN and the bytes of each durable record of the log in `directory`, and the position after it, from `from` (a record's LSN; nil: the head)
    /// to `to` (exclusive; nil: where the log is durable at the start). The fastest way to read a log: bytes are lent, not copied, and must not be
    /// used after `body` returns. Blocks its thread.
    ///
    /// Throws what `body` throws, `.positionLost` below the head, `.corruption` for a record that is damaged, and what opening a log throws.
    /// - Returns: the position to go on from.
    @discardableResult
    public static func run(
        log directory: String, from: LSN? = nil, to: LSN? = nil, _ body: (_ lsn: LSN, _ bytes: RawSpan, _ next: LSN) throws -> Void
    ) throws -> LSN {
        let reader = try LogReader.open(directory: directory)
        defer { reader.close() }
        let start = try from ?? reader.headLSN
        let end = try min(to ?? LSN(LogLimits.lsnMax), reader.durableLSN)
        var position = start
        guard start < end else { return start }
        do {
            try reader.iterFrom(start, ifTruncated: .fail).forEachRecord { lsn, bytes in
                guard lsn < end else { throw Enough() }
                let next = lsn.advanced(by: UInt64(Record.overhead + bytes.byteCount))
                try body(lsn, bytes, next)
                position = next
            }
        } catch is Enough {}
        return position
    }

    /// What is past the end that was asked for is not looked at.
    private struct Enough: Error {}

    /// As above, of an archive: whole records and batches, as far as is archived. Throws what `archiveRecords` throws.
    /// - Returns: the position to go on from; nil where there was no record.
    @discardableResult
    public static func run(
        archive store: any ObjectStore, log: LogName, keys: KeyRing = .none, from: LSN? = nil, to: LSN? = nil,
        _ body: (FollowedRecord) async throws -> Void
    ) async throws -> LSN? {
        var position: LSN?
        for try await (lsn, data) in archiveRecords(store: store, log: log, keys: keys, from: from, to: to) {
            let next = lsn.advanced(by: UInt64(Record.overhead + data.count))
            try await body(FollowedRecord(lsn: lsn, data: data, next: next))
            position = next
        }
        return position
    }
}
