/// Waiting for positions, those of records still to come included.
///
/// What is appended already is waited for without delay: copies in progress end soon, and a flush wakes exactly those that it covers. For
/// records to come, durability is waited for and woken; the written LSN is looked at every 20 µs to 1 ms, because an append that told
/// waiters of itself would be slower for everybody. Every wait ends: with the position, with `.stopped` when it can no longer come (the log
/// was closed, has stopped, or is a replica), with `.positionLost` when the log is cut off below it (`truncateAfter`), with a timeout, or with
/// `.cancelled`.
extension WriteAheadLog {
    /// Returns when everything below `lsn` is in the page cache. Blocks the thread.
    public func waitUntilWritten(_ lsn: LSN) throws(WALError) { _ = try pollWritten(lsn, nanoseconds: nil) }

    /// As `waitUntilWritten(_:)`, at most `timeout` long: false when the time ran out.
    public func waitUntilWritten(_ lsn: LSN, timeout: Duration) throws(WALError) -> Bool {
        try pollWritten(lsn, nanoseconds: timeout.nanosecondsClamped)
    }

    /// As `waitUntilWritten(_:)`, holding no thread. Throws `.cancelled` when the task is cancelled.
    public func waitUntilWritten(_ lsn: LSN) async throws(WALError) {
        let lost = lossWatch()
        var pause = LogLimits.writtenLookMin
        while try !isWritten(lsn, lost) {
            do { try await Task.sleep(for: .nanoseconds(pause)) } catch { throw .cancelled }
            pause = min(2 * pause, LogLimits.writtenLookMax)
        }
    }

    private func pollWritten(_ lsn: LSN, nanoseconds: UInt64?) throws(WALError) -> Bool {
        let time = LinuxTimeSource()
        let start = time.monotonic()
        let lost = lossWatch()
        var pause = LogLimits.writtenLookMin
        while try !isWritten(lsn, lost) {
            let waited = time.monotonic() - start
            if let nanoseconds, waited >= nanoseconds { return false }
            time.sleep(nanoseconds: min(pause, (nanoseconds ?? .max) - waited))
            pause = min(2 * pause, LogLimits.writtenLookMax)
        }
        return true
    }

    /// Throws when it never will be.
    private func isWritten(_ lsn: LSN, _ lost: (LSN) -> WALError?) throws(WALError) -> Bool {
        if let error = lost(lsn) { throw error }
        // Asked first: what was appended before the end counts.
        let takesAppends = core.takesAppends
        if core.written() >= lsn { return true }
        if !takesAppends && lsn > core.endLSN { throw .stopped(cause: core.stopCause) }
        return false
    }

    /// Returns when everything below `lsn` is durable: at once, after a flush of what is appended already, which this thread does if nobody else
    /// does, or after the flush that others ask for once the records are there. Blocks the thread.
    public func waitUntilDurable(_ lsn: LSN) throws(WALError) {
        let lost = lossWatch()
        if lsn <= core.endLSN {
            core.waitUntilWritten(lsn)
            try core.committer.waitUntilDurable(lsn, written: core.written)
            if let error = lost(lsn) { throw error }
        } else {
            _ = try waitForOthers(lsn, nanoseconds: nil, lost)
        }
    }

    /// As `waitUntilDurable(_:)`, at most `timeout` long, whatever the disk does: false when the time ran out.
    public func waitUntilDurable(_ lsn: LSN, timeout: Duration) throws(WALError) -> Bool {
        let lost = lossWatch()
        let nanoseconds = timeout.nanosecondsClamped
        guard lsn <= core.endLSN else { return try waitForOthers(lsn, nanoseconds: nanoseconds, lost) }
        // What has been appended before the call is not left waiting for somebody else's sync.
        core.waitUntilWritten(lsn)
        let request = core.committer.askForFlush(of: lsn, written: core.written())
        defer { core.committer.withdraw(request) }
        return try waitForOthers(lsn, nanoseconds: nanoseconds, lost)
    }

    private func waitForOthers(_ lsn: LSN, nanoseconds: UInt64?, _ lost: @Sendable (LSN) -> WALError?) throws(WALError) -> Bool {
        if durableLSN >= lsn { return true }
        if isReplica { throw .stopped(cause: .replica) }
        guard let outcome = core.committer.durableWaiters.wait(for: lsn, nanoseconds: nanoseconds, isLost: { lost(lsn) != nil }) else { return false }
        try outcome.get(head: headLSN)
        return true
    }

    /// As `waitUntilDurable(_:)`, holding no thread. Throws `.cancelled` when the task is cancelled.
    public func waitUntilDurable(_ lsn: LSN) async throws(WALError) {
        let core = core
        let lost = lossWatch()
        if lsn <= core.endLSN {
            core.waitUntilWritten(lsn)
            try await core.committer.waitUntilDurable(lsn, lost: { lost(lsn) }, written: { core.written() })
            if let error = lost(lsn) { throw error }
        } else {
            if isReplica { throw .stopped(cause: .replica) }
            try await core.committer.durableWaiters.wait(for: lsn, isLost: { lost(lsn) != nil }).get(head: headLSN)
        }
    }
}
