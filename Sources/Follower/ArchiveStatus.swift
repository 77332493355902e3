public import Archive
public import WAL

/// What an archive says about itself: its documents, the names that it lists, and of its objects only the last ones, to see where it ends.
public struct ArchiveStatus: Hashable, Sendable {
    public let logID: LogID
    public let archiveID: ArchiveID
    /// Bytes.
    public let segmentSize: UInt64
    /// The highest epoch that was claimed.
    public let claimed: ClaimDocument?
    /// The epoch that readers follow; nil where none has begun.
    public let epoch: EpochName?
    /// The first record that can be restored; nil where no epoch has begun.
    public let firstRecord: LSN?
    /// Where the archive was pruned to; nil: never.
    public let floor: FloorDocument?
    /// Up to here everything was archived when the head was written, or the epoch's start where it has no head yet: a lower bound.
    public let archived: LSN?
    /// The log's durable LSN at that time.
    public let durable: LSN?
    /// When the head was written, in nanoseconds since 1970-01-01 UTC by the shipper's clock.
    public let headTime: UInt64?
    /// From where on the objects of the epoch that readers follow are encrypted; nil: none is.
    public let encryption: EncryptionDocument?
    /// Whether the store lists; nil where nothing was asked of it that would show.
    public let lists: Bool?
    /// Every epoch that was claimed, oldest first.
    public let epochs: [EpochStatus]
    /// The ranges that were given up, in every epoch; nil where the store cannot list: then readers find them one by one.
    public let gaps: [Gap]?
    /// Where it ends; nil where no epoch has begun.
    public let end: End?

    /// A range that was given up.
    public struct Gap: Hashable, Sendable {
        public let epoch: EpochName
        public let document: GapDocument
        /// Whether a reader of the newest epoch comes to it.
        public let isOnLine: Bool
    }

    /// Where an archive ends, as far as can be told.
    public struct End: Hashable, Sendable {
        public enum Certainty: Hashable, Sendable {
            /// The head, or a listing, knows of nothing past it.
            case proven
            /// There is no head, and the store cannot list: it may go on.
            case unproven
            /// It was growing while it was looked at, faster than that.
            case growing
            /// What comes next is missing or fails its checks.
            case broken(ArchiveError)
        }

        /// Up to here objects were seen, or, where that is not proven, are promised.
        public let lsn: LSN
        public let certainty: Certainty

        package init(lsn: LSN, certainty: Certainty) {
            self.lsn = lsn
            self.certainty = certainty
        }
    }

    /// Objects past the head that are looked at: those of the ten seconds between two heads, at ten tails a second, and more.
    static let stepsMax = 256

    /// Reads it. Throws as `ArchiveReader.open`. Nothing is written.
    public static func read(
        store: any ObjectStore, log: LogName,
        patience: @escaping @Sendable () -> any RetryWait = { RetryTimer(ArchiveReader.retryPolicy) }
    ) async throws(ArchiveError) -> ArchiveStatus {
        let reader = try await ArchiveReader.open(store: store, log: log, patience: patience)
        let claims = Claims(store: store, layout: reader.layout, patience: patience)
        var epochs: [EpochStatus] = []
        for number in 1..<(reader.highestClaim?.epoch.number ?? 0) + 1 { epochs.append(try await EpochStatus.read(number, reader, claims)) }
        let gaps = try await gaps(reader, epochs)
        let current = epochs.last { $0.name != nil && $0.name == reader.line?.document.epoch.epoch }
        return ArchiveStatus(
            logID: reader.log.logID, archiveID: reader.log.archiveID, segmentSize: reader.log.segmentSize, claimed: reader.highestClaim,
            epoch: reader.line?.document.epoch.epoch, firstRecord: reader.line == nil ? nil : try reader.firstRecord, floor: reader.floor,
            archived: current?.head?.archived ?? reader.line?.document.epoch.start, durable: current?.head?.durable, headTime: current?.head?.time,
            encryption: current?.encryption, lists: epochs.isEmpty ? nil : gaps != nil, epochs: epochs, gaps: gaps,
            end: try await end(reader, current?.head, lists: gaps != nil))
    }

    /// Of several documents about one range the one that tells of all of it.
    private static func gaps(_ reader: ArchiveReader, _ epochs: [EpochStatus]) async throws(ArchiveError) -> [Gap]? {
        var gaps: [Gap] = []
        for epoch in epochs {
            guard let name = epoch.name else { continue }
            guard let keys = try await reader.access.list(reader.layout.gaps(name)) else { return nil }
            var told = LSN.zero
            for key in keys where reader.layout.start(of: key) != nil {
                // It may have been pruned since it was listed.
                guard let document = try await reader.access.document(GapDocument.self, key), document.end > told else { continue }
                told = document.end
                gaps.append(Gap(epoch: name, document: document, isOnLine: reader.line?.source(at: document.start)?.epoch == name))
            }
        }
        return gaps
    }

    private static func end(_ reader: ArchiveReader, _ head: HeadDocument?, lists: Bool) async throws(ArchiveError) -> End? {
        guard let line = reader.line, let start = line.document.epoch.start else { return nil }
        var from = head?.archived ?? start
        if head == nil {
            guard lists else { return End(lsn: from, certainty: .unproven) }
            // The last one that is listed; the walk finds its end.
            for prefix in [reader.layout.segments(line.document.epoch.epoch), reader.layout.tails(line.document.epoch.epoch)] {
                for key in try await reader.access.list(prefix) ?? [] { from = max(from, reader.layout.start(of: key) ?? from) }
            }
        }
        var reached = max(from, try reader.firstRecord)
        do throws(ArchiveError) {
            var walk = try CopyWalk(reader, promised: reached, floor: reached, chase: stepsMax)
            defer { reached = max(reached, walk.position) }
            while try await walk.next() != nil {}
            return End(lsn: max(reached, walk.position), certainty: walk.isAtEnd ? .proven : .growing)
        } catch {
            switch error.code {
            case .gap, .damaged, .invalid, .diverged, .unsupported: return End(lsn: reached, certainty: .broken(error))
            case .endUnproven: return End(lsn: reached, certainty: .unproven)
            default: throw error
            }
        }
    }
}
