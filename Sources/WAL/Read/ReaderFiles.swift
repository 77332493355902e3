import Glibc
import Synchronization

/// The files of a log as another process sees them: control file, shared lock, and a reader that distrusts what it holds when the writer
/// changes.
final class ReaderFiles: Sendable {
    let paths: LogPaths
    let fileSystem: any FileSystem
    let time: any TimeSource
    let control: ControlFile
    let medium: SegmentDirectory
    let slots: SlotDirectory
    /// Asked by one thread at a time, and never beside its end.
    private let attachment: Mutex<Attachment>
    private let boot: BootID
    private let isClosed = Atomic(false)
    /// The frame that a range which was verified last ends with, or in.
    private let lastFrame = Mutex<(frame: LSN, end: LSN)?>(nil)

    private struct Attachment {
        /// The lock file. Nil where there is none, and none could be made.
        let file: (any File)?
        /// This has appends wait: its own lock is none that it could see.
        var isBlocking = false
    }

    init(paths: LogPaths, fileSystem: any FileSystem, time: any TimeSource, writable: Bool) throws(WALError) {
        let opener = LogOpener.existing(paths, fileSystem, time)
        try opener.requireLog()
        boot = try fileSystem.bootID()
        let attached = try LogLock.attach(paths, fileSystem)
        do throws(WALError) {
            let admitted = try opener.admit(writable: writable)
            control = admitted.control
        } catch {
            attached?.close()
            throw error
        }
        attachment = Mutex(Attachment(file: attached))
        self.paths = paths
        self.fileSystem = fileSystem
        self.time = time
        medium = SegmentDirectory(paths: paths, fileSystem: fileSystem, control: control)
        slots = SlotDirectory(paths: paths, fileSystem: fileSystem)
    }

    /// Whether the live page is of this boot and of this directory, so that its durable LSN may be believed.
    var isLive: Bool {
        guard control.live.isInitialised, control.live.boot == boot else { return false }
        guard let found = try? control.readFacts() else { return false }
        return !found.isCopied
    }

    func headLSN() throws(WALError) -> LSN {
        try requireOpen()
        return try control.requireFacts().head
    }

    func durableLSN() throws(WALError) -> LSN {
        try requireOpen()
        if control.live.isInitialised && control.live.boot == boot {
            let durable = control.live.durable
            let found = try control.readFacts()
            // What an interrupted truncation of the end was removing is no part of the log.
            if !found.isCopied { return min(durable, found.facts?.discardFrom ?? durable) }
        }
        return try durableWithoutWriter()
    }

    /// Another boot's log, or a copy: what recovery would rely on.
    private func durableWithoutWriter() throws(WALError) -> LSN {
        let found = try control.readFacts()
        guard let facts = found.facts else { throw .corruption(lsn: .zero, reason: found.describeDamage(paths.control)) }
        let epochs = try control.epochTable(facts)
        let windows = try medium.windows()
        let evidence = try FloorEvidence.gather(
            facts: facts, epochs: epochs, control: control, isCopied: found.isCopied, windows: windows, medium: medium,
            slots: slots, boot: boot)
        // A checkpoint at a segment's end may lie inside a frame or a batch, which was durable whole when the checkpoint was written.
        let storageEnd = LSN((windows.last.map { $0 + 1 } ?? 0) * medium.windowSize)
        guard evidence.floor > evidence.boundary else { return evidence.boundary }
        let cursor = FrameCursor(
            reader: makeReader(), checksums: FrameChecksums(logID: facts.logID, epochs: epochs),
            maxRecordSize: facts.maxRecordSize, position: evidence.boundary, limit: max(storageEnd, evidence.boundary))
        var isInsideBatch = false
        while cursor.position < evidence.floor || isInsideBatch {
            switch try cursor.next() {
            case .record(let record): isInsideBatch = record.continuesBatch
            case .end, .fault:
                // Not a shorter log: what was durable is damaged.
                throw .corruption(
                    lsn: cursor.position,
                    reason: "no intact frame, and the log is durable up to LSN \(evidence.floor); repair it from the archive")
            }
        }
        return cursor.position
    }

    func records(from lsn: LSN, ifTruncated: TruncatedPositionPolicy, policy: RecoveryPolicy) -> RecordSequence {
        do throws(WALError) {
            let facts = try control.requireFacts()
            let end = try durableLSN()
            let start: Result<LSN, WALError> =
                lsn >= facts.head
                ? .success(lsn)
                : ifTruncated == .startAtHead ? .success(facts.head) : .failure(.positionLost(head: facts.head))
            return RecordSequence(source: try source(facts, policy: policy), start: start, end: end)
        } catch {
            let none = RecordSource(
                makeReader: { () throws(WALError) in throw error },
                checksums: FrameChecksums(logID: control.identity.logID, epochs: .unknown), maxRecordSize: 0,
                segmentSize: control.identity.segmentSize, policy: policy)
            return RecordSequence(source: none, start: .failure(error), end: .zero)
        }
    }

    func source(_ facts: Facts, policy: RecoveryPolicy) throws(WALError) -> RecordSource {
        RecordSource(
            makeReader: { () throws(WALError) in self.makeReader() },
            checksums: FrameChecksums(logID: facts.logID, epochs: try control.epochTable(facts)),
            maxRecordSize: facts.maxRecordSize, segmentSize: control.identity.segmentSize, policy: policy)
    }

    func commitTimes(ofSegment index: UInt64) throws(WALError) -> [CommitTime] {
        try CommitTimes.read(segment: index, paths, fileSystem, logID: control.identity.logID)
    }

    func makeReader() -> any LogBytesReader { WatchingReader(files: self) }

    /// `.positionLost` where `lsn` lies below the head, which others move.
    func boundarySearch(notBelowHead lsn: LSN) throws(WALError) -> BoundarySearch {
        let facts = try control.requireFacts()
        guard lsn >= facts.head else { throw .positionLost(head: facts.head) }
        return BoundarySearch(
            reader: makeReader(), checksums: FrameChecksums(logID: facts.logID, epochs: try control.epochTable(facts)),
            maxRecordSize: facts.maxRecordSize, segmentSize: control.identity.segmentSize, head: facts.head,
            durable: try durableLSN())
    }

    /// Where the frame begins that begins at `lsn` or crosses it, where that was seen when the range below was verified; so that ranges that
    /// follow one another need no search in what lies before them. The durable log does not change while readers are attached.
    func frame(reaching lsn: LSN, notBelow head: LSN) -> LSN? {
        guard let known = lastFrame.withLock({ $0 }), known.end == lsn, known.frame >= head else { return nil }
        return known.frame
    }

    func note(frame: LSN, reaching end: LSN) { lastFrame.withLock { $0 = (frame, end) } }

    // MARK: Having appends wait

    /// See `LogSidecar.blockAppends`. The lock comes first: a flag without it counts for nothing.
    func blockAppends() throws(WALError) {
        try attachment.withLock { attachment throws(WALError) in
            try requireOpen()
            guard let file = attachment.file else { return }
            guard try file.tryLock(byte: LogLock.blockingByte, .shared) else {
                throw .locked(holder: "a process that holds byte \(LogLock.blockingByte) of \(paths.lock) for itself alone")
            }
            attachment.isBlocking = true
            if !control.live.isBlocked { control.live.setBlocked(by: getpid()) }
        }
    }

    func unblockAppends() throws(WALError) {
        try attachment.withLock { attachment throws(WALError) in
            // With the attachment the lock went, and the flag counts for nothing.
            guard let file = attachment.file, attachment.isBlocking, !isClosed.load(ordering: .acquiring) else { return }
            try file.unlock(byte: LogLock.blockingByte)
            attachment.isBlocking = false
            // Who begins to block just now finds its flag cleared, and sets it again when it says so once more.
            if try !file.isLockedByOther(byte: LogLock.blockingByte) { control.live.clearBlocked() }
        }
    }

    /// Nil where nobody has appends wait.
    func blockage() throws(WALError) -> AppendBlockage? {
        try attachment.withLock { attachment throws(WALError) in
            try requireOpen()
            guard let file = attachment.file, isLive, control.live.isBlocked else { return nil }
            let isHeld = attachment.isBlocking ? true : try file.isLockedByOther(byte: LogLock.blockingByte)
            guard isHeld else { return nil }
            // A writer that stopped or was killed had no time to say that nobody waits any more.
            let isWritten = control.live.isStopped ? false : try file.isLockedByOther(byte: LogLock.writerByte)
            return AppendBlockage(process: control.live.blockedBy, waitingAppends: isWritten ? control.live.waitingAppends : 0)
        }
    }

    /// Detaches from the log. The control file and its mapping stay until nobody refers to this any more: another thread may be asking.
    func close() {
        attachment.withLock { attachment in
            isClosed.store(true, ordering: .releasing)
            attachment.file?.close()
        }
    }

    /// `.stopped` once closed: the end of the log may be cut off under whoever reads on.
    func requireOpen() throws(WALError) {
        if isClosed.load(ordering: .acquiring) { throw .stopped(cause: .closed) }
    }
}

extension EpochTable {
    /// Stands in where a log's own table could not be read, and nothing is verified with it.
    fileprivate static var unknown: EpochTable {
        guard let table = EpochTable([Epoch(number: 1, id: EpochID(rawValue: 0), start: .zero)]) else {
            preconditionFailure("one epoch is a history")
        }
        return table
    }
}

/// Reads segments beside a writer: drops its descriptors when the incarnation changes, and looks at it after each read, before
/// the bytes are believed; so bytes of a file that recovery has replaced are never handed out.
private final class WatchingReader: LogBytesReader, @unchecked Sendable {
    // Used by one thread at a time, as LogBytesReader demands.
    private let files: ReaderFiles
    private let reader: SegmentReader
    private var incarnation: Incarnation
    /// A writer that restarts more often than this during one read is no writer that anything can be read beside.
    private static let attemptsMax = 16

    init(files: ReaderFiles) {
        self.files = files
        incarnation = files.control.live.incarnation
        let control = files.control
        let fallback = control.live.head
        reader = SegmentReader(directory: files.medium, head: { (try? control.requireFacts().head) ?? fallback })
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at lsn: LSN) throws(WALError) -> Int {
        for _ in 0..<WatchingReader.attemptsMax {
            let count = try unsafe reader.read(into: buffer, at: lsn)
            // Looked at afterwards, as the incarnation.
            try files.requireOpen()
            let now = files.control.live.incarnation
            if now == incarnation { return count }
            incarnation = now
            reader.forget()
        }
        throw .locked(holder: "a writer that keeps restarting")
    }

    func firstFrame(inSegment index: UInt64) throws(WALError) -> LSN? { try reader.firstFrame(inSegment: index) }
}
