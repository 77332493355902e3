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
                return .readable(
                    FollowSource(checksums: FrameChecksums(logID: log.logID, epochs: log.epochs), maxRecordSize: log.maxRecordSize),
                    upTo: durable)
            }
            switch cause {
            case nil: return .nothingNew
            case .closed: return .ended
            case .some(let cause): throw .stopped(cause: cause)
            }
        }

        func makeReader() throws(WALError) -> any LogBytesReader { try log.makeReader() }

        func waitForMore(than position: LSN) async throws(WALError) {
            switch await log.core.committer.durableWaiters.wait(for: position.advanced(by: 1)) {
            case .passed, .ended: return
            case .cancelled: throw .cancelled
            }
        }

        func readChunk(_ request: FollowRequest) async throws(WALError) -> FollowChunk {
            try await log.readingThread.run { () throws(WALError) in try request.read() }
        }
    }
}
