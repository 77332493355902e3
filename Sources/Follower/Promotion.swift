public import Archive
public import WAL

/// Makes a replica (a restored or copied log) the log that is written from now on.
///
/// With archives at hand it claims the next epoch on each, so that every older writer is fenced; then reads the parent to its end and takes in what the
/// replica lacks; then begins the epoch in the log, and last in the archives. Without, the log begins its epoch alone, and shipping claims it later.
///
/// A crash at any moment leaves something that this does again: until the log's facts are written it is the replica that it was, and an epoch that
/// was claimed and not begun stays in the histories without a frame; afterwards only the archives' documents are missing, and are written.
public struct Promotion: Sendable {
    /// An archive of the log.
    public struct Destination: Sendable {
        public let store: any ObjectStore
        public let log: LogName
        /// What opens its encrypted objects.
        public let keys: KeyRing
        /// Nothing there is ever replaced or deleted, so that no head document is written.
        public let isImmutable: Bool
        public init(store: any ObjectStore, log: LogName, keys: KeyRing = .none, isImmutable: Bool = false) {
            self.store = isImmutable ? ImmutableStore(store) : store
            self.log = log
            self.keys = keys
            self.isImmutable = isImmutable
        }
    }

    public struct Outcome: Hashable, Sendable {
        /// The epoch in which the log is written now.
        public let epoch: Epoch
        /// False: the log had been promoted before, and nothing was done to it.
        public let wasReplica: Bool
        /// Bytes that were taken in from archives.
        public let takenIn: UInt64
        /// Whether the epoch was begun, or had begun, on every archive at hand. False: one is claimed by the log's shipper later.
        public let hasBegunEverywhere: Bool
    }

    private let directory: String
    private let destinations: [Destination]
    private let fork: LSN?
    private let host: String
    private let patience: @Sendable () -> any RetryWait
    private let settle: Double
    private let sleep: @Sendable (Double) async throws -> Void
    private let now: @Sendable () -> UInt64

    /// `fork`: the replica's end, named on purpose: the new epoch begins there although archives hold more. Without it everything archived is taken in.
    /// Of a log that has been promoted already it is where its epoch began: then the epoch is begun there in archives that hold more.
    public init(directory: String, destinations: [Destination], fork: LSN? = nil, settle: Double = Claims.settleDefault) {
        self.init(
            directory: directory, destinations: destinations, fork: fork, host: ProcessName.host,
            patience: { RetryTimer(ArchiveReader.retryPolicy) }, settle: settle, sleep: { try await Task.sleep(for: .seconds($0)) },
            now: { LinuxTimeSource().now() })
    }

    package init(
        directory: String, destinations: [Destination], fork: LSN?, host: String, patience: @escaping @Sendable () -> any RetryWait,
        settle: Double, sleep: @escaping @Sendable (Double) async throws -> Void, now: @escaping @Sendable () -> UInt64
    ) {
        self.directory = directory
        self.destinations = destinations
        self.fork = fork
        self.host = host
        self.patience = patience
        self.settle = settle
        self.sleep = sleep
        self.now = now
    }

    /// Promotes. Throws `ArchiveError` (`.fenced` where another claimed the epoch, `.diverged` where the archive is of another log or line, `.gap`,
    /// `.damaged`, `.endUnproven` where the parent cannot be read to its end) and `WALError`; then the log is still a replica, unless the message
    /// says that the log was promoted.
    public func run() async throws -> Outcome {
        let directory = directory
        let log = Held(try await OffPool.run { () throws(WALError) in Held.Box(try LogPromotion.begin(directory: directory)) })
        defer { log.promotion.close() }
        let candidate = log.promotion.candidate
        guard candidate.isReplica else { return try await complete(log.promotion.epochs) }
        if let fork, fork != candidate.end {
            throw ArchiveError(.invalid, "the replica ends at LSN \(candidate.end), not at \(fork)", hint: "restore it to the LSN you want first")
        }
        let name = try await claim(candidate)
        var parents: [Parent?] = []
        for destination in destinations { parents.append(try await takeIn(destination, log)) }
        for destination in destinations { try await requireOurs(name.new, destination, isPromoted: false) }
        let epoch = try await log.finish(name.all)
        try await begin(log.promotion.epochs, parents)
        return Outcome(
            epoch: epoch, wasReplica: true, takenIn: log.promotion.end.distance(from: candidate.end),
            hasBegunEverywhere: parents.allSatisfy { $0 != nil })
    }

    // MARK: Claiming

    /// The new epoch's name, and every claimed one up to it that the log may not know.
    private struct Claimed {
        var new: EpochName
        /// Ascending, without a number left out.
        var all: [EpochName]
    }

    /// Claims the number after the highest one that any archive or the log knows, everywhere, with one id; and below it, what others have claimed
    /// elsewhere, with their ids, so that no archive skips a number.
    private func claim(_ candidate: LogPromotion.Candidate) async throws(ArchiveError) -> Claimed {
        var ids: [UInt64: EpochID] = [:]
        for epoch in candidate.epochs.epochs { ids[epoch.number] = epoch.id }
        var highest = candidate.epochs.current.number
        var claimed: [UInt64] = []
        for destination in destinations {
            let reader = try await open(destination, candidate)
            do {
                try requireContinuable(reader, candidate.epochs, candidate.end)
            } catch {
                // A claim fences whoever writes, whatever becomes of the promotion: what the documents tell is looked at before.
                var error = error
                error.hint = error.hint.map { "\($0); nothing was claimed" }
                throw error
            }
            let top = reader.highestClaim?.epoch.number ?? 0
            claimed.append(top)
            highest = max(highest, top)
            let first = max(candidate.epochs.epochs[0].number, 1)
            for number in first..<max(first, top + 1) {
                guard let id = try await claims(destination).document(number)?.epoch.id else { continue }
                if let known = ids[number], known != id {
                    throw ArchiveError(
                        .diverged, "epoch \(number) is \(known) to the log or another archive, and \(id) here", key: reader.layout.claim(number))
                }
                ids[number] = id
            }
        }
        var random = SystemRandomNumberGenerator()
        let new = EpochName(number: highest + 1, id: .random(using: &random))
        ids[new.number] = new.id
        for (destination, top) in zip(destinations, claimed) {
            for number in (top + 1)...new.number {
                guard let id = ids[number] else {
                    throw ArchiveError(
                        .invalid, "epoch \(number) was never claimed here, and the log no longer knows it", key: Layout(log: destination.log).claim(number))
                }
                try await win(EpochName(number: number, id: id), destination)
            }
        }
        return Claimed(
            new: new,
            all: try ids.keys.sorted().map { number throws(ArchiveError) in
                guard let id = ids[number] else { preconditionFailure("a key has its value") }
                return EpochName(number: number, id: id)
            })
    }

    private func win(_ name: EpochName, _ destination: Destination) async throws(ArchiveError) {
        switch try await claims(destination).claim(name, host: host, time: now()) {
        case .won: return
        case .lost(let other):
            throw ArchiveError(
                .fenced, "another promotion claimed epoch \(name.number) as \(other)", key: Layout(log: destination.log).claim(name.number),
                hint: "look who writes this log now; the replica was left as it was")
        }
    }

    private func requireOurs(_ name: EpochName, _ destination: Destination, isPromoted: Bool) async throws(ArchiveError) {
        let key = Layout(log: destination.log).claim(name.number)
        let state =
            isPromoted
            ? "the log was promoted, but cannot be shipped there: `walshipd follow --rewind` makes it follow whoever was promoted since"
            : "the replica was left as it was"
        switch try await claims(destination).look(name) {
        case .ours: return
        case .lost(let other):
            throw ArchiveError(.fenced, "epoch \(name.number) is \(other.map { "\($0)" } ?? "nobody")'s now", key: key, hint: state)
        case .superseded:
            throw ArchiveError(.fenced, "another promotion claimed epoch \(name.number + 1) since", key: key, hint: state)
        }
    }

    // MARK: The parent's end

    /// The line that an archive had after the claim, and how far the log continues it.
    ///
    /// It is what the new epoch goes on from, whatever comes to be there later: an epoch that begins after the next one was claimed has an owner who is fenced, and
    /// archives nothing.
    private struct Parent {
        let document: StartDocument
        let end: LSN
    }

    /// Reads the archive's line from about the replica's end to its own, compares what both have, and takes in what the replica lacks. Nil where no epoch has
    /// begun in it.
    private func takeIn(_ destination: Destination, _ log: Held) async throws -> Parent? {
        let reader = try await open(destination, log.promotion.candidate)
        guard let line = reader.line else { return nil }
        let end = log.promotion.end
        try requireContinuable(reader, log.promotion.epochs, end)
        // What a named fork leaves behind is not read: past where the log's history leaves the line's newest epoch.
        let leaves = fork.map { min($0, Promotion.fork(after: line.document.epoch.epoch, log.promotion.epochs) ?? $0) }
        var walk = try await self.walk(reader, line, from: min(end, leaves ?? end))
        while leaves.map({ walk.position < $0 }) ?? true, let piece = try await next(&walk, candidate: log.promotion.candidate) {
            try await log.take(piece, upTo: leaves)
        }
        guard walk.position >= log.promotion.candidate.head else {
            throw ArchiveError(
                .gap, "the archive ends here, and the replica begins at LSN \(log.promotion.candidate.head): what lies between is in neither",
                key: reader.layout.logDocument, lsn: walk.position, hint: "ship to a new archive")
        }
        if log.promotion.position > log.promotion.end {
            let inherited = line.epochs.epochs.filter { $0.number > log.promotion.epochs.current.number }
            try await log.takeIn(inherited)
        }
        return Parent(document: line.document, end: leaves.map { min($0, walk.position) } ?? walk.position)
    }

    private func next(_ walk: inout ArchiveWalk, candidate: LogPromotion.Candidate) async throws(ArchiveError) -> ArchivePiece? {
        do throws(ArchiveError) {
            return try await walk.next()
        } catch where fork == nil && [.gap, .damaged, .endUnproven].contains(error.code) {
            var error = error
            error.hint = "older writers are stopped already. Bring back what is missing from another copy of the archive and promote again; "
                + "or, to leave behind for good whatever the archive has past the replica's end, name the fork: --at \(candidate.end)"
            throw error
        }
    }

    /// Where a log's history leaves an epoch: the start of the next one; nil where it has none.
    private static func fork(after epoch: EpochName, _ table: EpochTable) -> LSN? {
        table.epochs.first { $0.number > epoch.number }?.start
    }

    /// A walk to the archive's end that begins where something is known to be archived, and at the latest in the segment of `end`.
    private func walk(_ reader: ArchiveReader, _ line: EpochLine, from end: LSN) async throws(ArchiveError) -> ArchiveWalk {
        let newest = line.document.epoch
        let head = try await reader.access.head(newest.epoch)
        let known = min(head?.checkpoint ?? newest.start ?? line.start, end)
        let outline = try reader.outline
        let start = max(outline.segmentStart(known), outline.firstObject)
        return ArchiveWalk(reader, ArchiveChain(outline, start: start, resume: start), depth: .whole)
    }

    /// That a promoted log has left the archive's line.
    ///
    /// What began in the line past the log's fork was lowered to it when the log's epoch began, and is compared so.
    private func requireLeft(_ reader: ArchiveReader, _ table: EpochTable) throws(ArchiveError) {
        guard let line = reader.line else { return }
        try requireOneLine(reader, line, line.epochs.lowered(to: table.current.start), table, table.current.start)
    }

    /// That a log of this history, which ends at `end`, is of the archive's line, whose history is `told`.
    private func requireOneLine(
        _ reader: ArchiveReader, _ line: EpochLine, _ told: EpochTable, _ epochs: EpochTable, _ end: LSN
    ) throws(ArchiveError) {
        guard let problem = LineComparison.problem(log: epochs, end: end, line: told) else { return }
        throw ArchiveError(
            .diverged, problem.reason, key: reader.layout.start(line.document.epoch.epoch.number), lsn: problem.lsn, hint: "restore the log from this archive")
    }

    /// And that it can go on from there.
    private func requireContinuable(_ reader: ArchiveReader, _ epochs: EpochTable, _ end: LSN) throws(ArchiveError) {
        guard let line = reader.line else { return }
        try requireOneLine(reader, line, line.epochs, epochs, end)
        guard end < (try reader.firstObject) else { return }
        throw ArchiveError(.notFound, "the archive was pruned past the replica's end", key: reader.layout.floor, lsn: end, hint: "restore it again")
    }

    // MARK: Beginning the epoch in the archives

    /// Writes what begins the log's current epoch, to every archive in which its parent has begun (it is not nil).
    private func begin(_ table: EpochTable, _ parents: [Parent?]) async throws(ArchiveError) {
        let name = EpochName(table.current)
        for (destination, parent) in zip(destinations, parents) {
            guard let parent else { continue }
            let access = ArchiveAccess(store: destination.store, layout: Layout(log: destination.log), patience: patience)
            let start = EpochStart(parent: parent.document, table: table, archived: parent.end, time: now())
            // Where the parent has no head nothing is replaced, or its head was lost: either way it is the shipper's to write one.
            if !destination.isImmutable, try await access.head(parent.document.epoch.epoch) != nil {
                try await access.replace(start.head, access.layout.head(name))
            }
            try await requireOurs(name, destination, isPromoted: true)
            try await access.create(start.document, access.layout.start(name.number))
            try await requireOurs(name, destination, isPromoted: true)
        }
    }

    /// The log is no replica: what an interrupted promotion left undone in the archives is done; with a named fork, also where the log was promoted
    /// without this archive at hand.
    private func complete(_ table: EpochTable) async throws -> Outcome {
        if let fork, fork != table.current.start {
            throw ArchiveError(.invalid, "the log is no replica, and its epoch began at LSN \(table.current.start), not at \(fork)", hint: "name that, or leave it out")
        }
        let name = EpochName(table.current)
        var parents: [Parent?] = []
        var hasBegun = true
        for destination in destinations {
            var reader = try await open(destination, nil)
            if try await claims(destination).readable(name.number) == nil {
                // Promoted without this archive at hand: the shipper claims it, unless something is to be left behind.
                guard fork != nil, reader.line != nil else {
                    parents.append(nil)
                    hasBegun = false
                    continue
                }
                // It fences whoever writes there: what the documents tell is looked at before.
                try requireLeft(reader, table)
                try await claimAll(table, destination, above: reader.highestClaim?.epoch.number ?? 0)
                reader = try await open(destination, nil)
            }
            guard let claim = try await claims(destination).document(name.number), claim.epoch == name else {
                throw ArchiveError(
                    .fenced, "epoch \(name.number) was claimed by another writer, the log's is \(name.id)", key: reader.layout.claim(name.number),
                    hint: "the log is no replica and was left as it was")
            }
            try await requireOurs(name, destination, isPromoted: true)
            guard let line = reader.line, line.document.epoch.epoch != name else {
                parents.append(nil)
                hasBegun = hasBegun && reader.line != nil
                continue
            }
            parents.append(Parent(document: line.document, end: try await end(of: line, reader, table)))
        }
        try await begin(table, parents)
        return Outcome(epoch: table.current, wasReplica: false, takenIn: 0, hasBegunEverywhere: hasBegun)
    }

    private func claimAll(_ table: EpochTable, _ destination: Destination, above top: UInt64) async throws(ArchiveError) {
        guard let first = table.epochs.first(where: { $0.number > top }), first.number == top + 1 else {
            throw ArchiveError(
                .diverged, "the archive's newest claim is of epoch \(top), which does not lead to the log's epochs", key: Layout(log: destination.log).claim(top + 1))
        }
        for epoch in table.epochs where epoch.number > top { try await win(EpochName(epoch), destination) }
    }

    /// How far the archive's line can be continued by the log. Throws `.diverged`, with the fork, where the archive has more than the log left it with and
    /// nobody has named the fork.
    private func end(of line: EpochLine, _ reader: ArchiveReader, _ table: EpochTable) async throws(ArchiveError) -> LSN {
        try requireLeft(reader, table)
        let leaves = Promotion.fork(after: line.document.epoch.epoch, table) ?? table.current.start
        var walk = try await self.walk(reader, line, from: leaves)
        while walk.position < leaves, try await walk.next() != nil {}
        if fork == nil {
            var goesOn = walk.position > leaves
            if !goesOn { goesOn = try await walk.next() != nil }
            guard !goesOn else {
                throw ArchiveError(
                    .diverged, "epoch \(line.document.epoch.epoch) was archived past LSN \(leaves), where this log leaves it: what lies behind is not in this log",
                    key: reader.layout.start(line.document.epoch.epoch.number), lsn: leaves,
                    hint: "restore the archive to have it; or, to leave it behind for good, name the fork: --at \(table.current.start)")
            }
        }
        return min(walk.position, leaves)
    }

    private func claims(_ destination: Destination) -> Claims {
        Claims(store: destination.store, layout: Layout(log: destination.log), settle: settle, patience: patience, sleep: sleep)
    }

    /// Opens an archive. Throws `.diverged` where it is another log's.
    private func open(_ destination: Destination, _ candidate: LogPromotion.Candidate?) async throws(ArchiveError) -> ArchiveReader {
        let reader = try await ArchiveReader.open(store: destination.store, log: destination.log, keys: destination.keys, patience: patience)
        guard let candidate else { return reader }
        guard reader.log.logID == candidate.logID, reader.log.segmentSize == UInt64(candidate.segmentSize) else {
            throw ArchiveError(
                .diverged, "the archive is of log \(reader.log.logID) with segments of \(reader.log.segmentSize) bytes, not of \(candidate.logID)",
                key: reader.layout.logDocument, hint: "check the URL")
        }
        return reader
    }
}

/// Carries the log under promotion to threads that may block.
/// Unchecked, because each use is awaited before the next begins.
private final class Held: @unchecked Sendable {
    /// Unchecked for the same reason.
    struct Box: @unchecked Sendable {
        let promotion: LogPromotion
        init(_ promotion: LogPromotion) { self.promotion = promotion }
    }
    let promotion: LogPromotion

    init(_ box: Box) { promotion = box.promotion }

    /// Compares what the log has of the piece, and applies what comes behind its end.
    /// Past `limit` nothing is compared; with one, nothing is applied.
    func take(_ piece: ArchivePiece, upTo limit: LSN?) async throws {
        let differs = try await OffPool.run { () throws(WALError) -> LSN? in
            let promotion = self.promotion
            let end = min(promotion.end, limit ?? promotion.end)
            let head = promotion.candidate.head
            let difference = try piece.difference(from: head, to: end) { range throws(WALError) in try promotion.bytes(range) }
            if let difference { return difference }
            if limit == nil, piece.range.upperBound > promotion.position {
                try promotion.apply(piece.bytes(from: promotion.position), at: promotion.position)
            }
            return nil
        }
        if let differs {
            throw ArchiveError(
                .diverged, "the archive holds other bytes than the replica", key: piece.key, lsn: differs,
                hint: "the replica is of a writer whose records were never archived: restore it from this archive")
        }
    }

    func takeIn(_ inherited: [Epoch]) async throws(WALError) {
        _ = try await OffPool.run { () throws(WALError) in try self.promotion.takeIn(inherited) }
    }

    func finish(_ names: [EpochName]) async throws(WALError) -> Epoch {
        try await OffPool.run { () throws(WALError) in
            let current = self.promotion.epochs.current.number
            return try self.promotion.finish(
                names.filter { $0.number > current }.map { LogPromotion.ClaimedEpoch(number: $0.number, id: $0.id) })
        }
    }
}
