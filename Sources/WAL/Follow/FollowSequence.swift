/// The durable records of a log from a position on, as they come.
///
/// Each record is handed out once it is durable, never before, and of a batch nothing before all of it is. The consumer's pull is the
/// back-pressure: no more than `LogLimits.followedAheadMax` bytes (or one record) are read ahead of it. Waiting holds no thread and asks for
/// no flush; reads are done on a thread of the log's. Any number of followers at once, each iterator in one task at a time.
///
/// Ends when the log (or `LogReader`) is closed; what had not been handed out by then is there at the next opening. Throws `.stopped` after a
/// failed flush, once everything durable has been handed out; `.positionLost(head:)` where truncation was faster, or where `truncateAfter` cut
/// off records that were handed out already (what it cut off is not handed out after it has returned); `.corruption` at a damaged record,
/// whatever the recovery policy: nothing is left out silently; `.cancelled` when the task is cancelled, so that an end is never taken for one.
public struct FollowSequence: AsyncSequence, Sendable {
    public typealias Element = Record
    public typealias Failure = WALError

    let log: any FollowedLog
    let start: LSN
    /// A cut after the sequence was made is news.
    private let cuts: CutWatch?

    init(log: any FollowedLog, start: LSN) {
        self.log = log
        self.start = start
        cuts = log.makeCutWatch()
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(log: log, position: start, cuts: cuts) }

    /// Hands out the records of one follower.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let log: any FollowedLog
        /// Everything below has been handed out.
        private var position: LSN
        private var cuts: CutWatch?
        /// What is being handed out, and what comes then.
        private var run = FrameRun.none
        private var ahead: ArraySlice<FrameRun> = []
        /// Reads up to what was durable when it was made.
        private var reading: FollowReading?
        private var isDone = false

        init(log: any FollowedLog, position: LSN, cuts: CutWatch?) {
            self.log = log
            self.position = position
            self.cuts = cuts
        }

        public mutating func next() async throws(WALError) -> Record? { try await next(isolation: #isolation) }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(WALError) -> Record? {
            while !isDone {
                if Task.isCancelled { throw .cancelled }
                if let seen = cuts, seen.end != nil {
                    // What was read is read again, from other files. Renewed first: a cut after that is news once more.
                    cuts = log.makeCutWatch()
                    forget()
                    guard let end = seen.end, position <= end else {
                        isDone = true
                        throw .positionLost(head: seen.head())
                    }
                }
                if let record = nextAhead() {
                    position = record.endLSN
                    return record
                }
                do throws(WALError) {
                    try await fill()
                } catch {
                    if error == .cancelled { throw error }
                    // What is read while the log is being closed or cut off may fail in any way.
                    if log.isClosed { break }
                    if try await isCut() { continue }
                    end()
                    throw error
                }
            }
            end()
            return nil
        }

        private mutating func end() {
            isDone = true
            forget()
        }

        private mutating func forget() {
            run = .none
            ahead = []
            reading = nil
        }

        private mutating func nextAhead() -> Record? {
            if let record = run.next() { return record }
            // Let go of the buffer, so that it is used again.
            run = .none
            guard let next = ahead.popFirst() else { return nil }
            run = next
            return run.next()
        }

        /// Whether the log has been cut off. Waits for the end of a cut that is under way: its files come before its news.
        private func isCut() async throws(WALError) -> Bool {
            while log.isBeingCut {
                do { try await Task.sleep(for: .nanoseconds(LogLimits.writtenLookMax)) } catch { throw .cancelled }
            }
            return cuts?.end != nil
        }

        /// Reads on; or waits, or ends, where all that is durable has been handed out.
        private mutating func fill() async throws(WALError) {
            if reading == nil {
                switch try await log.look(from: position) {
                case .ended: isDone = true
                case .nothingNew: try await log.waitForMore(than: position, cuts)
                case .readable(let new): reading = new
                }
            }
            guard let reading else { return }
            ahead = try await log.thread.run { () throws(WALError) in try reading.next() }[...]
            if ahead.isEmpty { self.reading = nil }
        }
    }
}

/// A log as its followers see it.
protocol FollowedLog: Sendable {
    /// What there is to read from `position` on. Throws `.positionLost`, or what the log has stopped with once all has been read.
    func look(from position: LSN) async throws(WALError) -> FollowLook
    /// Returns when something may be there, or the log was cut off; throws `.cancelled`.
    func waitForMore(than position: LSN, _ cuts: CutWatch?) async throws(WALError)
    /// Where reads are done.
    var thread: ReadingThread { get }
    var isClosed: Bool { get }
    /// Nil where the end of the log cannot be cut off under its followers.
    func makeCutWatch() -> CutWatch?
    /// Whether a cut may be under way.
    var isBeingCut: Bool { get }
}

enum FollowLook: Sendable {
    case readable(FollowReading)
    case nothingNew
    case ended
}

/// What a follower reads until it has to look for more. Does not own the log: the thread that reads may be the last to let go of it.
final class FollowReading: @unchecked Sendable {
    // Sendable although a cursor is not: its one follower waits while the thread reads.
    private let cursor: FrameCursor
    private let head: @Sendable () throws(WALError) -> LSN

    /// `limit` is a durable LSN, which never lies inside a batch.
    init(
        reader: any LogBytesReader, checksums: FrameChecksums, maxRecordSize: Int, position: LSN, limit: LSN,
        head: @escaping @Sendable () throws(WALError) -> LSN
    ) {
        self.head = head
        cursor = FrameCursor(reader: reader, checksums: checksums, maxRecordSize: maxRecordSize, position: position, limit: limit)
    }

    /// The next records, or the error that stands in their way; none at the limit.
    func next() throws(WALError) -> [FrameRun] {
        let start = cursor.position
        let result = Result { () throws(WALError) in try read(from: start) }
        // Looked at after the bytes were read: of what was truncated meanwhile anything may have been found.
        let head = try head()
        guard start >= head else { throw .positionLost(head: head) }
        return try result.get()
    }

    private func read(from start: LSN) throws(WALError) -> [FrameRun] {
        var runs: [FrameRun] = []
        while cursor.position.distance(from: start) < UInt64(LogLimits.followedAheadMax) {
            let step: FrameCursor.RunStep
            do throws(WALError) {
                step = try cursor.nextRun()
            } catch {
                // What was read before it comes first; the next call meets the error again.
                if runs.isEmpty { throw error }
                return runs
            }
            switch step {
            case .frames(let run): runs.append(run)
            case .end: return runs
            case .fault(let fault):
                if runs.isEmpty { throw .corruption(lsn: cursor.position, reason: fault.reason) }
                return runs
            }
        }
        return runs
    }
}
