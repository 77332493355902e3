public import Archive
public import WAL

/// Copies an archive to another store, object by object and byte for byte.
///
/// Nothing that is at the destination is replaced by something else, what is there already is not sent again, and a copy that was interrupted is taken
/// up by running it once more. What is written comes in an order in which the destination never claims more than it holds: documents of the epochs, objects
/// in the order of the log, gaps, the floor, then start.json of the newest epoch, and heads. So a first copy is not readable before it
/// is complete, and one that is brought up to date stays readable as far as it goes.
///
/// The source may be shipped to meanwhile: the copy ends where the source ended when it came there. Safe from any task.
public struct ArchiveCopy: Sendable {
    /// Where an archive lies.
    public struct Place: Sendable {
        public let store: any ObjectStore
        /// The log's name may differ: no object holds it.
        public let log: LogName

        public init(store: any ObjectStore, log: LogName) {
            self.store = store
            self.log = log
        }
    }

    /// How far a copy has come, in bytes of log. The total is what the source's head says, and grows with what is found past it.
    public struct Progress: Hashable, Sendable {
        public let done: UInt64
        public let total: UInt64
    }

    /// What was done.
    public struct Summary: Hashable, Sendable {
        public let logID: LogID
        public let archiveID: ArchiveID
        /// Where the first object begins that was looked at, and up to where the destination now has everything that the source has.
        public internal(set) var start: LSN
        public internal(set) var end: LSN
        /// Objects that were copied, their bytes as they are stored, and objects that the destination had.
        public internal(set) var copied: UInt64 = 0
        public internal(set) var copiedBytes: UInt64 = 0
        public internal(set) var present: UInt64 = 0
        /// Of these, objects that no reader of the newest epoch comes to.
        public internal(set) var strays: UInt64 = 0
        /// What the source says that it does not have.
        public internal(set) var gaps: [Range<LSN>] = []
    }

    /// Objects that are copied at one time where nothing else is said: enough to fill a line whose replies take their time.
    public static let transfersDefault = 4
    /// Bytes of objects in memory at one time; one object is taken whatever its size. (Twice that where the destination is read back.)
    static let bytesMax: UInt64 = 256 << 20

    private let from: Place
    private let to: Place
    private let keys: KeyRing
    private let transfersMax: Int
    private let isImmutable: Bool
    private let patience: @Sendable () -> any RetryWait
    private let now: @Sendable () -> UInt64

    /// `keys` are needed only to compare with objects at the destination that were encrypted anew. `transfers`: objects at one time, from 1. `isImmutable`: nothing is ever
    /// replaced at the destination, so it gets no heads. `now` is in nanoseconds since 1970-01-01 UTC; nil: the machine's clock.
    public init(
        from: Place, to: Place, keys: KeyRing = .none, transfers: Int = ArchiveCopy.transfersDefault, isImmutable: Bool = false,
        patience: @escaping @Sendable () -> any RetryWait = { RetryTimer(ArchiveReader.retryPolicy) },
        now: (@Sendable () -> UInt64)? = nil
    ) {
        precondition(transfers > 0, "a copy of no objects at one time")
        self.from = from
        self.to = to
        self.keys = keys
        transfersMax = transfers
        self.isImmutable = isImmutable
        self.patience = patience
        self.now = now ?? { LinuxTimeSource().now() }
    }

    /// Copies. On return the destination holds everything that the source held when the copy came there, each object looked at after it was sent.
    ///
    /// `progress` is told after each object. Throws, saying which of the two archives it is about: `.notFound` where there is no archive at the source, or no epoch has begun in it;
    /// `.gap` where one of its objects is missing without having been given up, and `.damaged` where one fails its checks; `.diverged` where the destination is the archive of
    /// another log, or holds something else under a name of this one (nothing of it was changed, and nothing is copied past it); and what the stores throw when patience
    /// ends. What was copied until then stays.
    public func run(progress: (Progress) -> Void = { _ in }) async throws(ArchiveError) -> Summary {
        let reader = try await naming(.source) { () throws(ArchiveError) -> ArchiveReader in
            let reader = try await ArchiveReader.open(store: from.store, log: from.log, keys: keys, traces: .objects, patience: patience)
            _ = try reader.requireLine()
            return reader
        }
        let destination = ArchiveAccess(store: to.store, layout: Layout(log: to.log), patience: patience)
        let documents = DocumentCopy(source: reader.access, destination: destination)
        let epochs = try await naming(.source) { () throws(ArchiveError) in try await claimed(reader) }
        // Read before any object is looked at, so that they promise no more than is copied.
        let heads = try await naming(.source) { () throws(ArchiveError) in try await self.heads(of: epochs, reader.access) }
        let theirs = try await look(at: documents, reader, epochs)

        try await naming(.destination) { () throws(ArchiveError) in _ = try await destination.probe() }
        try await documents.copy(LogDocument.self) { $0.logDocument }
        for epoch in epochs {
            try await documents.copy(ClaimDocument.self) { $0.claim(epoch.number) }
            try await documents.copyEncryption(epoch.number)
        }
        let line = try reader.requireLine()
        let floor = theirs.floor.flatMap { floor in reader.floor.map { $0.lsn < floor.lsn } ?? (floor.lsn > line.start) ? floor : nil }
        let promised = heads[line.document.epoch.epoch.number]?.archived
        let objects = ObjectCopy(
            source: reader.access, destination: destination,
            publisher: Publisher(store: to.store, layout: destination.layout, keys: keys, patience: patience))

        var walk = try CopyWalk(reader, promised: promised, floor: floor?.lsn)
        var summary = Summary(logID: reader.log.logID, archiveID: reader.log.archiveID, start: walk.start, end: walk.start)
        try await copy(&walk, by: objects, total: promised.map { $0 > walk.start ? $0.distance(from: walk.start) : 0 } ?? 0, &summary, progress)
        summary.end = walk.position
        summary.gaps = walk.gaps.map { $0.document.start..<$0.document.end }
        try await copyGaps(walk, epochs, documents)
        try await copyFloor(reader, theirs, documents)
        // The newest first: from then on readers follow it, and the others only tell of the past.
        for epoch in epochs.reversed() { try await documents.copy(StartDocument.self) { $0.start(epoch.number) } }
        if !isImmutable { try await copyHeads(heads, epochs, end: walk, line.document.epoch.epoch, destination) }

        var strays = try await naming(.source) { () throws(ArchiveError) in try await StrayObjects(reader, epochs: epochs) }
        let seen = summary.copied + summary.present
        try await copy(&strays, by: objects, total: 0, &summary) { _ in }
        summary.strays = summary.copied + summary.present - seen
        return summary
    }

    /// Every epoch that was claimed at the source, oldest first.
    private func claimed(_ reader: ArchiveReader) async throws(ArchiveError) -> [EpochName] {
        let claims = Claims(store: from.store, layout: reader.layout, patience: patience)
        var epochs: [EpochName] = []
        for number in 1..<(reader.highestClaim?.epoch.number ?? 0) + 1 {
            guard let claim = try await claims.document(number) else {
                throw ArchiveError(.damaged, "the claim of epoch \(number) is missing, although later ones are there", key: reader.layout.claim(number))
            }
            epochs.append(claim.epoch)
        }
        return epochs
    }

    private func heads(of epochs: [EpochName], _ access: ArchiveAccess) async throws(ArchiveError) -> [UInt64: HeadDocument] {
        var heads: [UInt64: HeadDocument] = [:]
        for epoch in epochs { heads[epoch.number] = try await access.head(epoch) }
        return heads
    }

    /// What the destination has before anything is copied.
    private struct Theirs {
        var floor: FloorDocument?
        /// Up to here it has everything from its own beginning on; nil: not known.
        var reached: LSN?
    }

    /// Refuses a destination that is something else, before anything is written there.
    private func look(
        at documents: DocumentCopy, _ reader: ArchiveReader, _ epochs: [EpochName]
    ) async throws(ArchiveError) -> Theirs {
        let destination = documents.destination
        try await documents.compare(LogDocument.self, { $0.logDocument }, "this is another archive than the source, perhaps of another log")
        let claims = Claims(store: to.store, layout: destination.layout, patience: patience)
        let highest = try await naming(.destination) { () throws(ArchiveError) in try await claims.highest() }
        if let highest, highest.epoch.number > epochs.count {
            throw ArchiveError(
                .diverged, "at the destination: epoch \(highest.epoch.number) was claimed, and the source knows none past \(epochs.count)",
                key: destination.layout.claim(highest.epoch.number),
                hint: "the log was promoted with that archive and not with this one: copy the other way round, or choose another destination; nothing was changed")
        }
        for epoch in epochs {
            try await documents.compare(ClaimDocument.self, { $0.claim(epoch.number) }, "epoch \(epoch.number) is another one than at the source")
            try await documents.compare(StartDocument.self, { $0.start(epoch.number) }, "epoch \(epoch.number) has begun elsewhere than at the source")
        }
        return try await naming(.destination) { () throws(ArchiveError) in
            var theirs = Theirs(floor: try await destination.document(FloorDocument.self, destination.layout.floor))
            // Heads are written last, so what one promises is there, up to where a newer epoch takes over.
            let line = try reader.requireLine()
            for case (let epoch, let start?) in line.document.epochs.map({ ($0.epoch, $0.start) }) {
                guard let head = try await destination.head(epoch) else { continue }
                let reached = line.source(at: start)?.clip.map { min($0, head.archived) } ?? head.archived
                theirs.reached = max(theirs.reached ?? .zero, reached)
            }
            return theirs
        }
    }

    /// The gaps that readers come to, and, where the source lists, every document about one.
    private func copyGaps(_ walk: CopyWalk, _ epochs: [EpochName], _ documents: DocumentCopy) async throws(ArchiveError) {
        for (epoch, gap) in walk.gaps { try await documents.copy(GapDocument.self) { $0.gap(epoch, start: gap.start) } }
        for epoch in epochs {
            let keys = try await naming(.source) { () throws(ArchiveError) in try await documents.source.list(documents.source.layout.gaps(epoch)) }
            for key in keys ?? [] {
                guard case .gap(epoch, let start)? = documents.source.layout.meaning(of: key) else { continue }
                try await documents.copy(GapDocument.self) { $0.gap(epoch, start: start) }
            }
        }
    }

    /// A destination that reaches down further than the source, without a hole, keeps what it has.
    private func copyFloor(_ reader: ArchiveReader, _ theirs: Theirs, _ documents: DocumentCopy) async throws(ArchiveError) {
        guard let floor = reader.floor, theirs.floor != floor else { return }
        if let other = theirs.floor, other.lsn >= floor.lsn { return }
        if let reached = theirs.reached, reached >= floor.objectStart { return }
        let destination = documents.destination
        if theirs.floor == nil {
            try await documents.copy(FloorDocument.self) { $0.floor }
        } else {
            try await naming(.destination) { () throws(ArchiveError) in try await destination.replace(floor, destination.layout.floor) }
        }
    }

    /// A destination whose head is further (it is shipped to as well) keeps it. Where the source has none for its newest epoch, and the end is known, the destination gets one: it may
    /// be unable to list.
    private func copyHeads(
        _ heads: [UInt64: HeadDocument], _ epochs: [EpochName], end: CopyWalk, _ newest: EpochName, _ destination: ArchiveAccess
    ) async throws(ArchiveError) {
        var heads = heads
        if heads[newest.number] == nil, end.isAtEnd, end.position >= end.checkpoint {
            heads[newest.number] = HeadDocument(epoch: newest, archived: end.position, checkpoint: end.checkpoint, durable: end.position, time: now())
        }
        for epoch in epochs {
            guard let head = heads[epoch.number], head.epoch == epoch else { continue }
            try await naming(.destination) { () throws(ArchiveError) in
                if let other = try await destination.head(epoch), other.epoch == epoch, other.archived >= head.archived { return }
                try await destination.replace(head, destination.layout.head(epoch))
            }
        }
    }
}

// MARK: Objects, several at one time

extension ArchiveCopy {
    /// A class: with a struct of this size the optimizer of Swift 6.3.1 may take what a task group returns for nil.
    private final class Finished: Sendable {
        let item: CopyItem
        let result: Result<ObjectCopy.Outcome, ArchiveError>

        init(_ item: CopyItem, _ result: Result<ObjectCopy.Outcome, ArchiveError>) {
            self.item = item
            self.result = result
        }
    }

    /// What is under way, and what has become of the rest.
    private struct Window {
        var count = 0
        var bytes: UInt64 = 0
        var done: UInt64 = 0
        /// The lowest position at which an object was gone.
        var vanished: LSN?

        func hasRoom(for item: CopyItem, transfersMax: Int) -> Bool {
            count == 0 || (count < transfersMax && bytes + item.metadata.objectSize <= ArchiveCopy.bytesMax)
        }

        mutating func begin(_ item: CopyItem) {
            count += 1
            bytes += item.metadata.objectSize
        }

        mutating func end(_ item: CopyItem) {
            count -= 1
            bytes -= item.metadata.objectSize
        }
    }

    private func copy(
        _ feed: inout some CopyFeed, by objects: ObjectCopy, total: UInt64, _ summary: inout Summary, _ progress: (Progress) -> Void
    ) async throws(ArchiveError) {
        let result = await withTaskGroup(of: Finished.self, returning: Result<Void, ArchiveError>.self) { group in
            do throws(ArchiveError) {
                try await pump(&feed, &group, objects, total, &summary, progress)
                return .success(())
            } catch {
                group.cancelAll()
                return .failure(error)
            }
        }
        try result.get()
    }

    private func pump(
        _ feed: inout some CopyFeed, _ group: inout TaskGroup<Finished>, _ objects: ObjectCopy, _ total: UInt64, _ summary: inout Summary,
        _ progress: (Progress) -> Void
    ) async throws(ArchiveError) {
        var window = Window()
        func take(_ finished: Finished) throws(ArchiveError) {
            window.end(finished.item)
            switch try finished.result.get() {
            case .copied:
                summary.copied += 1
                summary.copiedBytes += finished.item.metadata.objectSize
            case .wasThere: summary.present += 1
            case .vanished:
                window.vanished = min(window.vanished ?? finished.item.position, finished.item.position)
                return
            }
            window.done += finished.item.rawBytes
            progress(Progress(done: window.done, total: max(total, window.done)))
        }
        while true {
            if window.vanished == nil, let item = try await naming(.source, { () throws(ArchiveError) in try await feed.next() }) {
                while !window.hasRoom(for: item, transfersMax: transfersMax), let finished = await group.next() { try take(finished) }
                // What was found gone meanwhile comes first, and this one again after it.
                guard window.vanished == nil else { continue }
                window.begin(item)
                group.addTask {
                    do throws(ArchiveError) {
                        return Finished(item, .success(try await objects.run(item)))
                    } catch {
                        return Finished(item, .failure(error))
                    }
                }
            } else if let finished = await group.next() {
                try take(finished)
            } else {
                guard let vanished = window.vanished else { return }
                window.vanished = nil
                try feed.vanished(at: vanished)
            }
        }
    }
}
