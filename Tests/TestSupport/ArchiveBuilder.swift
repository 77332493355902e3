package import Archive
package import WAL

/// Builds a correct archive from a real log, object by object, without a shipper: what tests of readers read.
package final class ArchiveBuilder {
    package let store: any ObjectStore
    package let layout: Layout
    package let reader: LogReader
    package let archiveID: ArchiveID
    /// The epoch under which objects are made, and where it begins in the archive.
    package let epoch: EpochName
    package let epochStart: LSN
    private let encoder: ObjectEncoder
    /// What objects say about times, instead of what the log says.
    package var times: ((Range<LSN>) -> [ObjectMetadata.CommitTime])?
    private var preceding: [ObjectMetadata.Kind: RawDigest] = [:]
    private static let time: UInt64 = 1_767_225_600_000_000_000

    /// Attaches to the log in `directory` and begins its archive, or goes on with one whose current epoch has begun there (by a promotion).
    /// With `master` everything is encrypted.
    package init(store: any ObjectStore, name: String = "orders", directory: String, start: LSN = .zero, sealing master: MasterKey? = nil, id: UInt64 = 0x0102_0304_0506_0708) async throws {
        self.store = store
        layout = Layout(log: LogName(name)!)
        reader = try LogReader.open(directory: directory)
        encoder = try ObjectEncoder(key: master)
        let epochs = try reader.epochs
        epoch = EpochName(epochs.current)
        let key = layout.logDocument
        if try await store.head(key) == nil {
            archiveID = ArchiveID(high: id, low: reader.logID.low)
            epochStart = start
            let document = LogDocument(logID: reader.logID, archiveID: archiveID, segmentSize: UInt64(reader.segmentSize))
            _ = try await store.create(key, document.encoded(for: key))
            for epoch in epochs.epochs { try await claim(EpochName(epoch)) }
            let entries = epochs.epochs.map {
                StartDocument.Entry(epoch: EpochName($0), fork: $0.start, start: $0.number == epoch.number ? start : nil)
            }
            let parent = entries.count > 1 ? entries[entries.count - 2].epoch : nil
            try await put(StartDocument(parent: parent, epochs: entries), layout.start(epoch.number))
        } else {
            let log = try LogDocument(decoding: try await store.get(key, range: nil, limit: 1 << 16), key: key)
            archiveID = log.archiveID
            let startKey = layout.start(epoch.number)
            let document = try StartDocument(decoding: try await store.get(startKey, range: nil, limit: 1 << 20), key: startKey)
            epochStart = document.epoch.start!
        }
        if let master {
            try await put(EncryptionDocument(epoch: epoch, from: epochStart, keyID: master.id, time: Self.time), layout.encryption(epoch.number))
        }
    }

    deinit { reader.close() }

    package var segmentSize: UInt64 { UInt64(reader.segmentSize) }

    package func put(_ document: some ArchiveDocument, _ key: ObjectKey) async throws {
        try await store.replace(key, document.encoded(for: key))
    }

    package func claim(_ epoch: EpochName) async throws {
        try await put(ClaimDocument(epoch: epoch, host: "test", time: Self.time), layout.claim(epoch.number))
    }

    /// Everything from the epoch's start to the durable LSN: closed segments, then tails of at most `tailBytes`, then the head.
    /// The first `group` tails of the open segment are also there as one of level 1.
    package func ship(tailBytes: UInt64 = 500, group: Int = 3, head: Bool = true) async throws {
        let end = try reader.durableLSN
        let checkpoint = try await shipSegments(upTo: end)
        try await shipTails(from: checkpoint, to: end, bytes: tailBytes, group: group)
        if head { try await self.head(archived: end, checkpoint: checkpoint) }
    }

    /// The closed segments below `end`; returns where the open one begins, or the epoch does.
    package func shipSegments(upTo end: LSN) async throws -> LSN {
        var position = epochStart
        while true {
            let next = LSN((position.rawValue / segmentSize + 1) * segmentSize)
            guard next <= end else { return position }
            try await object(.segment, position..<next)
            position = next
        }
    }

    package func shipTails(from start: LSN, to end: LSN, bytes: UInt64, group: Int = 0) async throws {
        var position = start
        var starts: [LSN] = []
        while position < end {
            let next = min(position.advanced(by: bytes), end)
            try await object(.tail(level: 0), position..<next)
            starts.append(position)
            position = next
            if group > 0, starts.count == group { try await object(.tail(level: 1), starts[0]..<next) }
        }
    }

    @discardableResult
    package func object(_ kind: ObjectMetadata.Kind, _ range: Range<LSN>) async throws -> ObjectKey {
        let verified = try reader.verifiedRange(range)
        var records: ObjectMetadata.Records?
        if let first = verified.firstRecord, let last = verified.lastRecord {
            records = .init(first: first, last: last, count: verified.recordCount)
        }
        let metadata = ObjectMetadata(
            kind: kind, logID: reader.logID, archiveID: archiveID, epoch: epoch, epochStart: epochStart, start: range.lowerBound,
            end: range.upperBound, records: records, precedingDigest: preceding[kind], ancestry: try reader.epochs.epochs,
            timeIndex: times?(range) ?? verified.times.map { .init(time: $0.nanoseconds, lsn: $0.lsn) })
        let encoded = try encoder.encode(verified.bytes, metadata, level: 1)
        preceding[kind] = encoded.metadata.rawDigest
        let key = layout.object(encoded.metadata)
        try await store.replace(key, encoded.bytes)
        return key
    }

    package func head(archived: LSN, checkpoint: LSN) async throws {
        try await put(
            HeadDocument(
                epoch: epoch, archived: archived, checkpoint: checkpoint, durable: max(archived, try reader.durableLSN), time: Self.time),
            layout.head(epoch))
    }

    package func gap(_ range: Range<LSN>, reason: String) async throws {
        try await put(
            GapDocument(start: range.lowerBound, end: range.upperBound, reason: reason, time: Self.time),
            layout.gap(epoch, start: range.lowerBound))
    }

    package func floor(lsn: LSN, objectStart: LSN) async throws {
        try await put(FloorDocument(lsn: lsn, epoch: epoch, objectStart: objectStart, time: Self.time), layout.floor)
    }
}
