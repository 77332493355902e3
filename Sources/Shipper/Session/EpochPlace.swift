import Archive
import WAL

/// Where a new epoch begins in an archive: at its fork, or where its parent ends there if that is less; without a parent there, at the
/// local head.
struct EpochPlace {
    let facts: LogFacts
    let access: ArchiveAccess

    struct Found {
        var start: LSN
        /// What lies below was never here.
        var isFloor: Bool
    }

    /// Throws `.diverged`, with the fork, where the parent was archived past the fork: those bytes are not in this log, and nobody has decided
    /// that they may be left behind.
    func find(parent: StartDocument?) async throws(ArchiveError) -> Found {
        guard let parent, let parentStart = parent.epoch.start else { return Found(start: facts.head, isFloor: true) }
        let fork = fork(after: parent.epoch.epoch)
        let head = try await access.head(parent.epoch.epoch)
        let end = try await contiguousEnd(of: parent.epoch.epoch, from: parentStart, head)
        let hasObjects = end > parentStart || parent.epochs.dropLast().contains { $0.start != nil }
        if !hasObjects, facts.head > parentStart { return Found(start: facts.head, isFloor: true) }
        // Behind a hole there may be more, which the head tells of.
        let archived = max(end, head?.archived ?? end)
        guard archived <= fork else {
            throw ArchiveError(
                .diverged, "epoch \(parent.epoch.epoch) was archived up to LSN \(archived), and this log leaves it at LSN \(fork): what lies between is not in this log",
                key: access.layout.start(parent.epoch.epoch.number), lsn: fork,
                hint: "restore the archive to have it; or, to leave it behind for good, run promote with --archive and --at \(facts.epochs.current.start)")
        }
        // Where that lies below the log's head, what lies between is nowhere: the comparison records a gap.
        return Found(start: min(fork, end), isFloor: false)
    }

    /// Where this log's history leaves an epoch of its own: the start of the next one, which need not have been begun in this archive.
    private func fork(after epoch: EpochName) -> LSN {
        guard let next = facts.epochs.epochs.first(where: { $0.number == epoch.number + 1 }) else {
            preconditionFailure("the parent is an epoch before the log's current one")
        }
        return next.start
    }

    /// How far the parent can be read without a hole. Its head document is where the walk begins: all below that is there, or was pruned. Without one it begins where
    /// pruning ended.
    private func contiguousEnd(of epoch: EpochName, from start: LSN, _ head: HeadDocument?) async throws(ArchiveError) -> LSN {
        var known = head?.checkpoint ?? .zero
        if head == nil, let floor = try await access.document(FloorDocument.self, access.layout.floor), floor.epoch == epoch { known = floor.objectStart }
        return try await ArchiveEnd(access: access, segmentSize: facts.segmentSize).find(epoch, from: start, known: known, try await access.naming(epoch)).end
    }

    /// The new epoch's ancestry as this archive knows it and as the log does: ancestors keep the place that they have here.
    static func document(table: EpochTable, parent: StartDocument?, start: LSN) -> StartDocument {
        let current = table.current
        let oldest = table.epochs[0]
        var entries = (parent?.epochs ?? []).filter { $0.epoch.number < oldest.number }
        for index in entries.indices { entries[index].fork = min(entries[index].fork, oldest.start) }
        for epoch in table.epochs {
            let place = parent?.epochs.first { $0.epoch == EpochName(epoch) }?.start
            entries.append(StartDocument.Entry(
                epoch: EpochName(epoch), fork: epoch.start, start: epoch.number == current.number ? start : place))
        }
        return StartDocument(parent: entries.dropLast().last?.epoch, epochs: entries)
    }
}
