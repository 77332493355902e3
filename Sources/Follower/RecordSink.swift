import Archive
public import WAL

/// A consumer of records as what is followed into: each record once, in order, whole batches only, those of an object at a time.
///
/// Unchecked, because each use is awaited before the next begins.
final class RecordSink: FollowSink, @unchecked Sendable {
    private let logID: LogID
    private let consume: @Sendable ([FollowedRecord]) async throws -> Void
    /// Nil before the first piece, which says where records begin.
    private var frames: FrameAssembler?
    /// A record begins here, or everything ends here.
    private var unmet: LSN?
    private(set) var position: LSN
    private(set) var applied: LSN
    private(set) var epochs: EpochTable

    /// `start` is a record's LSN, or the end of the archive; `isFirst`: it is the archive's first, so that no look before it is needed.
    init(logID: LogID, start: LSN, isFirst: Bool, line: EpochTable, consume: @escaping @Sendable ([FollowedRecord]) async throws -> Void) {
        self.logID = logID
        self.consume = consume
        position = start
        applied = start
        epochs = RecordSink.history(line, upTo: start)
        if isFirst { frames = FrameAssembler(logID: logID, epochs: line, start: start) } else { unmet = start }
    }

    private static func history(_ line: EpochTable, upTo lsn: LSN) -> EpochTable {
        EpochTable(line.epochs.filter { $0.start <= lsn }) ?? line
    }

    func take(_ piece: ArchivePiece, line: EpochTable) async throws {
        precondition(piece.range.lowerBound <= position, "pieces come in order: one at \(piece.range.lowerBound) is not at \(position)")
        if frames == nil {
            guard piece.range.upperBound > position else { return }
            // The object says where its first record begins: from there on frames show whether one begins at the start.
            let boundary = piece.metadata.records.map(\.first) ?? position
            guard piece.range.contains(boundary), boundary <= position else { throw RecordSink.noRecord(at: position) }
            frames = FrameAssembler(logID: logID, epochs: line, start: boundary)
            frames?.add(Array(piece.bytes[Int(boundary.distance(from: piece.range.lowerBound))...]))
        } else {
            guard piece.range.upperBound > position else { return }
            let skipped = position > piece.range.lowerBound ? Int(position.distance(from: piece.range.lowerBound)) : 0
            frames?.add(skipped == 0 ? piece.bytes : Array(piece.bytes[skipped...]))
        }
        position = piece.range.upperBound
        var records: [FollowedRecord] = []
        while let record = try frames?.next() {
            let end = record.lsn.advanced(by: UInt64(Record.overhead + record.data.count))
            if let start = unmet {
                // Records before the start only show where the others begin.
                if record.lsn < start { continue }
                if record.lsn > start { throw RecordSink.noRecord(at: start) }
                unmet = nil
            }
            records.append(FollowedRecord(lsn: record.lsn, data: record.data, next: end))
        }
        if let last = records.last {
            do { try await consume(records) } catch { throw ConsumerFailure(cause: error) }
            applied = last.next
        }
        epochs = RecordSink.history(line, upTo: applied)
    }

    private static func noRecord(at lsn: LSN) -> ArchiveError {
        ArchiveError(.notFound, "no record begins here", lsn: lsn, hint: "ask for the LSN of a record")
    }

    func dropUnfinished() async throws {
        position = applied
        guard frames != nil else { return }
        // The next piece says where to go on: what is applied ends with a whole batch.
        frames = nil
        unmet = applied
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
    public let next: LSN
}
