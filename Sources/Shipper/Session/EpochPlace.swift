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

    func find(parent: StartDocument?) async throws(ArchiveError) -> Found {
        let fork = facts.epochs.current.start
        guard let parent, let parentStart = parent.epoch.start else { return Found(start: facts.head, isFloor: true) }
        let end = try await contiguousEnd(of: parent.epoch.epoch, from: parentStart)
        let hasObjects = end > parentStart || parent.epochs.dropLast().contains { $0.start != nil }
        if !hasObjects, facts.head > parentStart { return Found(start: facts.head, isFloor: true) }
        let start = min(fork, end)
        guard start >= facts.head else {
            throw ArchiveError(
                .gap, "the archive ends at LSN \(end), and this log begins at LSN \(facts.head): what lies between is nowhere", lsn: start,
                hint: "ship to a new archive")
        }
        return Found(start: start, isFloor: false)
    }

    /// How far the parent can be read without a hole. Its head document is where the walk begins: all below that is there.
    private func contiguousEnd(of epoch: EpochName, from start: LSN) async throws(ArchiveError) -> LSN {
        let size = facts.segmentSize
        var end = start
        if let head = try await access.head(epoch) { end = max(end, head.checkpoint) }
        while true {
            let segment = max(LSN(end.rawValue / size * size), start)
            if let found = try await access.metadata(.segment, epoch, start: segment), found.end > end {
                end = found.end
                continue
            }
            var next: LSN?
            for level in (0...ShipperLimits.tailLevelMax).reversed() where next == nil {
                next = try await access.metadata(.tail(level: level), epoch, start: end)?.end
            }
            guard let next, next > end else { return end }
            end = next
        }
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
