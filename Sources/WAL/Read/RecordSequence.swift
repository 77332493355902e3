/// The records of a log from a position up to a fixed end, in LSN order.
///
/// Elements are results: a damaged record is yielded once as `.corruption`; then the iteration ends, or goes on at the next position that is
/// known (`RecoveryPolicy`). Truncation that overtakes the iteration is `.positionLost`, an I/O error is `.io`; both end it.
/// Each iterator holds at most one descriptor and one buffer; use it from one thread at a time.
public struct RecordSequence: Sequence, Sendable {
    let source: RecordSource
    let start: Result<LSN, WALError>
    let end: LSN

    public func makeIterator() -> RecordIterator { RecordIterator(makeRuns()) }

    /// Lends `body` each record's LSN and bytes, in order, without a copy or a reference for each: the fastest way to look at all of them. The
    /// bytes must not be used after `body` returns.
    ///
    /// Throws what `body` throws, and what ends the iteration. `damaged` is told of each damaged record where the policy is `.skipBadRecords`;
    /// where it is `.stopAtFirstError`, and without it, `.corruption` is thrown.
    @inlinable public func forEachRecord(
        damaged: ((WALError) throws -> Void)? = nil, _ body: (LSN, RawSpan) throws -> Void
    ) throws {
        let runs = makeRuns()
        while let step = runs.next() {
            switch step {
            case .success(let run): try run.forEach(body)
            case .failure(let error):
                guard let damaged, !runs.isDone else { throw error }
                try damaged(error)
            }
        }
    }

    @usableFromInline func makeRuns() -> RunIterator { RunIterator(source: source, start: start, end: end) }
}

/// What an iteration needs to know of its log.
struct RecordSource: Sendable {
    let makeReader: @Sendable () throws(WALError) -> any LogBytesReader
    let checksums: FrameChecksums
    let maxRecordSize: Int
    let segmentSize: UInt64
    let policy: RecoveryPolicy
    /// For readers in the writer's own process: others are not attached while the end of the log is cut off.
    var cuts: CutWatch? = nil
}

/// Notices that the end of the log was cut off while it was read, or waited for.
struct CutWatch: Sendable {
    let history: LogHistory
    /// Current when that began.
    let epoch: UInt64
    let head: @Sendable () -> LSN

    /// Where the part of the log ends that is still there; nil while all of it is.
    var end: LSN? { history.cutEnd(since: epoch) }

    /// Whether `lsn` lies above what is still there, or will be once the cut is done that is under way.
    func hasCut(_ lsn: LSN) -> Bool { end.map { lsn > $0 } ?? false }
}

/// Iterates over a `RecordSequence`. Not for use from two threads at once; a copy shares the iteration, and what one of them was given the other
/// one may pass over.
public struct RecordIterator: IteratorProtocol {
    public typealias Element = Result<Record, WALError>

    @usableFromInline let runs: RunIterator
    /// Records that were read and verified already.
    @usableFromInline var ready = FrameRun.none

    init(_ runs: RunIterator) { self.runs = runs }

    @inlinable public mutating func next() -> Result<Record, WALError>? {
        if let record = ready.next() { return runs.isWatching && runs.isCut ? ifStillThere(record) : .success(record) }
        return refill()
    }

    /// The record, unless the log was cut off below it since its run was read.
    @usableFromInline mutating func ifStillThere(_ record: Record) -> Result<Record, WALError>? {
        guard let end = runs.cutEnd, record.endLSN > end else { return .success(record) }
        ready = .none
        return runs.endBehindCut(at: end, position: record.lsn)
    }

    @usableFromInline mutating func refill() -> Result<Record, WALError>? {
        // Let go of the buffer first, so that it is used again.
        ready = .none
        switch runs.next() {
        case .success(let run):
            ready = run
            guard let record = ready.next() else { preconditionFailure("a run has a record") }
            return .success(record)
        case .failure(let error): return .failure(error)
        case nil: return nil
        }
    }
}

/// Walks a sequence's records by runs of intact ones, and follows its policy where one is damaged. One thread at a time.
@usableFromInline final class RunIterator {
    private let source: RecordSource
    private let start: Result<LSN, WALError>
    private let end: LSN
    private var cursor: FrameCursor?
    /// Nothing comes any more.
    @usableFromInline private(set) var isDone = false
    /// Whether the log may be cut off meanwhile.
    @usableFromInline let isWatching: Bool

    /// What `source.cuts` says, within reach of the loop over records.
    private let history: LogHistory?
    private let epoch: UInt64

    init(source: RecordSource, start: Result<LSN, WALError>, end: LSN) {
        isWatching = source.cuts != nil
        history = source.cuts?.history
        epoch = source.cuts?.epoch ?? 0
        self.source = source
        self.start = start
        self.end = end
    }

    /// Whether the log was cut off since the iteration began; one load, for each record.
    @usableFromInline var isCut: Bool { history.map { $0.number != epoch } ?? false }

    /// Where the log was cut off since the iteration began; nil where it was not.
    var cutEnd: LSN? { source.cuts?.end }

    /// The iteration ends because the log was cut off at `end`; having got to `position`, it may have gone too far.
    func endBehindCut<Element>(at end: LSN, position: LSN) -> Result<Element, WALError>? {
        isDone = true
        return position > end ? .failure(.positionLost(head: source.cuts?.head() ?? .zero)) : nil
    }

    @usableFromInline func next() -> Result<FrameRun, WALError>? {
        if isDone { return nil }
        guard isWatching else { return advance() }
        let position = cursor?.position ?? .zero
        let step = advance()
        // Looked at after the bytes were read and verified: what was cut off before this call is not handed out.
        guard let end = cutEnd else { return step }
        switch step {
        case .success(var run):
            run.limit(to: end)
            return run.isEmpty ? endBehindCut(at: end, position: position) : .success(run)
        case .failure(.corruption(let lsn, _)): return lsn < end ? step : endBehindCut(at: end, position: lsn)
        case .failure: return step
        case nil: return endBehindCut(at: end, position: position)
        }
    }

    private func advance() -> Result<FrameRun, WALError>? {
        do throws(WALError) {
            let start = try start.get()
            guard start < end else {
                isDone = true
                return nil
            }
            return try step(try openCursor(at: start))
        } catch {
            isDone = true
            return .failure(error)
        }
    }

    /// Opens the log's bytes when the first record is asked for.
    private func openCursor(at start: LSN) throws(WALError) -> FrameCursor {
        if let cursor { return cursor }
        let cursor = FrameCursor(
            reader: try source.makeReader(), checksums: source.checksums, maxRecordSize: source.maxRecordSize,
            position: start, limit: end)
        self.cursor = cursor
        return cursor
    }

    private func step(_ cursor: FrameCursor) throws(WALError) -> Result<FrameRun, WALError>? {
        switch try cursor.nextRun() {
        case .frames(let run): return .success(run)
        case .end:
            isDone = true
            return nil
        case .fault(let fault):
            let damaged = cursor.position
            isDone = source.policy == .skipBadRecords ? !(try resume(cursor, after: damaged)) : true
            return .failure(.corruption(lsn: damaged, reason: fault.reason))
        }
    }

    /// Finds the next position to believe in: where the damaged frame says that it ends, else where a later segment's foot says that a frame
    /// begins. Two chained intact frames are believed, or one that ends exactly at the end; a single one is not. A segment that cannot be used
    /// is passed over: the damage at hand is what is to be told.
    private func resume(_ cursor: FrameCursor, after damaged: LSN) throws(WALError) -> Bool {
        if let claimed = try unlessDamaged({ () throws(WALError) in try cursor.claimedEnd() }), try isBelievable(claimed, cursor) {
            return true
        }
        var index = damaged.rawValue / source.segmentSize + 1
        while index * source.segmentSize < end.rawValue {
            let first = try unlessDamaged { () throws(WALError) in try cursor.firstFrame(inSegment: index) }
            if let first, first > damaged, try isBelievable(first, cursor) { return true }
            index += 1
        }
        return false
    }

    private func unlessDamaged(_ body: () throws(WALError) -> LSN?) throws(WALError) -> LSN? {
        do throws(WALError) { return try body() } catch .corruption { return nil }
    }

    /// Leaves the cursor at `candidate` if what is there is believed.
    private func isBelievable(_ candidate: LSN, _ cursor: FrameCursor) throws(WALError) -> Bool {
        do throws(WALError) { return try chains(candidate, cursor) } catch .corruption { return false }
    }

    private func chains(_ candidate: LSN, _ cursor: FrameCursor) throws(WALError) -> Bool {
        if candidate == end {
            cursor.seek(to: candidate)
            return true
        }
        cursor.seek(to: candidate)
        for _ in 0..<2 {
            switch try cursor.next() {
            case .record(let record):
                if record.endLSN == end {
                    cursor.seek(to: candidate)
                    return true
                }
            case .end, .fault: return false
            }
        }
        cursor.seek(to: candidate)
        return true
    }
}
