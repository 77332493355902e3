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

    /// The bytes of `range`, whole and verified; nil where they are not there. An archive has them where one of its objects is of exactly this range: that of the same epoch and
    /// kind, also where its readers do not come to the end of it, or one of another epoch.
    func part(_ range: Range<LSN>, _ epoch: EpochName, _ kind: ObjectMetadata.Kind) async throws(ArchiveError) -> Part? {
        switch self {
        case .archive(let reader):
            func part(_ metadata: ObjectMetadata, _ raw: [UInt8]) -> Part? {
                guard metadata.start == range.lowerBound, metadata.end == range.upperBound, raw.count == metadata.rawSize else { return nil }
                return Part(raw: raw, records: metadata.records, times: metadata.timeIndex)
            }
            guard let line = reader.line else { return nil }
            if let start = line.document.epochs.first(where: { $0.epoch == epoch })?.start {
                let source = EpochLine.Source(epoch: epoch, start: start, clip: nil)
                let identity = try reader.outline.identity(kind, epoch, start: range.lowerBound)
                for isEncrypted in try await reader.naming(epoch).forms(start: range.lowerBound) {
                    guard let found = try await reader.object(identity, isEncrypted: isEncrypted, source, .whole) else { continue }
                    return part(found.metadata, found.raw)
                }
            }
            guard let source = line.source(at: range.lowerBound), try reader.firstObject <= range.lowerBound else { return nil }
            let start = max(range.lowerBound, source.start)
            var walk = ArchiveWalk(reader, ArchiveChain(try reader.outline, start: start, resume: start), depth: .whole)
            return try await walk.next().flatMap { part($0.metadata, $0.bytes) }
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
