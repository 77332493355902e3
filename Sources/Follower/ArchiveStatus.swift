public import Archive
public import WAL

/// What an archive says about itself, from its documents alone.
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
    /// Up to here everything was archived when the head was written, or the epoch's start where it has no head yet: a lower bound.
    public let archived: LSN?
    /// The log's durable LSN at that time.
    public let durable: LSN?
    /// When the head was written, in nanoseconds since 1970-01-01 UTC by the shipper's clock.
    public let headTime: UInt64?
    /// From where on the objects of the epoch that readers follow are encrypted; nil: none is.
    public let encryption: EncryptionDocument?

    /// Reads it. Throws as `ArchiveReader.open`.
    public static func read(
        store: any ObjectStore, log: LogName,
        patience: @escaping @Sendable () -> any RetryWait = { RetryTimer(ArchiveReader.retryPolicy) }
    ) async throws(ArchiveError) -> ArchiveStatus {
        let reader = try await ArchiveReader.open(store: store, log: log, patience: patience)
        var head: HeadDocument?
        var firstRecord: LSN?
        var encryption: EncryptionDocument?
        if let line = reader.line {
            firstRecord = try reader.firstRecord
            head = try await reader.access.head(line.document.epoch.epoch)
            encryption = try await reader.encryption(line.document.epoch.epoch)
        }
        return ArchiveStatus(
            logID: reader.log.logID, archiveID: reader.log.archiveID, segmentSize: reader.log.segmentSize, claimed: reader.highestClaim,
            epoch: reader.line?.document.epoch.epoch, firstRecord: firstRecord, archived: head?.archived ?? reader.line?.document.epoch.start,
            durable: head?.durable, headTime: head?.time, encryption: encryption)
    }
}
