import Archive
import WAL

/// Whether a log's history and an archive's are of one line: a value without I/O.
enum LineComparison {
    /// What is wrong, in words with the LSN; nil where the log can be continued on the line.
    ///
    /// They part after the newest epoch up to which both tell the same. A log that ends there may lie anywhere up to the fork of the archive's next epoch; an
    /// archive that ends there is continued by the log. Where both go on otherwise, they have diverged: by epochs of their own; or with one that both know and that
    /// begins elsewhere, because somebody forked below its beginning, or because its owner was superseded before it had begun, and the next one took it in with a beginning
    /// of its own.
    static func problem(log: EpochTable, end: LSN, line: EpochTable) -> (reason: String, lsn: LSN)? {
        guard let shared = log.lastShared(with: line) else { return ("the log and the archive have no epoch in common", end) }
        switch (log.next(after: shared), line.next(after: shared)) {
        case (let logNext?, let lineNext?):
            let reason =
                logNext.id == lineNext.id
                ? "epoch \(logNext.number) begins at LSN \(logNext.start) in the log, and at LSN \(lineNext.start) in the archive"
                : "the archive's epoch \(lineNext.number) is \(lineNext.id), the log's is \(logNext.id)"
            return (reason, min(logNext.start, lineNext.start))
        case (nil, let lineNext?) where end > lineNext.start:
            return (
                "the log goes on in epoch \(shared.number) up to LSN \(end), and the archive's epoch \(lineNext.number) began at \(lineNext.start)",
                lineNext.start
            )
        default: return nil
        }
    }

    /// Up to where a log's history and a line are the same: where the one or the other goes on otherwise, first. Nil where they have no epoch in common, or neither has
    /// gone on.
    static func fork(log: EpochTable, line: EpochTable) -> LSN? {
        guard let shared = log.lastShared(with: line) else { return nil }
        return [log.next(after: shared)?.start, line.next(after: shared)?.start].compactMap { $0 }.min()
    }
}

extension EpochTable {
    /// The same as a log tells it that forked at `fork`: what began past it covers nothing, and begins there.
    func lowered(to fork: LSN) -> EpochTable {
        guard let table = EpochTable(epochs.map { Epoch(number: $0.number, id: $0.id, start: min($0.start, fork)) }) else {
            preconditionFailure("starts that ascend do so as far as they go")
        }
        return table
    }

    fileprivate func next(after epoch: Epoch) -> Epoch? { epochs.first { $0.number > epoch.number } }
}
