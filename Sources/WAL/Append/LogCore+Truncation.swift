import Synchronization

/// Cutting off the end of the log: the one time that the tail goes back and the epoch changes.
extension LogCore {
    /// Ends the log with the frame `kept`, which is durable, in a new epoch; see `WriteAheadLog.truncateAfter`. Appends wait meanwhile.
    func truncateAfter(_ kept: Range<LSN>, history: LogHistory) throws(WALError) {
        try withFrozenTail { (frozen: inout FrozenTail) throws(WALError) in
            var refusal: WALError?
            var hasLetGo = false
            // Nobody flushes meanwhile; an error that leaves here is final for the log.
            try committer.betweenFlushes { () throws(WALError) in
                if let cause = committer.stopCause { throw .stopped(cause: cause) }
                do throws(WALError) {
                    let cut = try store.truncateAfter(kept) { () throws(WALError) in
                        hasLetGo = true
                        // Readers look at this after they have read: from here on what lies above the end may be anything.
                        history.announceCut(at: kept.upperBound)
                        // The store removes the files of both. Only now, so that a refusal costs nothing.
                        try preparer.withdraw()
                        for segment in active.takeAll() { try segment.release() }
                    }
                    frozen.allocation.publishedEnd = try begin(cut, at: kept.upperBound)
                    // In this order, and before the next flush: whoever finds the new history finds no position above its end.
                    frozen.goOn(at: kept.upperBound, with: FrameChecksum(logID: logID, epoch: cut.epochs.current.id))
                    committer.cut(at: kept.upperBound)
                    history.begin(cut.epochs)
                } catch .stopped(let cause) {
                    throw .stopped(cause: cause)
                } catch {
                    // A store that fails when it may not refuse any more: no segment is left that an append could go to.
                    if hasLetGo { throw .stopped(cause: StopCause(error)) }
                    refusal = error
                }
            }
            if let refusal { throw refusal }
        }
    }

    /// Returns up to where segments are published.
    private func begin(_ cut: StoreTruncation, at end: LSN) throws(WALError) -> UInt64 {
        active.noteOpened(end: end.rawValue)
        var publishedEnd = end.rawValue
        if let last = cut.lastSegment {
            let index = end.rawValue / segmentSize
            do throws(WALError) {
                try active.publish(last, index: index)
            } catch {
                throw .stopped(cause: StopCause(error))
            }
            publishedEnd = (index + 1) * segmentSize
        }
        // The next append comes by the slow path, as after opening.
        allocatedEnd.store(end.rawValue, ordering: .sequentiallyConsistent)
        return publishedEnd
    }
}
