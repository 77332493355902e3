import Archive
import WAL

/// Makes objects from the log: reads a range, verifies every frame of it, compresses, encrypts where there is a key. Blocks; runs on the worker's heavy lanes.
final class ObjectPreparation: Sendable {
    private let reader: LogReader
    private let encoder: ObjectEncoder
    private let level: Int

    init(reader: LogReader, level: Int, key: MasterKey?) throws(ArchiveError) {
        self.reader = reader
        self.level = level
        encoder = try ObjectEncoder(key: key)
    }

    /// A range as it was read and verified, and what is known about it.
    struct ReadObject: Sendable {
        fileprivate let bytes: [UInt8]
        fileprivate let metadata: ObjectMetadata
        /// What the object will have: the next one names it.
        let digest: Bytes16
        var range: Range<LSN> { metadata.start..<metadata.end }
    }

    func prepare(
        _ range: Range<LSN>, kind: ObjectMetadata.Kind, session: ShipSession, preceding: Bytes16?
    ) throws(ShipperError) -> EncodedObject {
        try compress(try read(range, kind: kind, session: session, preceding: preceding))
    }

    /// `.log(.corruption)` for a damaged log: it is never archived as if it were whole.
    func read(
        _ range: Range<LSN>, kind: ObjectMetadata.Kind, session: ShipSession, preceding: Bytes16?
    ) throws(ShipperError) -> ReadObject {
        let durable = try ShipperError.log { () throws(WALError) in try reader.durableLSN }
        guard range.upperBound <= durable else {
            throw ShipperError.archive(ArchiveError(
                .diverged, "the log ends at LSN \(durable), below what was durable before", lsn: range.upperBound,
                hint: "it was set back under the shipper; restore it from the archive"))
        }
        let verified = try ShipperError.log { () throws(WALError) in try reader.verifiedRange(range) }
        var records: ObjectMetadata.Records?
        if let first = verified.firstRecord, let last = verified.lastRecord {
            records = ObjectMetadata.Records(first: first, last: last, count: verified.recordCount)
        }
        let metadata = ObjectMetadata(
            kind: kind, logID: session.logID, archiveID: session.archiveID, epoch: session.epoch, epochStart: session.epochStart,
            start: range.lowerBound, end: range.upperBound, records: records, precedingDigest: preceding.map(RawDigest.init),
            ancestry: session.ancestry, timeIndex: ObjectPreparation.timeIndex(verified))
        return ReadObject(bytes: verified.bytes, metadata: metadata, digest: encoder.digest(of: verified.bytes, log: session.logID).bytes)
    }

    /// Compresses, and encrypts where there is a key. Several at a time do not wait for each other.
    func compress(_ object: ReadObject) throws(ShipperError) -> EncodedObject {
        try ShipperError.archive { () throws(ArchiveError) in try encoder.encode(object.bytes, object.metadata, level: level) }
    }

    /// At most as many entries as an object may have, evenly thinned; LSNs ascend strictly in it.
    static func timeIndex(_ verified: VerifiedRange) -> [ObjectMetadata.CommitTime] {
        var entries: [ObjectMetadata.CommitTime] = []
        for time in verified.times where time.lsn > (entries.last?.lsn ?? verified.range.lowerBound) && time.lsn <= verified.range.upperBound {
            entries.append(ObjectMetadata.CommitTime(time: time.nanoseconds, lsn: time.lsn))
        }
        while entries.count > ArchiveLimits.timeIndexCountMax {
            entries = entries.enumerated().filter { !$0.offset.isMultiple(of: 2) }.map(\.element)
        }
        return entries
    }
}
