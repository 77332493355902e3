/// Following and waiting beside a writer in another process.
///
/// Woken by the writer after each flush; the death of a writer is seen within `LogLimits.liveLookMax`, a tenth of a second.
extension LogReader {
    /// The durable records from `lsn` on, as they become durable: see `FollowSequence`. Goes on across the writer's end and its next
    /// opening of the log; ends with `close()`.
    public func follow(from lsn: LSN) -> FollowSequence { FollowSequence(log: Followed(log: self), start: lsn) }

    /// Returns when everything below `lsn` is durable. Blocks the thread. Throws `.stopped` with `.noWriter` when nobody has the log open for
    /// writing (any more), with `.writerFailed` when its writer has stopped, with `.closed` after `close()`.
    public func waitUntilDurable(_ lsn: LSN) throws(WALError) {
        if try durableLSN >= lsn { return }
        try watch.wait(for: lsn, nanoseconds: nil)?.get()
    }

    /// As `waitUntilDurable(_:)`, at most `timeout` long: false when the time ran out.
    public func waitUntilDurable(_ lsn: LSN, timeout: Duration) throws(WALError) -> Bool {
        if try durableLSN >= lsn { return true }
        guard let outcome = try watch.wait(for: lsn, nanoseconds: timeout.nanosecondsClamped) else { return false }
        try outcome.get()
        return true
    }

    /// As `waitUntilDurable(_:)`, holding no thread. Throws `.cancelled` when the task is cancelled.
    public func waitUntilDurable(_ lsn: LSN) async throws(WALError) {
        try await watch.wait(for: lsn, endsWithWriter: true).get()
    }

    private struct Followed: FollowedLog {
        let log: LogReader

        var isClosed: Bool { log.watch.isStopped }

        func look(from position: LSN) async throws(WALError) -> FollowLook {
            if isClosed { return .ended }
            let files = log.files
            do throws(WALError) {
                return try await log.readingThread.run { () throws(WALError) in
                    let durable = try files.durableLSN()
                    guard position < durable else { return .nothingNew }
                    let facts = try files.control.requireFacts()
                    guard position >= facts.head else { throw .positionLost(head: facts.head) }
                    let checksums = FrameChecksums(logID: facts.logID, epochs: try files.control.epochTable(facts))
                    return .readable(
                        FollowReading(
                            reader: files.makeReader(), checksums: checksums, maxRecordSize: facts.maxRecordSize, position: position,
                            limit: durable, head: { () throws(WALError) in try files.headLSN() }))
                }
            } catch {
                if isClosed { return .ended }
                throw error
            }
        }

        func waitForMore(than position: LSN, _ cuts: CutWatch?) async throws(WALError) {
            if isClosed { return }
            if case .cancelled = try await log.watch.wait(for: position.following, endsWithWriter: false) { throw .cancelled }
        }

        var thread: ReadingThread { log.readingThread }
        // The end of a log is not cut off while readers are attached.
        func makeCutWatch() -> CutWatch? { nil }
        var isBeingCut: Bool { false }
    }
}
