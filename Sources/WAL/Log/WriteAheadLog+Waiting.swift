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
        let cuts = makeCutWatch()
        try await poll { () throws(WALError) in try isWritten(lsn, cuts) }
    }

    private func pollWritten(_ lsn: LSN, nanoseconds: UInt64?) throws(WALError) -> Bool {
        let cuts = makeCutWatch()
        return try poll(nanoseconds) { () throws(WALError) in try isWritten(lsn, cuts) }
    }

    /// Throws when it never will be.
    private func isWritten(_ lsn: LSN, _ cuts: CutWatch) throws(WALError) -> Bool {
        if cuts.hasCut(lsn) {
            _ = try isCutOver(cuts)
            return false
        }
        // Asked first: what was appended before the end counts.
        let takesAppends = core.takesAppends
        if core.written() >= lsn { return true }
        if !takesAppends && lsn > core.endLSN { throw .stopped(cause: core.stopCause) }
        return false
    }

    /// Returns when everything below `lsn` is durable: at once, after a flush of what is appended already, which this thread does if nobody else
    /// does, or after the flush that others ask for once the records are there. Blocks the thread.
    public func waitUntilDurable(_ lsn: LSN) throws(WALError) {
        let cuts = makeCutWatch()
        if lsn <= core.endLSN {
            core.waitUntilWritten(lsn)
            try core.committer.waitUntilDurable(lsn, written: core.written)
            try requireThere(lsn, cuts)
        } else {
            _ = try waitForOthers(lsn, nanoseconds: nil, cuts)
        }
    }

    /// As `waitUntilDurable(_:)`, at most `timeout` long, whatever the disk does: false when the time ran out.
    public func waitUntilDurable(_ lsn: LSN, timeout: Duration) throws(WALError) -> Bool {
        let cuts = makeCutWatch()
        let nanoseconds = timeout.nanosecondsClamped
        guard lsn <= core.endLSN else { return try waitForOthers(lsn, nanoseconds: nanoseconds, cuts) }
        // What has been appended before the call is not left waiting for somebody else's sync.
        core.waitUntilWritten(lsn)
        let request = core.committer.askForFlush(of: lsn, written: core.written())
        defer { core.committer.withdraw(request) }
        return try waitForOthers(lsn, nanoseconds: nanoseconds, cuts)
    }

    private func waitForOthers(_ lsn: LSN, nanoseconds: UInt64?, _ cuts: CutWatch) throws(WALError) -> Bool {
        if durableLSN >= lsn { return true }
        if isReplica { throw .stopped(cause: .replica) }
        let start = LinuxTimeSource().monotonic()
        guard let outcome = core.committer.durableWaiters.wait(for: lsn, nanoseconds: nanoseconds, isLost: { cuts.hasCut(lsn) }) else { return false }
        if case .cut = outcome {
            let waited = LinuxTimeSource().monotonic() - start
            return try poll(nanoseconds.map { $0 - min($0, waited) }) { () throws(WALError) in try isCutOver(cuts) }
        }
        try outcome.get()
        return true
    }

    /// As `waitUntilDurable(_:)`, holding no thread. Throws `.cancelled` when the task is cancelled.
    public func waitUntilDurable(_ lsn: LSN) async throws(WALError) {
        let core = core
        let cuts = makeCutWatch()
        if lsn <= core.endLSN {
            core.waitUntilWritten(lsn)
            try await core.committer.waitUntilDurable(lsn, isLost: { cuts.hasCut(lsn) }, written: { core.written() })
        } else {
            if isReplica { throw .stopped(cause: .replica) }
            let outcome = await core.committer.durableWaiters.wait(for: lsn, isLost: { cuts.hasCut(lsn) })
            if case .cut = outcome {} else { try outcome.get() }
        }
        try await requireThere(lsn, cuts)
    }

    // MARK: Positions that are cut off

    /// Throws `.positionLost` where `lsn` was cut off since `cuts` was made. Where it is being cut off now, once that is over: who asks again at once finds
    /// the log as it goes on, and who is told to give up a position has lost it.
    func requireThere(_ lsn: LSN, _ cuts: CutWatch) throws(WALError) {
        if cuts.hasCut(lsn) { _ = try poll(nil) { () throws(WALError) in try isCutOver(cuts) } }
    }

    /// As above, holding no thread.
    func requireThere(_ lsn: LSN, _ cuts: CutWatch) async throws(WALError) {
        if cuts.hasCut(lsn) { try await poll { () throws(WALError) in try isCutOver(cuts) } }
    }

    /// False while the log is being cut; then throws `.positionLost`, or `.stopped` where that failed.
    private func isCutOver(_ cuts: CutWatch) throws(WALError) -> Bool {
        // Asked first: a cut that was under way then and is not now has succeeded.
        let cause = core.committer.stopCause
        guard cuts.history.isBeingCut else { throw .positionLost(head: headLSN) }
        if let cause { throw .stopped(cause: cause) }
        return false
    }

    // MARK: Looking again and again

    /// Looks until `isSo` says so, at most `nanoseconds` long: false when the time ran out.
    private func poll(_ nanoseconds: UInt64?, _ isSo: () throws(WALError) -> Bool) throws(WALError) -> Bool {
        let time = LinuxTimeSource()
        let start = time.monotonic()
        var pause = LogLimits.writtenLookMin
        while try !isSo() {
            let waited = time.monotonic() - start
            if let nanoseconds, waited >= nanoseconds { return false }
            time.sleep(nanoseconds: min(pause, (nanoseconds ?? .max) - waited))
            pause = min(2 * pause, LogLimits.writtenLookMax)
        }
        return true
    }

    /// As above, holding no thread.
    private func poll(_ isSo: () throws(WALError) -> Bool) async throws(WALError) {
        var pause = LogLimits.writtenLookMin
        while try !isSo() {
            do { try await Task.sleep(for: .nanoseconds(pause)) } catch { throw .cancelled }
            pause = min(2 * pause, LogLimits.writtenLookMax)
        }
    }
}
