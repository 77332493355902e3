import Archive
import WAL

/// What is known of an archive when it has been opened, and does not change while it is read: whose it is, which line of epochs is read, where it
/// begins. A value.
struct ArchiveOutline: Hashable, Sendable {
    let layout: Layout
    let logID: LogID
    let archiveID: ArchiveID
    /// Bytes.
    let segmentSize: UInt64
    let line: EpochLine
    /// Where the first object begins that can be read, and the first record.
    let firstObject: LSN
    let firstRecord: LSN

    /// Where the segment begins that holds `lsn`.
    func segmentStart(_ lsn: LSN) -> LSN { LSN(lsn.rawValue / segmentSize * segmentSize) }

    /// Where it ends.
    func segmentEnd(_ lsn: LSN) -> LSN { LSN((lsn.rawValue / segmentSize + 1) * segmentSize) }

    /// The objects from the one that holds `lsn`; nil below the first record. The chain may begin below `lsn`: at its segment's beginning; or, where
    /// a gap ends at `lsn`, there.
    ///
    /// `gapEnd`: a gap below was crossed, and ends there.
    func chain(from lsn: LSN, gapEnd: LSN? = nil) -> ArchiveChain? {
        guard lsn >= firstRecord, let source = line.source(at: lsn) else { return nil }
        return ArchiveChain(self, start: max(segmentStart(lsn), source.start, firstObject), resume: lsn, gapEnd: gapEnd)
    }

    /// Where an object should lie, and whose.
    func identity(_ kind: ObjectMetadata.Kind, _ epoch: EpochName, start: LSN) -> ObjectIdentity {
        ObjectIdentity(logID: logID, archiveID: archiveID, epoch: epoch, kind: kind, start: start)
    }
}
