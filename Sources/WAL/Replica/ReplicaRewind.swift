/// Makes a log that has gone on alone a replica of the line that others went on with: what it wrote past the fork is kept aside, then cut off.
///
/// What is cut is first a log of its own beside the segments, in `diverged-<epoch>-<fork LSN>`: a replica that begins at the fork, verified and synced
/// before anything is cut. A crash at any moment leaves the log whole, or cut with everything aside; rewinding again goes on.
public struct ReplicaRewind: Hashable, Sendable {
    /// What was cut; empty where the log ends at or below the fork.
    public let cut: Range<LSN>
    /// Where it is kept; nil where nothing was cut.
    public let keptIn: String?

    /// Rewinds the log in `directory`, written or a replica, to `fork`, which is where its history leaves that of `line`. It is a replica on return.
    ///
    /// Throws, leaving the log as it was: `.locked` while somebody writes or reads it, `.positionLost` for a fork below the head, `.corruption` where
    /// no record or batch ends at the fork, `.noSpace`, and what opening a log throws. `.stopped`: reopening tells which of the two it is.
    public static func run(directory: String, fork: LSN, line: EpochTable) throws(WALError) -> ReplicaRewind {
        try run(directory: directory, fork: fork, line: line, fileSystem: LinuxFileSystem(), time: LinuxTimeSource())
    }

    package static func run(
        directory: String, fork: LSN, line: EpochTable, fileSystem: any FileSystem, time: any TimeSource
    ) throws(WALError) -> ReplicaRewind {
        let held = try HeldLog.hold(directory: directory, fileSystem: fileSystem, time: time) { held throws(WALError) in held }
        defer { held.close() }
        guard !held.found.isCopied else {
            throw .parameterMismatch(parameter: "directory", stored: "a copy of another", requested: "a log or a replica")
        }
        let recovered = try held.recover(.toGrow, boot: try fileSystem.bootID(), incarnation: .random())
        return try Rewinding(held: held, recovered: recovered, line: line).run(to: fork)
    }
}

/// One rewind of a log that is held and in order up to its end.
private struct Rewinding {
    let held: HeldLog
    let recovered: Recovery.Result
    let line: EpochTable

    var facts: Facts { recovered.facts }
    var end: LSN { recovered.end }

    func run(to fork: LSN) throws(WALError) -> ReplicaRewind {
        guard fork >= facts.head else { throw .positionLost(head: facts.head) }
        let epochs = try history(upTo: min(fork, end))
        guard end > fork else {
            try forgetCells(below: end, epochs)
            try becomeReplica(epochs)
            return ReplicaRewind(cut: end..<end, keptIn: nil)
        }
        try requireBoundary(fork)
        let kept = "\(held.paths.directory)/diverged-\(held.found.epochs.current.number)-\(fork)"
        try keep(fork..<end, in: kept)
        // Else the segment that holds the fork becomes a fresh copy, whose foot says nothing.
        if fork.rawValue % held.files.windowSize == 0 { try forgetCells(below: fork, epochs) }
        var replica = facts
        replica.isReplica = true
        let cutting = SuffixTruncation(
            time: held.time, control: held.control, medium: held.files,
            slots: SlotDirectory(paths: held.paths, fileSystem: held.fileSystem), lock: held.lock)
        try held.control.underMaintenance(held.time) { () throws(WALError) in
            try LogLock.withNobodyAttached(held.lock) { () throws(WALError) in
                try cutting.cut(to: fork, replica, epochs) { () throws(WALError) in }
            }
        }
        return ReplicaRewind(cut: fork..<end, keptIn: kept)
    }

    /// The log's own epochs as far as the line has the same, then the line's up to `fork`.
    private func history(upTo fork: LSN) throws(WALError) -> EpochTable {
        let own = held.found.epochs
        guard let shared = own.lastShared(with: line), shared.start <= fork,
            var table = EpochTable(own.epochs.filter { $0.number <= shared.number })
        else {
            throw .encoding(reason: "the log and the line that it is to follow have no epoch in common at LSN \(fork)")
        }
        for epoch in line.epochs where epoch.number > table.current.number && epoch.start <= fork { table.begin(epoch) }
        return table
    }

    private func requireBoundary(_ fork: LSN) throws(WALError) {
        let head = facts.head
        let search = BoundarySearch(
            reader: held.files.makeReader(head: { head }), checksums: FrameChecksums(logID: facts.logID, epochs: held.found.epochs),
            maxRecordSize: facts.maxRecordSize, segmentSize: held.files.windowSize, head: head, durable: end)
        let boundary = try search.greatestBoundary(atOrBelow: fork)
        guard boundary == fork else {
            throw .corruption(
                lsn: boundary, reason: "no record ends at LSN \(fork), where the log is to be cut: it differs below that; restore it anew beside this one")
        }
    }

    /// The foot of the segment that stays last may speak of an epoch that began at its end and is none of the line's; and facts that do not know an epoch are taken for
    /// older than the segments. That everything below is durable is true in every history.
    private func forgetCells(below end: LSN, _ epochs: EpochTable) throws(WALError) {
        guard end > facts.head else { return }
        let last = LSN(end.rawValue - 1)
        for sequence in recovered.nextCellSequence..<recovered.nextCellSequence + 2 {
            try held.files.keep(
                SegmentFoot.DurableCell(epoch: epochs.epoch(at: last).id, durable: end, sequence: sequence), below: last.rawValue / held.files.windowSize + 1)
        }
    }

    private func becomeReplica(_ epochs: EpochTable) throws(WALError) {
        try held.control.underMaintenance(held.time) { () throws(WALError) in
            var facts = facts
            facts.isReplica = true
            facts.floor = end
            _ = try held.control.writeFacts(facts, epochs: epochs)
        }
    }

    /// Makes a log of the range, durably. One that an interrupted rewind left whole is taken as it is; what it left half is made anew.
    private func keep(_ range: Range<LSN>, in directory: String) throws(WALError) {
        let paths = LogPaths(directory: directory)
        if try held.fileSystem.status(paths.control) != nil {
            let other = try HeldLog.hold(directory: directory, fileSystem: held.fileSystem, time: held.time) { held throws(WALError) in held }
            defer { other.close() }
            let isSame = other.control.identity.logID == facts.logID && other.found.facts.head == range.lowerBound
                && other.found.facts.floor == range.upperBound && other.found.epochs.current == held.found.epochs.current
            guard isSame else { throw .notALog(path: directory, reason: "it holds something else than what is to be kept there; move it away") }
            return
        }
        if try held.fileSystem.status(directory) != nil {
            for name in try held.fileSystem.list(directory)
            where SegmentName(fileName: name) != nil || EpochFile.generation(ofName: name) != nil || name.hasSuffix(".tmp") || name == "lock"
                || name == "maintenance" || name == ReplicaMark.fileName {
                try held.fileSystem.unlink("\(directory)/\(name)")
            }
        }
        let mark = ReplicaMark(
            logID: facts.logID, segmentSize: held.files.windowSize, head: range.lowerBound, end: .everything, synced: .zero)
        let beginning = try ReplicaWriter.begin(
            directory: directory, mark, epochs: held.found.epochs, fileSystem: held.fileSystem, time: held.time, flushing: .synchronous)
        guard case .writer(let writer) = beginning else { return }
        let head = facts.head
        let reader = held.files.makeReader(head: { head })
        var position = range.lowerBound
        while position < range.upperBound {
            var bytes = [UInt8](repeating: 0, count: Int(min(UInt64(LogLimits.readSize), range.upperBound.distance(from: position))))
            let count = unsafe try bytes.withMutableBytes { buffer throws(WALError) in try unsafe reader.read(into: buffer, at: position) }
            guard count == bytes.count else {
                throw .corruption(lsn: position.advanced(by: UInt64(count)), reason: "the log's files end before its last record")
            }
            try writer.write(bytes)
            position = position.advanced(by: UInt64(count))
        }
        let made = try writer.finish(maxRecordSize: facts.maxRecordSize)
        guard made == range.upperBound else { throw .corruption(lsn: made, reason: "what is to be kept ends here, and the log does not") }
    }
}
