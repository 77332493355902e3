public import Archive
public import WAL

/// What a restore is going to do: which objects, of which archive, one behind the other without a hole, and what is used of each. A value, found before
/// anything is downloaded or written.
public struct RestorePlan: Hashable, Sendable {
    /// One object, and what is used of it.
    public struct Link: Hashable, Sendable {
        /// Which of the archives that were given.
        public let archive: Int
        public internal(set) var link: ArchiveLink
        /// What its metadata says, where it was asked.
        public internal(set) var facts: Facts?

        public var range: Range<LSN> { link.range }
        public let key: ObjectKey
    }

    /// What an object says about itself.
    public struct Facts: Hashable, Sendable {
        public let records: ObjectMetadata.Records?
        /// Bytes of the object as it is downloaded.
        public let objectSize: UInt64
        /// The key that opens it; nil where it is not encrypted.
        public let keyID: KeyID?
        public let times: [ObjectMetadata.CommitTime]

        init(_ metadata: ObjectMetadata) {
            self.init(records: metadata.records, objectSize: metadata.objectSize, keyID: metadata.seal?.keyID, times: metadata.timeIndex)
        }

        init(records: ObjectMetadata.Records?, objectSize: UInt64, keyID: KeyID?, times: [ObjectMetadata.CommitTime]) {
            self.records = records
            self.objectSize = objectSize
            self.keyID = keyID
            self.times = times
        }
    }

    /// Something that is wrong with one archive, and was had from another.
    public struct Problem: Hashable, Sendable {
        /// Which of the archives that were given.
        public let archive: Int
        public let error: ArchiveError
    }

    public let logID: LogID
    /// Of each archive, in the order in which they were given.
    public let archiveIDs: [ArchiveID]
    /// Bytes of a segment.
    public let segmentSize: UInt64
    /// `.time` has become `.before`.
    public internal(set) var target: RestoreTarget
    /// The first record that is restored: the first byte that is written.
    public let head: LSN
    /// From where on a record was asked for: where a gap ends, perhaps.
    public let from: LSN?
    /// In ascending order; the first begins at the head.
    public internal(set) var links: [Link] = []
    /// What was found wrong on the way.
    public internal(set) var problems: [Problem] = []
    /// The history of writers that the restored log gets: each epoch with the LSN at which it begins.
    public internal(set) var epochs: [Epoch] = []

    /// How far objects are read; the log ends there, or at the last whole record or batch before.
    public var end: LSN { links.last?.range.upperBound ?? head }
    public var segments: Int { links.count { $0.link.isSegment } }
    public var tails: Int { links.count - segments }
    /// Bytes of log that are read.
    public var bytes: UInt64 { end.distance(from: head) }
    /// Objects that are encrypted, and the keys of those that were asked.
    public var encrypted: Int { links.count { $0.link.isEncrypted } }
    public var keys: Set<KeyID> { Set(links.compactMap { $0.facts?.keyID }) }

    /// Sum over all objects; nil where not every one was asked.
    public var objectBytes: UInt64? { total { $0.objectSize } }
    /// Records that begin in the objects; nil where not every one was asked.
    public var records: UInt64? { total { $0.records?.count ?? 0 } }

    private func total(_ part: (Facts) -> UInt64) -> UInt64? {
        var sum: UInt64 = 0
        for link in links {
            guard let facts = link.facts else { return nil }
            sum += part(facts)
        }
        return sum
    }

    /// Objects at or past `limit` are not needed.
    mutating func leaveOut(from limit: LSN) {
        while let last = links.last, last.range.lowerBound >= limit { links.removeLast() }
    }
}
