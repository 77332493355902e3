/// Takes away the end of a log: the bytes above a record, durably, with a new epoch beginning there.
///
/// Under the writer's lock, the maintenance lock, and with nobody attached. Refusals come first and change nothing; then one write of the facts
/// begins the epoch, sets the floor to the new end and says what is being discarded, and from there on only that end can be: an
/// opening finishes what was interrupted. Old bytes do not come back: they are of another epoch than the one that goes on.
struct SuffixTruncation {
    let time: any TimeSource
    let control: ControlFile
    let medium: any LogMedium
    let slots: SlotDirectory
    /// The writer's lock file: readers and sidecars lock its second byte, shared.
    let lock: any File

    /// See `LogStore.truncateAfter`. Returns the history with the new epoch.
    func truncateAfter(_ kept: Range<LSN>, letGo: () throws(WALError) -> Void) throws(WALError) -> EpochTable {
        try control.underMaintenance(time) { () throws(WALError) in
            try LogLock.withNobodyAttached(lock) { () throws(WALError) in
                let facts = try requireTruncatable(kept)
                var epochs = try control.epochTable(facts)
                try beginEpoch(&epochs, at: kept.upperBound)
                try cut(to: kept.upperBound, facts, epochs, letGo)
                return epochs
            }
        }
    }

    /// The facts, where nothing forbids that the log ends with `kept`.
    private func requireTruncatable(_ kept: Range<LSN>) throws(WALError) -> Facts {
        let facts = try control.requireFacts()
        if facts.isReplica { throw .stopped(cause: .replica) }
        guard kept.lowerBound >= facts.head else { throw .positionLost(head: facts.head) }
        for name in try slots.names() {
            let reach = try slots.read(name, expecting: facts.logID).reach
            if let reach, reach <= kept.upperBound { continue }
            throw .locked(holder: "the slot \(name), which \(reach.map { "reaches up to LSN \($0)" } ?? "cannot be read")")
        }
        return facts
    }

    private func beginEpoch(_ epochs: inout EpochTable, at end: LSN) throws(WALError) {
        guard epochs.current.number < FormatLimits.epochNumberMax else {
            throw .encoding(reason: "epoch \(epochs.current.number) is the last that there can be")
        }
        var generator = SystemRandomNumberGenerator()
        var id = EpochID.random(using: &generator)
        while epochs.epochs.contains(where: { $0.id == id }) { id = .random(using: &generator) }
        epochs.begin(Epoch(number: epochs.current.number + 1, id: id, start: end))
    }

    /// Ends the log at `end` with `epochs`, of which the current one has no frame yet. Under maintenance, with nobody attached. All below the end is
    /// durable.
    func cut(to end: LSN, _ facts: Facts, _ epochs: EpochTable, _ letGo: () throws(WALError) -> Void) throws(WALError) {
        var facts = facts
        facts.floor = end
        facts.discardFrom = end
        // All below the end is durable, so only the window that holds it is copied.
        let prepared = try medium.prepareCut(from: end, to: end, firstFrames: [:])
        let arranged: ControlFile.ArrangedFacts
        do throws(WALError) {
            arranged = try control.arrange(facts, epochs: epochs)
        } catch {
            medium.discard(prepared)
            throw error
        }
        do throws(WALError) {
            try letGo()
            facts = try control.write(arranged)
            control.live.incarnation = .random()
            try medium.finish(prepared)
            // Before the facts forget the truncation: whoever opens the log in this boot believes the live page.
            control.live.setEnd(end)
            facts.discardFrom = nil
            _ = try control.writeFacts(facts, epochs: epochs)
        } catch {
            // Which facts are on the disk is not known: only an opening can tell.
            throw .stopped(cause: StopCause(error))
        }
    }
}

extension SlotFile {
    /// The greatest LSN that any intact half speaks of; nil where the slot cannot be read.
    fileprivate var reach: LSN? {
        guard case .from = hold else { return nil }
        var reach = LSN.zero
        for case .success(let state) in halves {
            reach = max(reach, state.shippedEnd, state.lastSegment?.range.upperBound ?? .zero, state.gaps.last?.range.upperBound ?? .zero)
        }
        return reach
    }
}
