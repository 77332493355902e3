import Synchronization

/// A crash-safe, append-only log that many threads append to without a lock.
///
/// `append` puts a record's bytes into the page cache: they survive the process, not the machine. `sync` makes everything
/// appended before durable; concurrent syncs share one flush. A record's LSN is the byte offset of its frame and never changes.
///
/// Any thread may call anything. After a failed flush the log has stopped: every call that would need it to write throws
/// `.stopped`; reading goes on; reopen it to recover. Call `close()` when done; a log that is dropped without it is recovered as after a crash.
public final class WriteAheadLog<Store: LogStore>: Sendable {
    public let store: Store
    /// What opening found and did.
    public let recoveryReport: RecoveryReport
    /// The identity of the log.
    public let logID: LogID
    public let segmentSize: Int
    public let maxRecordSize: Int
    public let isReplica: Bool

    private let configuration: LogConfiguration
    let core: LogCore
    let history: LogHistory
    private let keeper: NamedThread
    /// Where followers have their reads done.
    let readingThread = ReadingThread(name: "wal-follow")
    private let lifecycle = Mutex(Lifecycle.open)
    /// Held by the one who closes; then what that ended with.
    private let closing = Mutex<WALError?>(nil)
    /// Truncation and pins come one at a time, and never beside the end of the store's use.
    private let housekeeping = Mutex(())

    private enum Lifecycle: Equatable {
        case open
        /// Where the log began when it was closed.
        case closed(head: LSN)
    }

    /// Opens the log that `store` holds, recovering what a crash left, or begins one.
    /// On an error nothing is open, and what was there is as before.
    public init(store: Store, configuration: LogConfiguration = .init()) throws(WALError) {
        let opening = try store.open(configuration)
        do throws(WALError) {
            let core = try LogCore(store: store, opening: opening, helpers: configuration.helpers)
            let committer = core.committer
            keeper = try NamedThread(name: "wal-keeper") { committer.runKeeper { core.written() } }
            self.core = core
        } catch {
            try? store.close(durable: opening.end, clean: false)
            throw error
        }
        self.store = store
        self.configuration = configuration
        recoveryReport = opening.report
        logID = opening.logID
        history = LogHistory(opening.epochs)
        segmentSize = opening.segmentSize
        maxRecordSize = opening.maxRecordSize
        isReplica = opening.isReplica
    }

    deinit { if isOpen { try? end(flush: false) } }

    /// The history of the log's writers. `truncateAfter` adds to it.
    public var epochs: EpochTable { history.epochs }

    // MARK: Appending

    /// Appends one record. On return its bytes are in the page cache, not yet on stable storage; see `sync`.
    ///
    /// Waits, blocking the thread, where another segment is needed and a destination has appends wait (its backlog policy is `block`): until it lets
    /// them go on, its process ends, or the log is closed.
    ///
    /// - Returns: the record's LSN.
    /// - Throws: `.recordTooLarge` and `.noSpace`, the log being unchanged and usable; `.stopped` when it takes no more appends.
    @discardableResult
    @inline(__always)
    public func append(_ record: UnsafeRawBufferPointer) throws(WALError) -> LSN { unsafe try core.append(record) }

    /// As `append(_: UnsafeRawBufferPointer)`.
    @discardableResult
    public func append(_ record: RawSpan) throws(WALError) -> LSN {
        let result = unsafe record.withUnsafeBytes { bytes in
            Result { () throws(WALError) in try unsafe core.append(bytes) }
        }
        return try result.get()
    }

    /// As `append(_: UnsafeRawBufferPointer)`.
    @discardableResult
    public func append(_ record: [UInt8]) throws(WALError) -> LSN {
        let result = unsafe record.withUnsafeBytes { bytes in
            Result { () throws(WALError) in try unsafe core.append(bytes) }
        }
        return try result.get()
    }

    /// As `append(_: UnsafeRawBufferPointer)`: the text's UTF-8 bytes.
    @discardableResult
    public func append(_ record: String.UTF8View) throws(WALError) -> LSN {
        if let result = unsafe record.withContiguousStorageIfAvailable({ bytes in
            Result { () throws(WALError) in unsafe try core.append(UnsafeRawBufferPointer(bytes)) }
        }) {
            return try result.get()
        }
        return try append(Array(record))
    }

    // MARK: Durability

    /// Makes every record appended before the call durable: on return all below the returned LSN is on stable storage, file and directory
    /// entry included. Concurrent calls share flushes. Blocks the thread; from async code use the async form.
    ///
    /// - Throws: `.stopped` after a failed flush, which is final: no later sync can make those bytes durable.
    @discardableResult
    public func sync() throws(WALError) -> LSN {
        let cuts = makeCutWatch()
        let target = core.endLSN
        core.waitUntilWritten(target)
        try core.committer.waitUntilDurable(target, written: core.written)
        try requireThere(target, cuts)
        return target
    }

    /// As `sync()`, without blocking the cooperative pool. Throws `.cancelled` when the task is cancelled; then it is not known
    /// whether the records are durable.
    @discardableResult
    public func sync() async throws(WALError) -> LSN {
        let cuts = makeCutWatch()
        let target = core.endLSN
        core.waitUntilWritten(target)
        let core = core
        try await core.committer.waitUntilDurable(target, isLost: { cuts.hasCut(target) }, written: { core.written() })
        try await requireThere(target, cuts)
        return target
    }

    /// Appends a record and makes it and all before it durable. If the flush fails the record is not acknowledged, and the log has stopped.
    @discardableResult
    public func appendAndSync(_ record: [UInt8]) throws(WALError) -> LSN {
        let lsn = try append(record)
        try sync()
        return lsn
    }

    /// As `appendAndSync(_:)`, without blocking the cooperative pool: also while a consumer has appends wait. Throws `.cancelled` when the task is
    /// cancelled; then it is not known whether the record was appended.
    @discardableResult
    public func appendAndSync(_ record: [UInt8]) async throws(WALError) -> LSN {
        let lsn = try await core.append(record)
        try await sync()
        return lsn
    }

    // MARK: Positions

    /// The first record that is still there, or the end of an empty log.
    public var headLSN: LSN {
        lifecycle.withLock { state in
            switch state {
            case .open: store.headLSN
            case .closed(let head): head
            }
        }
    }
    /// Everything below is in the page cache, nothing missing before it.
    public var writtenLSN: LSN { core.written() }
    /// Everything below is on stable storage.
    public var durableLSN: LSN { core.committer.durable }
    /// Where the next record goes.
    public var endLSN: LSN { core.endLSN }
    /// Bytes from the head to the end, headers included.
    public var length: UInt64 { endLSN.distance(from: headLSN) }
    public var isEmpty: Bool { length == 0 }

    // MARK: Reading

    /// How far an iteration goes.
    public enum ReadLimit: Hashable, Sendable {
        /// Up to what is in the page cache now: may read records that power loss still takes back.
        case written
        /// Up to what is durable now.
        case durable
    }

    /// What `iterFrom` does when its position was truncated away.
    public typealias IfTruncated = TruncatedPositionPolicy

    /// The records from the head up to the limit as it is now.
    public func iter(upTo limit: ReadLimit = .durable) -> RecordSequence {
        iterFrom(.zero, ifTruncated: .startAtHead, upTo: limit)
    }

    /// The records from `lsn`, which is a record's LSN, up to the limit as it is now. Found in constant time. At or past the end it is
    /// empty; an LSN inside a record yields `.corruption`, because no frame begins there.
    public func iterFrom(_ lsn: LSN, ifTruncated: IfTruncated = .fail, upTo limit: ReadLimit = .durable) -> RecordSequence {
        let head = headLSN
        let start: Result<LSN, WALError> =
            !isOpen ? .failure(.stopped(cause: .closed))
            : lsn >= head ? .success(lsn) : ifTruncated == .startAtHead ? .success(head) : .failure(.positionLost(head: head))
        return RecordSequence(source: source, start: start, end: limit == .written ? writtenLSN : durableLSN)
    }

    private var source: RecordSource {
        let epochs = history.epochs
        // The sequence keeps the log open: nobody else may refer to it any more.
        return RecordSource(
            makeReader: { () throws(WALError) in try self.makeReader() },
            checksums: FrameChecksums(logID: logID, epochs: epochs), maxRecordSize: maxRecordSize,
            segmentSize: UInt64(segmentSize), policy: configuration.recoveryPolicy,
            cuts: makeCutWatch(epochs.current.number))
    }

    /// `epoch` is current when the reading begins.
    func makeCutWatch(_ epoch: UInt64? = nil) -> CutWatch {
        CutWatch(history: history, epoch: epoch ?? history.number, head: { self.headLSN })
    }

    /// The store is closed only after the log: it is open while the state is held.
    func makeReader() throws(WALError) -> any LogBytesReader {
        try lifecycle.withLock { state throws(WALError) in
            guard state == .open else { throw .stopped(cause: .closed) }
            return store.makeReader()
        }
    }

    /// The store is closed only after the log.
    func timesOfSegment(_ index: UInt64) throws(WALError) -> [CommitTime] {
        try lifecycle.withLock { state throws(WALError) in
            guard state == .open else { throw .stopped(cause: .closed) }
            return try store.commitTimes(ofSegment: index)
        }
    }

    // MARK: Truncation

    /// Removes records below `lsn` as far as every slot allows: the head becomes the greatest record and batch boundary at or below `lsn`, the durable
    /// LSN and every slot. Safe beside appends, syncs and readers.
    ///
    /// - Returns: the new head, durable.
    @discardableResult
    public func truncateBefore(_ lsn: LSN) throws(WALError) -> LSN {
        try housekeeping.withLock { _ throws(WALError) in
            try requireOpen()
            return try store.truncateBefore(lsn, durable: durableLSN)
        }
    }

    /// Ends the log after the record at `lsn`, durably: everything above it is gone on return and never comes back, and the next record goes where
    /// that one ends, in a new epoch. Appends wait meanwhile. The record is that of the last record of its batch.
    ///
    /// Iterations that began before end where the log does now; one that stood past it yields `.positionLost`. So do `sync`, `appendAndSync`, `waitUntilWritten`
    /// and `waitUntilDurable` for what was cut off, on this call's return and not before; whoever waits already is told with the next flush.
    ///
    /// - Throws: the log being unchanged and usable: `.positionLost` for an LSN below the head; `.encoding` where no record begins there, at or past the
    ///   end, or the record's batch goes on; `.locked` while a slot (a destination or a pin) reaches above the record's end, or while a
    ///   reader or sidecar is attached; `.noSpace`. `.stopped` when the log has stopped: then it ends where it did, or after the record, as the next opening finds.
    public func truncateAfter(_ lsn: LSN) throws(WALError) {
        try housekeeping.withLock { _ throws(WALError) in
            try requireOpen()
            let kept = try lastFrame(lsn)
            try core.committer.waitUntilDurable(kept.upperBound, written: core.written)
            try core.truncateAfter(kept, history: history)
        }
    }

    /// The frame of the record at `lsn`, where the log may end with it.
    private func lastFrame(_ lsn: LSN) throws(WALError) -> Range<LSN> {
        let (head, end) = (headLSN, writtenLSN)
        guard lsn >= head else { throw .positionLost(head: head) }
        guard lsn < end else { throw .encoding(reason: "no record begins at LSN \(lsn): the log ends at LSN \(end)") }
        let checksums = FrameChecksums(logID: logID, epochs: epochs)
        let boundary = try BoundarySearch(
            reader: store.makeReader(), checksums: checksums, maxRecordSize: maxRecordSize, segmentSize: UInt64(segmentSize),
            head: head, durable: end
        ).greatestFrameStart(atOrBelow: lsn)
        guard boundary == lsn else {
            throw .encoding(reason: "no record begins at LSN \(lsn): the one before begins at LSN \(boundary)")
        }
        let cursor = FrameCursor(
            reader: store.makeReader(), checksums: checksums, maxRecordSize: maxRecordSize, position: lsn, limit: end)
        guard case .record(let record) = try cursor.next() else {
            throw .corruption(lsn: lsn, reason: "the record that the log was to end with does not verify")
        }
        guard !record.continuesBatch else {
            throw .encoding(reason: "the record at LSN \(lsn) is not the last of its batch")
        }
        return lsn..<record.endLSN
    }

    /// Holds truncation at `lsn` (at or above the head, at or below the durable LSN) until `unpin`, across restarts. Moves a pin of that name.
    public func pin(_ name: String, at lsn: LSN) throws(WALError) {
        try housekeeping.withLock { _ throws(WALError) in
            try requireOpen()
            try store.pin(name, at: lsn, durable: durableLSN)
        }
    }

    /// Lets truncation pass. A missing pin is no error.
    public func unpin(_ name: String) throws(WALError) {
        try housekeeping.withLock { _ throws(WALError) in
            try requireOpen()
            try store.unpin(name)
        }
    }

    var isOpen: Bool { lifecycle.withLock { $0 == .open } }

    private func requireOpen() throws(WALError) {
        if !isOpen { throw .stopped(cause: .closed) }
        // A copy or a restored log stays as it is until it is promoted.
        if isReplica { throw .stopped(cause: .replica) }
    }

    // MARK: Closing

    /// Makes everything appended durable and lets go of the log: another may open it on return. Appends under way finish; later ones throw
    /// `.stopped`, and so does an iteration that begins later; one under way must have ended. Who calls it again, or meanwhile, does nothing but
    /// wait until the log is closed, and is told the same.
    ///
    /// - Throws: `.stopped` when the last flush failed. `.locked`, `.notALog` or `.io` where all is durable, but the log's facts could not be told so:
    ///   another process's maintenance would not end, or the directory is not there any more. The log is closed all the same.
    public func close() throws(WALError) {
        try closing.withLock { failure throws(WALError) in
            if isOpen {
                do throws(WALError) { try end(flush: true) } catch { failure = error }
            }
            if let failure { throw failure }
        }
    }

    /// Once.
    private func end(flush: Bool) throws(WALError) {
        lifecycle.withLock { $0 = .closed(head: store.headLSN) }
        core.closeTail()
        var failure: WALError?
        func attempt(_ body: () throws(WALError) -> Void) {
            do throws(WALError) { try body() } catch { if failure == nil { failure = error } }
        }
        if flush && !isReplica {
            attempt { () throws(WALError) in try core.committer.waitUntilDurable(core.endLSN, written: core.written) }
        }
        var unused: UInt64?
        attempt { () throws(WALError) in unused = try core.stopHelpers() }
        // A log that has stopped knows less about its end than the next opening.
        let hasStopped = core.committer.stopCause != nil
        core.committer.stopKeeper()
        keeper.join()
        if flush && failure == nil { attempt { () throws(WALError) in try store.noteIdle() } }
        core.committer.refuse(.closed)
        readingThread.stop()
        attempt { () throws(WALError) in
            try core.committer.betweenFlushes { () throws(WALError) in
                for segment in core.active.takeAll() { try segment.release() }
            }
        }
        let clean = flush && failure == nil && !hasStopped
        // Best effort: the next opening removes what is left.
        if clean, let unused { try? store.discardSegments(from: unused) }
        attempt { () throws(WALError) in
            try housekeeping.withLock { _ throws(WALError) in
                try store.close(durable: core.committer.durable, clean: clean)
            }
        }
        if let failure { throw failure }
    }
}

/// What an iteration does when its position was truncated away.
public enum TruncatedPositionPolicy: Hashable, Sendable {
    /// It begins at the head.
    case startAtHead
    /// It yields `.positionLost` and ends. Shippers and followers always ask for this.
    case fail
}

/// The usual log: a directory of segments.
public typealias SegmentedLog = WriteAheadLog<SegmentedStore>
/// A small log in one file.
public typealias FileLog = WriteAheadLog<FileStore>
/// A log in memory.
public typealias MemoryLog = WriteAheadLog<MemoryStore>

extension WriteAheadLog where Store == SegmentedStore {
    /// Opens the log in `directory`, or begins one there. `segmentSize` in bytes, a multiple of 4096, 4 KiB to 1 GiB; nil takes that of the log
    /// that is there, or 16 MiB. See `init(store:configuration:)`; throws `.locked`, `.notALog`, `.parameterMismatch`, `.corruption`, `.copiedWhileLive`,
    /// `.noSpace`, `.io`.
    public static func open(
        directory: String, segmentSize: Int? = nil, configuration: LogConfiguration = .init()
    ) throws(WALError) -> SegmentedLog {
        try SegmentedLog(
            store: SegmentedStore(directory: directory, segmentSize: segmentSize), configuration: configuration)
    }
}

extension WriteAheadLog where Store == FileStore {
    /// Opens the log in the file `path`, or begins one there. Throws as `open(directory:)`.
    public static func open(path: String, configuration: LogConfiguration = .init()) throws(WALError) -> FileLog {
        try FileLog(store: FileStore(path: path), configuration: configuration)
    }
}
