import Archive
public import WAL

/// Where an archive's lost bytes may still be.
public enum MendingSource: Sendable {
    /// Another archive of the same log: a second destination, or a copy.
    case archive(ArchiveReader)
    case log(LogReader)

    /// A range of the log with what an object says about it.
    struct Part: Sendable {
        let raw: [UInt8]
        let records: ObjectMetadata.Records?
        let times: [ObjectMetadata.CommitTime]
    }

    /// For people.
    public var name: String {
        switch self {
        case .archive(let reader): "\(reader.access.store.name)/\(reader.layout.log)"
        case .log(let reader): reader.directory
        }
    }

    var logID: LogID {
        switch self {
        case .archive(let reader): reader.log.logID
        case .log(let reader): reader.logID
        }
    }

    /// Whether it is a copy of the archive with this id, name by name and byte by byte.
    func isCopy(of archive: ArchiveID) -> Bool {
        if case .archive(let reader) = self { reader.log.archiveID == archive } else { false }
    }

    /// What a copy has at `key`; nil where nothing is.
    func bytes(_ key: ObjectKey, limit: Int) async throws(ArchiveError) -> [UInt8]? {
        guard case .archive(let reader) = self else { return nil }
        // The copy may have another name.
        let suffix = key.path.drop { $0 != "/" }
        return try await reader.access.bytes(ObjectKey("\(reader.layout.root)\(suffix)"), limit: limit)
    }

    /// The bytes of `range`, whole and verified; nil where they are not there. An archive has them where one of its objects is of exactly this range.
    func part(_ range: Range<LSN>) async throws(ArchiveError) -> Part? {
        switch self {
        case .archive(let reader):
            guard let line = reader.line, let source = line.source(at: range.lowerBound), try reader.firstObject <= range.lowerBound else { return nil }
            let start = max(range.lowerBound, source.start)
            var walk = ArchiveWalk(reader, ArchiveChain(try reader.outline, start: start, resume: start), depth: .whole)
            guard let piece = try await walk.next(), piece.range == range, piece.metadata.start == range.lowerBound, piece.metadata.end == range.upperBound else { return nil }
            return Part(raw: piece.bytes, records: piece.metadata.records, times: piece.metadata.timeIndex)
        case .log(let reader):
            let verified = try await OffPool.run { () throws(ArchiveError) -> VerifiedRange? in
                do throws(WALError) {
                    guard try reader.headLSN <= range.lowerBound, try reader.durableLSN >= range.upperBound else { return nil }
                    return try reader.verifiedRange(range)
                } catch {
                    throw ArchiveError(.damaged, "the log does not have the range whole: \(error)", lsn: range.lowerBound)
                }
            }
            guard let verified else { return nil }
            var records: ObjectMetadata.Records?
            if let first = verified.firstRecord, let last = verified.lastRecord {
                records = ObjectMetadata.Records(first: first, last: last, count: verified.recordCount)
            }
            var times: [ObjectMetadata.CommitTime] = []
            for time in verified.times where time.lsn > times.last?.lsn ?? range.lowerBound && time.lsn <= range.upperBound && times.count < ArchiveLimits.timeIndexCountMax {
                times.append(ObjectMetadata.CommitTime(time: time.nanoseconds, lsn: time.lsn))
            }
            return Part(raw: verified.bytes, records: records, times: times)
        }
    }
}
