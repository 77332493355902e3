/// What a log is kept in: memory, one file, a directory of segments, or something of your own.
///
/// The log asks its store on the slow path only (opening, a new segment, a flush, a read, truncation); appending copies straight
/// into the memory of segments. A store hands out LSN ranges as *segments* of `segmentSize` bytes: segment *k* is
/// `[k·segmentSize, (k+1)·segmentSize)`.
///
/// Calls: `open` once, first; `close` once, last, when nothing else is under way. In between every call may come from any thread, and
/// beside every other, but for these: of `makeSegment`, `prepareSegment` and `discardSegments` one is under way at a time, one `truncateBefore`,
/// and one `truncateAfter`. So a segment may be made by a background thread while others are flushed and released, bytes are read and the
/// prefix truncated. The conformance suite (`LogStoreConformance` in the tests) says the rest.
public protocol LogStore: Sendable {
    /// Makes the log ready to append at the end it returns, recovering what a crash left.
    /// On an error nothing is open and nothing was changed but for leftovers of our own.
    func open(_ configuration: LogConfiguration) throws(WALError) -> StoreOpening

    /// A segment of zeros, backed: writing to it needs no further space. Its existence is durable on return.
    /// `.noSpace`, and any other error, leaves the store as it was.
    func makeSegment(_ index: UInt64) throws(WALError) -> any LogSegment

    /// As `makeSegment`, but ahead of need: no append waits for it yet, so it may take its time to make the segment quick to write to. The
    /// segment may never be written: then it is released and, unless the log dies before, discarded; the next `open` must not take it for a part
    /// of the log. An error here is nobody's: the append that needs the segment calls `makeSegment` for it. Nil: this store prepares nothing.
    ///
    /// A store that does not implement this has its segments made ahead by `makeSegment`.
    func prepareSegment(_ index: UInt64) throws(WALError) -> (any LogSegment)?

    /// Takes away segments that were made but that the end of the log never reached, from `index` on. Nobody uses them; they were released.
    func discardSegments(from index: UInt64) throws(WALError)

    /// Whether appends that need another segment have to wait, because who consumes the log has asked for that. Asked before each segment, and again and
    /// again while any wait: `waiting` of them do if this says so; also once when one of them waits no more, for the number alone. Called like `makeSegment`.
    /// On an error the append fails.
    ///
    /// A store that does not implement this has nobody who would ask.
    func isBlocked(waiting: Int) throws(WALError) -> Bool

    /// A reader of its own for one iteration; may hold a descriptor.
    func makeReader() -> any LogBytesReader

    /// Every byte below `durable` is on stable storage. Called by the one flush leader after its flush, before anybody is told; the
    /// store makes this known to other processes and to the next opening. `written` is a hint.
    func noteDurable(_ durable: LSN, written: LSN) throws(WALError)

    /// Nothing has been written for a moment: make lazily kept notes durable.
    func noteIdle() throws(WALError)

    /// When the log became durable how far, as far as the store has noted it for segment `index` (the segment of the last byte), ascending by LSN.
    /// Nothing rests on it: a store that does not implement this notes none.
    func commitTimes(ofSegment index: UInt64) throws(WALError) -> [CommitTime]

    /// The log has stopped after a failed flush.
    func noteStopped()

    /// The first LSN that is still there. Other processes may move it.
    var headLSN: LSN { get }

    /// Removes the prefix below the greatest record and batch boundary at or below `lsn` and every slot; returns the new head. On
    /// return the head is durable; space below it has been returned as far as the store can.
    /// `durable` and `end` are the log's own, the request is at or below `durable`.
    func truncateBefore(_ lsn: LSN, durable: LSN) throws(WALError) -> LSN

    /// Ends the log at the end of `kept`, the frame of its last record to be, beginning a new epoch there; everything above is gone durably on return,
    /// and never comes back. All below is durable, and the frame is the last of its batch.
    ///
    /// Called while nobody appends or flushes. `letGo` is called once, when nothing can refuse any more and before anything is changed: on its return
    /// the log holds no segment and makes none; until then one may be being prepared. What was prepared and let go of is to be removed, too.
    ///
    /// Refused, the store being as before: `.locked` where a slot reaches above the end, or somebody reads along; `.positionLost` where the
    /// record lies below the head; what keeps it from making its copy, `.noSpace` for one. `.stopped` is final: the end is
    /// the one before or the new one, as the next opening finds.
    func truncateAfter(_ kept: Range<LSN>, letGo: () throws(WALError) -> Void) throws(WALError) -> StoreTruncation

    /// Holds truncation at `lsn`, durably, until `unpin`. Moves a pin of that name that exists.
    func pin(_ name: String, at lsn: LSN, durable: LSN) throws(WALError)
    /// Removes a pin; a missing one is no error.
    func unpin(_ name: String) throws(WALError)

    /// Ends the use of the store: notes are made durable, locks released. Every segment has been released before.
    func close(durable: LSN, clean: Bool) throws(WALError)
}

extension LogStore {
    public func prepareSegment(_ index: UInt64) throws(WALError) -> (any LogSegment)? { try makeSegment(index) }
    public func commitTimes(ofSegment index: UInt64) throws(WALError) -> [CommitTime] { [] }
    public func isBlocked(waiting: Int) throws(WALError) -> Bool { false }
}

/// One segment's memory while it is appended to.
///
/// The log writes through `base` from many threads, each to a range of its own, and calls the rest as said.
public protocol LogSegment: AnyObject, Sendable {
    /// `segmentSize` bytes.
    var base: UnsafeMutableRawPointer { get }
    /// All bytes written before the call are on stable storage on return. Any error is final for the log.
    func flush() throws(WALError)
    /// The first frame that begins in this segment begins at `lsn`; nil: none does. Once; from an appender, while it appends.
    func noteFirstFrame(_ lsn: LSN?) throws(WALError)
    /// The segment is no longer written and all of it is durable. `base` is not used after this call.
    func release() throws(WALError)
}

/// Reads the bytes of a log. Used by one thread at a time.
public protocol LogBytesReader: AnyObject, Sendable {
    /// Fills `buffer` with the log's bytes from `lsn` on; fewer only where storage for the rest does not exist.
    /// `.positionLost` where truncation was faster.
    func read(into buffer: UnsafeMutableRawBufferPointer, at lsn: LSN) throws(WALError) -> Int
    /// The first frame that begins in the segment, where the segment knows.
    func firstFrame(inSegment index: UInt64) throws(WALError) -> LSN?
}

/// What a store is after its end was cut off.
public struct StoreTruncation: Sendable {
    /// With the new epoch, which begins at the new end.
    public var epochs: EpochTable
    /// The segment that holds the end, where it exists.
    public var lastSegment: (any LogSegment)?

    public init(epochs: EpochTable, lastSegment: (any LogSegment)?) {
        self.epochs = epochs
        self.lastSegment = lastSegment
    }
}

/// What a store found when it opened.
public struct StoreOpening: Sendable {
    public var logID: LogID
    public var epochs: EpochTable
    public var segmentSize: Int
    public var maxRecordSize: Int
    /// Where the next record goes; everything below is durable.
    public var end: LSN
    /// The segment that holds `end`, where it exists already.
    public var lastSegment: (any LogSegment)?
    /// Readable, but not to be appended to: restored or copied, and not promoted.
    public var isReplica: Bool
    public var report: RecoveryReport

    public init(
        logID: LogID, epochs: EpochTable, segmentSize: Int, maxRecordSize: Int, end: LSN,
        lastSegment: (any LogSegment)?, isReplica: Bool, report: RecoveryReport
    ) {
        self.logID = logID
        self.epochs = epochs
        self.segmentSize = segmentSize
        self.maxRecordSize = maxRecordSize
        self.end = end
        self.lastSegment = lastSegment
        self.isReplica = isReplica
        self.report = report
    }
}
