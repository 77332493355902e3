import Archive
import WAL

/// Whether a log's history and an archive's are of one line: a value without I/O.
enum LineComparison {
    /// What is wrong, in words with the LSN; nil where the log can be continued on the line.
    ///
    /// The newest epoch that both know is where they may part. A log that ends there may lie anywhere up to the fork of the archive's next epoch; an
    /// archive that ends there is continued by the log. Where both go on with epochs of their own, they have diverged.
    static func problem(log: EpochTable, end: LSN, line: EpochTable) -> (reason: String, lsn: LSN)? {
        guard let common = log.epochs.lastIndex(where: { epoch in line.epochs.contains { $0.number == epoch.number && $0.id == epoch.id } }),
            let inLine = line.epochs.firstIndex(where: { $0.number == log.epochs[common].number })
        else { return ("the log and the archive have no epoch in common", end) }
        let logNext = common + 1 < log.epochs.count ? log.epochs[common + 1] : nil
        let lineNext = inLine + 1 < line.epochs.count ? line.epochs[inLine + 1] : nil
        if let logNext, let lineNext {
            return ("the archive's epoch \(lineNext.number) is \(lineNext.id), the log's is \(logNext.id)", logNext.start)
        }
        if let lineNext, end > lineNext.start {
            return (
                "the log goes on in epoch \(log.epochs[common].number) up to LSN \(end), and the archive's epoch \(lineNext.number) began at \(lineNext.start)",
                lineNext.start
            )
        }
        return nil
    }

    /// Up to where a log's history and a line are the same: where the one or the other goes on in an epoch of its own, first. Nil where they have no epoch
    /// in common, or neither has gone on.
    static func fork(log: EpochTable, line: EpochTable) -> LSN? {
        guard let common = log.epochs.lastIndex(where: { epoch in line.epochs.contains { $0.number == epoch.number && $0.id == epoch.id } }) else { return nil }
        let logNext = common + 1 < log.epochs.count ? log.epochs[common + 1].start : nil
        let lineNext = line.epochs.first { $0.number > log.epochs[common].number }?.start
        return [logNext, lineNext].compactMap { $0 }.min()
    }
}
