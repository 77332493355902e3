import WAL

/// What is promised at a moment of a workload: everything that a crash at that moment must leave, and everything that it may leave.
///
/// A value; `ScriptRun` keeps it up to date around each step, `broken(by:)` compares it with what was found.
struct Promise: Sendable {
    struct Planned: Hashable, Sendable {
        var lsn: LSN
        var count: Int
        var digest: Int
        /// The next record belongs to the same batch.
        var continues = false
        var end: LSN { lsn.advanced(by: UInt64(count + 8)) }
    }

    /// Where the log lies.
    var place = "/log"
    /// Known once the log has been opened.
    var logID: LogID?
    /// A truncation of the end that is under way: the log is as if it had not begun, or ends here, in this epoch.
    struct Cut: Hashable, Sendable {
        var end: LSN
        var epoch: UInt64
    }

    /// Every record whose append has begun, in order.
    var history: [Planned] = []
    var cut: Cut?
    /// Everything below was acknowledged: a sync has returned, or an opening.
    var acknowledged = LSN.zero
    /// Everything below is in the page cache.
    var returned = LSN.zero
    /// What the truncations that have returned say, to what the one under way was asked for.
    var head = LSN.zero...LSN.zero
    /// The positions that each slot may have; nil: it is not there.
    var slots: [String: Set<LSN?>] = [:]
    /// A copy that is not promoted yet.
    var mayBeReplica = false

    var end: LSN { history.last?.end ?? .zero }

    mutating func issue(_ data: [UInt8]) -> LSN { issue(batch: [data])[0] }

    /// All of them are there after a crash, or none.
    mutating func issue(batch: [[UInt8]]) -> [LSN] {
        batch.indices.map { index in
            let lsn = end
            history.append(
                Planned(lsn: lsn, count: batch[index].count, digest: digest(batch[index]), continues: index + 1 < batch.count))
            return lsn
        }
    }

    /// A slot may be found there, too: absent for nil.
    mutating func allow(_ position: LSN?, for slot: String) { slots[slot, default: [nil]].insert(position) }

    /// What is wrong with what was found after a crash (`killed`: of the process only); nil where it keeps the promise.
    func broken(by outcome: Outcome, killed: Bool) -> String? {
        if let problem = outcome.problem { return problem }
        if let logID, logID != outcome.logID { return "another log: \(outcome.logID), not \(logID)" }
        guard head.contains(outcome.head) else { return "head \(outcome.head), not in \(head)" }
        if let cut, outcome.epoch == cut.epoch {
            var promise = self
            promise.takeCut()
            return promise.broken(by: outcome, killed: killed)
        }
        let needed = killed ? max(acknowledged, returned) : acknowledged
        guard outcome.end >= needed else {
            return "end \(outcome.end) below \(needed), which \(killed ? "the process had written" : "was acknowledged")"
        }
        if outcome.isReplica && !mayBeReplica { return "a replica" }
        for slots in [outcome.slots] + outcome.laterSlots {
            if let problem = brokenSlots(slots, outcome) { return problem }
        }
        return brokenHistory(outcome)
    }

    /// The truncation of the end has taken effect.
    mutating func takeCut() {
        guard let end = cut?.end else { return }
        history.removeAll { $0.end > end }
        acknowledged = end
        returned = end
        cut = nil
    }

    private func brokenHistory(_ outcome: Outcome) -> String? {
        guard outcome.head == .zero || outcome.head == history.last?.end || history.contains(where: { $0.lsn == outcome.head }) else {
            return "the head \(outcome.head) is no record"
        }
        if let before = history.last(where: { $0.lsn < outcome.head }), before.continues { return "the head \(outcome.head) is inside of a batch" }
        let expected = history.filter { $0.lsn >= outcome.head }
        guard outcome.records.count <= expected.count else { return "a record at \(outcome.records[expected.count].lsn) that nobody appended" }
        for (found, planned) in zip(outcome.records, expected) {
            guard found.lsn == planned.lsn else { return "a record at \(found.lsn) where \(planned.lsn) belongs" }
            guard found == planned else { return "the record at \(found.lsn) is another" }
        }
        if let last = outcome.records.last {
            let planned = expected[outcome.records.count - 1]
            if planned.continues { return "a batch ends with its record at \(last.lsn)" }
        }
        let end = outcome.records.last?.end ?? outcome.head
        return end == outcome.end ? nil : "records end at \(end), the log at \(outcome.end)"
    }

    /// head ≤ slots ≤ durable, and each slot where it was or where it was going.
    private func brokenSlots(_ found: [String: Outcome.Slot], _ outcome: Outcome) -> String? {
        for (name, allowed) in slots where !allowed.contains(found[name]?.current) {
            return "slot \(name) at \(found[name].map { "\($0.current)" } ?? "nowhere"), not one of \(allowed)"
        }
        for (name, slot) in found {
            guard slots[name] != nil else { return "a slot \(name) that nobody made" }
            guard outcome.head <= slot.lower else { return "head \(outcome.head) above slot \(name) at \(slot.lower)" }
            guard slot.current <= outcome.end else { return "slot \(name) at \(slot.current) above the end \(outcome.end)" }
        }
        return nil
    }
}

/// What somebody who opened the log has found, before anything was changed.
struct Outcome: Sendable {
    struct Slot: Hashable, Sendable {
        var current: LSN
        var lower: LSN
    }
    var logID = LogID(high: 0, low: 0)
    var head = LSN.zero
    var end = LSN.zero
    /// The number of the current one.
    var epoch: UInt64 = 0
    var isReplica = false
    var records: [Promise.Planned] = []
    var slots: [String: Slot] = [:]
    /// The same after it went on, and power was lost again.
    var laterSlots: [[String: Slot]] = []
    /// It did not open, or did not go on as it must.
    var problem: String?
}

func digest(_ bytes: [UInt8]) -> Int {
    var hasher = Hasher()
    bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    return hasher.finalize()
}
