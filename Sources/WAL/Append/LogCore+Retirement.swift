/// Letting full segments go, beside the appenders: flushing them when nobody else does, unmapping and closing them.
extension LogCore {
    /// Has full segments looked after. Cheap where nothing is to be done.
    func askForRetirement() {
        retirer.ask { [self] in
            // Whoever waits, and every later append, is told by the committer: an error of a flush is final.
            do throws(WALError) { return try retire() } catch { return false }
        }
    }

    /// Lets go of what can be let go of, after a flush where too much waits for one. Whether there may be more to do.
    private func retire() throws(WALError) -> Bool {
        try releaseDurable()
        let (end, durable) = (endLSN.rawValue, committer.durable.rawValue)
        let full = active.entries.filter { ($0.index + 1) * segmentSize <= end && ($0.index + 1) * segmentSize > durable }
        let waiting = full.map { SegmentBacklog.Full(index: $0.index, isWrittenOut: $0.isWrittenOut) }
        switch SegmentBacklog.decide(waiting, segmentSize: segmentSize) {
        case .leave: return false
        case .writeOut(let index):
            waitUntilWritten(LSN((index + 1) * segmentSize))
            try committer.betweenFlushes { () throws(WALError) in
                // Somebody else may have flushed it and let it go meanwhile, or have met the error that this flush would not be told.
                if let cause = committer.stopCause { throw .stopped(cause: cause) }
                // The end may be cut off meanwhile, and go on in other segments of the same indices.
                guard let segment = active.entry(index)?.segment, full.contains(where: { $0.segment === segment }) else { return }
                try segment.flush()
                active.noteWrittenOut(index)
            }
        case .flush(let target):
            waitUntilWritten(LSN(target))
            try committer.waitUntilDurable(LSN(target), written: written)
            try releaseDurable()
        }
        return true
    }

    /// Lets go of the segments that are durable and that nobody writes to.
    func releaseDurable() throws(WALError) {
        guard let oldest = active.oldestIndex, (oldest + 1) * segmentSize <= committer.durable.rawValue else { return }
        try committer.betweenFlushes { () throws(WALError) in
            // Asked in here: between two flushes the end may have been cut off, and the durable LSN gone back with it.
            let end = min(committer.durable.rawValue, slots.lowest(tail: endLSN.rawValue))
            while let segment = active.takeOldest(endingAtOrBelow: end) { try segment.release() }
        }
    }

    /// Ends the helpers: nothing happens in the background any more. Returns the first index of what was prepared and not used, let go
    /// of but still in the store.
    func stopHelpers() throws(WALError) -> UInt64? {
        preparer.stop()
        retirer.stop()
        var unused: UInt64?
        try committer.betweenFlushes { () throws(WALError) in unused = try preparer.withdraw() }
        return unused
    }
}
