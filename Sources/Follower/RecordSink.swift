import Archive
public import WAL

/// A consumer of records as what is followed into: each record once, in order, whole batches only, those of an object at a time.
///
/// Unchecked, because each use is awaited before the next begins.
final class RecordSink: FollowSink, @unchecked Sendable {
    private let logID: LogID
    private let consume: @Sendable ([FollowedRecord]) async throws -> Void
    /// Nil before the first piece that is taken after the beginning, or after the line has changed.
    private var records: PieceRecords?
    /// No look below the start is needed to know that a record begins there.
    private var isFirst: Bool
    private(set) var position: LSN
    private(set) var applied: LSN
    private(set) var epochs: EpochTable

    /// `start` is a record's LSN, or the end of the archive; `isFirst`: it is the archive's first.
    init(logID: LogID, start: LSN, isFirst: Bool, line: EpochTable, consume: @escaping @Sendable ([FollowedRecord]) async throws -> Void) {
        self.logID = logID
        self.consume = consume
        self.isFirst = isFirst
        position = start
        applied = start
        epochs = RecordSink.history(line, upTo: start)
    }

    private static func history(_ line: EpochTable, upTo lsn: LSN) -> EpochTable {
        EpochTable(line.epochs.filter { $0.start <= lsn }) ?? line
    }

    func take(_ piece: ArchivePiece, line: EpochTable) async throws {
        var records = records ?? PieceRecords(logID: logID, epochs: line, start: applied, isFirst: isFirst)
        try records.add(piece)
        position = max(position, piece.range.upperBound)
        var found: [FollowedRecord] = []
        var writers = EpochCursor(line)
        while let record = try records.next() {
            writers.move(to: record.lsn)
            let end = record.lsn.advanced(by: UInt64(Record.overhead + record.data.count))
            found.append(FollowedRecord(lsn: record.lsn, data: record.data, next: LogPosition(end, epoch: writers.id)))
        }
        self.records = records
        if let last = found.last {
            do { try await consume(found) } catch { throw ConsumerFailure(cause: error) }
            applied = last.next.lsn
        }
        epochs = RecordSink.history(line, upTo: applied)
    }

    func dropUnfinished() async throws {
        position = applied
        // The next piece says where to go on: what is applied ends with a whole batch.
        records = nil
        isFirst = false
    }

    func close() async throws {}
}

/// What a consumer threw: not to be taken for an error of the archive, which is tried again.
struct ConsumerFailure: Error {
    let cause: any Error
}

/// A record as it is handed to a consumer.
public struct FollowedRecord: Hashable, Sendable {
    public let lsn: LSN
    public let data: [UInt8]
    /// Where to go on after this record: a consumer that stores it together with what it made of the record, and begins there again, has each record exactly once.
    public let next: LogPosition
}
