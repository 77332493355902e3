import Archive
import WAL

/// What a promotion writes to an archive when it has claimed its epoch there: the head and, last, start.json.
struct EpochStart: Hashable, Sendable {
    let document: StartDocument
    let head: HeadDocument

    /// `parent` is the line that was continued, `table` the promoted log's own history, whose current epoch it is; `archived` is where the
    /// parent ends in this archive, without a gap.
    ///
    /// The epoch begins here at the lower of its fork and `archived`: from there on everything is shipped again under its own name.
    init(parent: StartDocument, table: EpochTable, archived: LSN, time: UInt64) {
        let epoch = table.current
        var entries = parent.epochs.filter { $0.epoch.number < epoch.number }
        let newest = entries.last?.epoch.number ?? 0
        // Claimed by others and never begun, or begun where there was no archive at hand.
        entries += table.epochs.filter { $0.number > newest && $0.number < epoch.number }
            .map { StartDocument.Entry(epoch: EpochName($0), fork: $0.start, start: nil) }
        // What was cut off by forking below it has no frames in this line. It may have objects: it began here below its fork, where its parent had ended in this archive.
        entries = entries.map { entry in
            guard entry.fork > epoch.start else { return entry }
            return StartDocument.Entry(epoch: entry.epoch, fork: epoch.start, start: entry.start.flatMap { $0 < epoch.start ? $0 : nil })
        }
        let start = min(epoch.start, archived)
        entries.append(StartDocument.Entry(epoch: EpochName(epoch), fork: epoch.start, start: start))
        document = StartDocument(parent: entries.count > 1 ? entries[entries.count - 2].epoch : nil, epochs: entries)
        head = HeadDocument(epoch: EpochName(epoch), archived: start, checkpoint: start, durable: epoch.start, time: time)
    }
}
