import Synchronization

/// The read-only side of a log for other processes: beside a live writer, after its death, or over a copied directory.
///
/// Never repairs, never writes to the log, never reads past the durable LSN. Holds two descriptors while open (the control file and a shared
/// lock) and one more for each iteration. Any thread.
public final class LogReader: Sendable {
    public let directory: String
    public let logID: LogID
    /// Bytes of log in a segment.
    public let segmentSize: Int
    let files: ReaderFiles
    /// Where followers have their reads done, and who wakes them.
    let readingThread = ReadingThread(name: "wal-follow")
    let watch: LiveWatch

    /// Opens the log in `directory`. `.notALog` where none is, `.corruption` where its control file is damaged, `.locked` while the end of the log
    /// is being truncated.
    public static func open(directory: String) throws(WALError) -> LogReader {
        try open(directory: directory, fileSystem: LinuxFileSystem(), time: LinuxTimeSource())
    }

    package static func open(directory: String, fileSystem: any FileSystem, time: any TimeSource) throws(WALError) -> LogReader {
        LogReader(try ReaderFiles(paths: LogPaths(directory: directory), fileSystem: fileSystem, time: time, writable: false))
    }

    /// Whether a log is in `directory`. False where nothing is, or nothing but the beginnings of one; `.notALog` where something else is.
    public static func exists(directory: String) throws(WALError) -> Bool {
        let (place, what) = try LogOpener.existing(LogPaths(directory: directory), LinuxFileSystem(), LinuxTimeSource()).look()
        guard place != .occupied else { throw .notALog(path: directory, reason: what) }
        return place == .log
    }

    init(_ files: ReaderFiles) {
        self.files = files
        watch = LiveWatch(files: files)
        directory = files.paths.directory
        logID = files.control.identity.logID
        segmentSize = Int(files.control.identity.segmentSize)
    }

    /// The first record that is still there.
    public var headLSN: LSN { get throws(WALError) { try files.headLSN() } }

    /// Everything below is on stable storage, as far as another process can tell: exact while this boot lasts, a lower bound after power loss
    /// until the next opening for writing.
    public var durableLSN: LSN { get throws(WALError) { try files.durableLSN() } }

    /// What the writer last said that it had written: a hint.
    public var writtenLSN: LSN { get throws(WALError) { max(files.control.live.written, try durableLSN) } }

    /// The history of writers as it is now.
    public var epochs: EpochTable { get throws(WALError) { try files.control.epochTable(try files.control.requireFacts()) } }

    public var maxRecordSize: Int { get throws(WALError) { try files.control.requireFacts().maxRecordSize } }

    /// Restored or copied, and not promoted: readable, not to be appended to or shipped.
    public var isReplica: Bool {
        get throws(WALError) {
            let found = try files.control.readFacts()
            return found.isCopied || found.facts?.isReplica ?? false
        }
    }

    /// Changes with each opening for writing.
    public var incarnation: Incarnation { files.control.live.incarnation }

    /// Who has the log open for writing, as it names itself; nil when nobody has.
    public var writer: String? { get throws(WALError) { try LogLock.writer(files.paths, files.fileSystem) } }

    /// Whether the writer has stopped after a failed flush.
    public var isStopped: Bool { files.isLive && files.control.live.isStopped }

    /// Who has appends wait, and how many do; nil where nobody has.
    public var blockage: AppendBlockage? { get throws(WALError) { try files.blockage() } }

    /// The records from the head to the durable LSN as it is now.
    public func iter(policy: RecoveryPolicy = .stopAtFirstError) -> RecordSequence {
        iterFrom(.zero, ifTruncated: .startAtHead, policy: policy)
    }

    /// The records from `lsn`, which is a record's LSN, to the durable LSN as it is now. At or past the end it is empty.
    public func iterFrom(
        _ lsn: LSN, ifTruncated: TruncatedPositionPolicy = .fail, policy: RecoveryPolicy = .stopAtFirstError
    ) -> RecordSequence {
        files.records(from: lsn, ifTruncated: ifTruncated, policy: policy)
    }

    /// Reads a range of the log's bytes and verifies every frame that has a byte in it. See `VerifiedRange`.
    /// The range lies between the head and the durable LSN.
    public func verifiedRange(_ range: Range<LSN>) throws(WALError) -> VerifiedRange {
        try VerifiedRange.read(range, from: files)
    }

    /// The greatest LSN at or below `lsn` where a record begins (or the durable end). `.positionLost` for an LSN below the head.
    public func recordBoundary(atOrBelow lsn: LSN) throws(WALError) -> LSN {
        try files.boundarySearch(notBelowHead: lsn).greatestFrameStart(atOrBelow: lsn)
    }

    /// As `recordBoundary`, but never inside a batch.
    public func batchBoundary(atOrBelow lsn: LSN) throws(WALError) -> LSN {
        try files.boundarySearch(notBelowHead: lsn).greatestBoundary(atOrBelow: lsn)
    }

    /// Lets go of the log: its end may be truncated again. Followers and waits end; an iteration under way yields `.stopped`, and so is answered who asks
    /// for a position or a range later. The control file's descriptor goes with the last iteration and the reader itself. A second call does nothing.
    public func close() {
        watch.stop()
        readingThread.stop()
        files.close()
    }
}
