public import Archive

extension Pruning {
    /// Opens the archive of `log` for pruning from outside, beside whoever ships to it: the line of epochs that readers follow.
    ///
    /// `keys` are needed only for a request by LSN in an encrypted archive, see `plan`. Throws as `ArchiveReader.open`, and `.notFound` where no epoch has begun. Nothing is changed.
    public static func open(
        store: any ObjectStore, log: LogName, keys: KeyRing = .none, now: @escaping @Sendable () -> UInt64,
        patience: @escaping @Sendable () -> any RetryWait = { RetryTimer(ArchiveReader.retryPolicy) }
    ) async throws(ArchiveError) -> Pruning {
        let reader = try await ArchiveReader.open(store: store, log: log, patience: patience)
        let line = try reader.requireLine()
        guard reader.highestClaim?.epoch == line.document.epoch.epoch else {
            throw ArchiveError(
                .fenced, "epoch \(reader.highestClaim?.epoch.number ?? 0) is claimed and has not begun: a promotion is under way",
                key: reader.layout.start(reader.highestClaim?.epoch.number ?? 1), hint: "prune when it has begun")
        }
        var places: [Place] = []
        for entry in line.document.epochs {
            guard let start = entry.start else { continue }
            places.append(Place(epoch: entry.epoch, start: start, naming: try await reader.naming(entry.epoch)))
        }
        return Pruning(
            store: store, layout: reader.layout, log: reader.log, line: places,
            claims: Claims(store: store, layout: reader.layout, patience: patience), keys: keys, now: now, patience: patience)
    }
}
