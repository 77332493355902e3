extension WriteAheadLog {
    /// The durable records from `lsn` (a record's LSN, or an end that is still to come) on, as they become durable: see `FollowSequence`. A
    /// follower of a replica is told `.stopped` at its end: `LogReader.follow(from:)` sees what a replica is given.
    public func follow(from lsn: LSN) -> FollowSequence { FollowSequence(log: Followed(log: self), start: lsn) }

    /// Keeps the log open, as an iteration does.
    private struct Followed: FollowedLog {
        let log: WriteAheadLog

        var isClosed: Bool { !log.isOpen }

        func look(from position: LSN) throws(WALError) -> FollowLook {
            guard log.isOpen else { return .ended }
            // Asked before the watermark: what became durable before it stopped is handed out first.
            let cause = log.core.committer.stopCause ?? (log.isReplica ? .replica : nil)
            let durable = log.durableLSN
            if position < durable {
                let head = log.headLSN
                guard position >= head else { throw .positionLost(head: head) }
                let store = log.store
                return .readable(
                    FollowReading(
                        reader: try log.makeReader(), checksums: FrameChecksums(logID: log.logID, epochs: log.epochs),
                        maxRecordSize: log.maxRecordSize, position: position, limit: durable, head: { store.headLSN }))
            }
            switch cause {
            case nil: return .nothingNew
            case .closed: return .ended
            case .some(let cause): throw .stopped(cause: cause)
            }
        }

        func waitForMore(than position: LSN, _ cuts: CutWatch?) async throws(WALError) {
            let outcome = await log.core.committer.durableWaiters.wait(
                for: position.following, isLost: { cuts?.end != nil })
            if case .cancelled = outcome { throw .cancelled }
        }

        var thread: ReadingThread { log.readingThread }
        func makeCutWatch() -> CutWatch? { log.makeCutWatch() }
        var isBeingCut: Bool { log.core.isFrozen }
    }
}
