/// The durable records of a log from a position on, as they come.
///
/// Each record is handed out once it is durable, never before, and of a batch nothing before all of it is. The consumer's pull is the
/// back-pressure: nothing is read ahead of it but one chunk (`LogLimits.followChunkRecords`, `LogLimits.readSize`). Waiting holds no thread
/// and asks for no flush; reads are done on a thread of the log's. Any number of followers at once, each iterator in one task at a time.
///
/// Ends when the log (or `LogReader`) is closed; what had not been handed out by then is there at the next opening. Throws `.stopped` after a
/// failed flush, once everything durable has been handed out; `.positionLost(head:)` where truncation was faster; `.corruption` at a
/// damaged record, whatever the recovery policy: nothing is left out silently; `.cancelled` when the task is cancelled, so that an end is
/// never taken for one.
public struct FollowSequence: AsyncSequence, Sendable {
    public typealias Element = Record
    public typealias Failure = WALError

    let log: any FollowedLog
    let start: LSN

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(log: log, position: start) }

    /// Hands out the records of one follower.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let log: any FollowedLog
        /// Everything below has been read.
        private var position: LSN
        private var chunk: [Record] = []
        private var used = 0
        private var reader: (any LogBytesReader)?
        private var isDone = false

        init(log: any FollowedLog, position: LSN) {
            self.log = log
            self.position = position
        }

        public mutating func next() async throws(WALError) -> Record? { try await next(isolation: #isolation) }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(WALError) -> Record? {
            if Task.isCancelled { throw .cancelled }
            if used == chunk.count {
                guard !isDone else { return nil }
                do throws(WALError) {
                    guard try await fill() else {
                        isDone = true
                        reader = nil
                        return nil
                    }
                } catch {
                    if error != .cancelled { isDone = true }
                    throw error
                }
            }
            defer { used += 1 }
            return chunk[used]
        }

        /// Kept from chunk to chunk: it may have a segment open.
        private mutating func usedReader() throws(WALError) -> any LogBytesReader {
            if let reader { return reader }
            let new = try log.makeReader()
            reader = new
            return new
        }

        /// Reads the next chunk, waiting for it to become durable; false at the end.
        private mutating func fill() async throws(WALError) -> Bool {
            chunk = []
            used = 0
            while true {
                switch try await log.look(from: position) {
                case .ended: return false
                case .nothingNew: try await log.waitForMore(than: position)
                case .readable(let source, let limit):
                    do throws(WALError) {
                        let reader = try usedReader()
                        let read = try await log.readChunk(FollowRequest(source: source, reader: reader, position: position, limit: limit))
                        position = read.end
                        chunk = read.records
                    } catch {
                        // What is read while the log is being closed may fail in any way.
                        if log.isClosed { return false }
                        throw error
                    }
                    return true
                }
            }
        }
    }
}

/// A log as its followers see it.
protocol FollowedLog: Sendable {
    /// What there is to read from `position` on. Throws `.positionLost`, or what the log has stopped with once all has been read.
    func look(from position: LSN) async throws(WALError) -> FollowLook
    /// Returns when something may be there; throws `.cancelled`.
    func waitForMore(than position: LSN) async throws(WALError)
    /// A reader of the follower's own. Reads nothing yet.
    func makeReader() throws(WALError) -> any LogBytesReader
    /// Reads on a thread that may block.
    func readChunk(_ request: FollowRequest) async throws(WALError) -> FollowChunk
    var isClosed: Bool { get }
}

enum FollowLook: Sendable {
    case readable(FollowSource, upTo: LSN)
    case nothingNew
    case ended
}

/// What verifies a log's frames. Another writer may have begun another epoch, or raised the maximum.
struct FollowSource: Sendable {
    let checksums: FrameChecksums
    let maxRecordSize: Int
}

/// What a follower wants read next. Does not own the log: the thread that reads may be the last to let go of it.
struct FollowRequest: Sendable {
    let source: FollowSource
    let reader: any LogBytesReader
    let position: LSN
    /// A durable LSN, which never lies inside a batch.
    let limit: LSN

    /// At least one record, or the error that stands in its way.
    func read() throws(WALError) -> FollowChunk {
        precondition(position < limit, "nothing to read")
        let cursor = FrameCursor(
            reader: reader, checksums: source.checksums, maxRecordSize: source.maxRecordSize, position: position, limit: limit)
        var chunk = FollowChunk(records: [], end: position)
        while chunk.records.count < LogLimits.followChunkRecords,
            chunk.end.distance(from: position) < UInt64(LogLimits.readSize)
        {
            let step: FrameCursor.Step
            do throws(WALError) {
                step = try cursor.next()
            } catch {
                // What was read before it comes first; the next chunk begins with the error.
                if chunk.records.isEmpty { throw error }
                return chunk
            }
            switch step {
            case .record(let record):
                chunk.records.append(record)
                chunk.end = record.endLSN
            case .end: return chunk
            case .fault(let fault):
                if chunk.records.isEmpty { throw .corruption(lsn: position, reason: fault.reason) }
                return chunk
            }
        }
        return chunk
    }
}

/// Records that were read at once, and where the next one begins.
struct FollowChunk: Sendable {
    var records: [Record]
    var end: LSN
}
