public import Archive
import WAL

/// Reads an archive end to end and says whether it is what was written; writes nothing to it.
///
/// Every document; every object of every epoch where the store lists, else those that names lead to: checksum, content, digest, the digest of the one
/// before, and every frame, across objects and epochs. What is bad is reported with its key and does not hide the rest. Safe from any task.
public struct ArchiveAudit: Sendable {
    /// How far it has come. Objects differ in size, so bytes would say no more.
    public struct Progress: Hashable, Sendable {
        public let done: Int
        public let total: Int
        /// Compressed bytes read so far.
        public let bytes: UInt64
    }

    /// Objects that are fetched and opened at one time; each is in memory, compressed and not.
    public static let fetches = 1...16
    public static let fetchesDefault = 4

    private let access: ArchiveAccess
    private let keys: KeyRing
    private let width: Int
    private var layout: Layout { access.layout }

    /// `keys` open encrypted objects; of one whose key is not there, everything but the content is checked.
    public init(
        store: any ObjectStore, log: LogName, keys: KeyRing = .none, fetches: Int = ArchiveAudit.fetchesDefault,
        patience: @escaping @Sendable () -> any RetryWait = { RetryTimer(ArchiveReader.retryPolicy) }
    ) {
        precondition(ArchiveAudit.fetches.contains(fetches), "\(fetches) fetches at one time")
        access = ArchiveAccess(store: store, layout: Layout(log: log), patience: patience)
        self.keys = keys
        width = fetches
    }

    /// Reads everything, or with a `cursor` what has come since. `found` is told of each finding as it comes.
    ///
    /// Throws `.notFound` where there is no archive, `.invalid` for the cursor of another one or one that was made without keys, what the store throws
    /// when patience ends (what could not be read is not damaged), and what `found` throws.
    public func run(
        cursor: CursorDocument? = nil, progress: (Progress) -> Void = { _ in }, found: (AuditFinding) throws -> Void
    ) async throws -> AuditSummary {
        let inventory = try await InventoryReader(access: access).read()
        var state = State(inventory)
        if let cursor { try check(cursor, inventory) }
        func report(_ findings: [AuditFinding]) throws {
            for finding in findings {
                state.summary.count(finding)
                try found(finding)
            }
        }
        try report(inventory.findings)
        if let floor = inventory.floor, let problem = state.problem(with: floor) { try report([AuditFinding(.damage, problem, key: layout.floor)]) }
        let objects = AuditedObjects(access: access, keys: keys, log: inventory.log)
        var resumes: [CursorDocument.Entry] = []
        for epoch in state.epochs {
            let known = cursor?.epochs.first { $0.epoch == epoch }?.resume
            let items = inventory.items[epoch] ?? []
            let old = known.map { known in items.prefix { $0.object.start < known } } ?? []
            var audit = EpochAudit(
                chain: state.chain(epoch, known: known, items, layout, keys),
                second: SecondLook(objects: objects, epoch: epoch, naming: inventory.naming(epoch), items))
            state.summary.skipped += old.count
            state.total -= old.count
            for item in old { try report(try await audit.take(item, .known)) }
            try await objects.inOrder(items.dropFirst(old.count), width: width) { item, content in
                try report(try await audit.take(item, content))
                state.note(content)
                progress(state.progress)
            }
            try report(try await audit.finish())
            for content in audit.found { state.note(content) }
            let chain = audit.chain
            state.snapshots.merge(chain.snapshots.map { (State.Branch(epoch: epoch, at: $0.key), $0.value) }) { first, _ in first }
            if epoch == inventory.newest?.epoch.epoch {
                state.summary.end = chain.position
                if !inventory.isListed, inventory.heads[epoch] == nil {
                    let what = "whether the archive ends at LSN \(chain.position) cannot be told: there is no head document, and the store does not list"
                    try report([AuditFinding(.missing, what, key: layout.head(epoch))])
                }
            }
            resumes.append(CursorDocument.Entry(epoch: epoch, resume: chain.resume))
        }
        if state.summary.damages == 0, state.summary.missing == 0, let log = inventory.log {
            state.summary.cursor = CursorDocument(
                logID: log.logID, archiveID: log.archiveID, isOpened: state.summary.sealed == 0 && cursor?.isOpened ?? true, epochs: resumes)
        }
        return state.summary
    }

    private func check(_ cursor: CursorDocument, _ inventory: ArchiveInventory) throws(ArchiveError) {
        guard let log = inventory.log else { return }
        guard cursor.archiveID == log.archiveID, cursor.logID == log.logID else {
            throw ArchiveError(
                .invalid, "the cursor is of archive \(cursor.archiveID), this is \(log.archiveID)", hint: "name another file, or remove this one to have everything read")
        }
        guard cursor.isOpened || keys.isEmpty else {
            throw ArchiveError(
                .invalid, "the cursor is of an audit without keys, which opened nothing", hint: "name another file, or remove this one to have everything opened")
        }
    }

    // MARK: What is kept

    private struct State {
        struct Branch: Hashable {
            let epoch: EpochName
            let at: LSN
        }

        let inventory: ArchiveInventory
        var summary = AuditSummary()
        var snapshots: [Branch: FrameStream] = [:]
        var done = 0
        /// Objects that are going to be read.
        var total: Int
        var progress: Progress { Progress(done: done, total: max(done, total), bytes: summary.objectBytes) }

        init(_ inventory: ArchiveInventory) {
            self.inventory = inventory
            total = inventory.items.values.map(\.count).reduce(0, +)
            summary.documents = inventory.documents
            summary.isListed = inventory.isListed
            summary.epochs = inventory.starts.count
            let begin = inventory.newest?.epochs.compactMap(\.start).min() ?? .zero
            summary.first = max(begin, inventory.floor?.lsn ?? begin)
        }

        /// Every epoch that has objects, or should have some, oldest first.
        var epochs: [EpochName] {
            let all = Set(inventory.items.keys).union(inventory.starts.values.map(\.epoch.epoch))
            return all.sorted { ($0.number, $0.id.rawValue) < ($1.number, $1.id.rawValue) }
        }

        func problem(with floor: FloorDocument) -> String? {
            guard let newest = inventory.newest, let begin = newest.epochs.compactMap(\.start).min() else { return nil }
            if floor.objectStart < begin { return "field object_start: \(floor.objectStart) lies below LSN \(begin), where the archive's epochs begin" }
            return newest.epochs.contains { $0.epoch == floor.epoch } ? nil : "field epoch_id: epoch \(floor.epoch) is none of the archive's"
        }

        mutating func note(_ content: AuditChain.Content) {
            done += 1
            guard case .whole(let metadata, let raw) = content else { return }
            if metadata.kind == .segment { summary.segments += 1 } else { summary.tails += 1 }
            summary.objectBytes += metadata.objectSize
            summary.rawBytes += metadata.rawSize
            summary.records += metadata.records?.count ?? 0
            if raw == nil { summary.sealed += 1 }
            summary.owners.insert(AuditSummary.Owner(logID: metadata.logID, archiveID: metadata.archiveID))
        }

        func chain(_ epoch: EpochName, known: LSN?, _ items: [ArchiveInventory.Item], _ layout: Layout, _ keys: KeyRing) -> AuditChain {
            let document = inventory.starts[epoch.number].flatMap { $0.epoch.epoch == epoch ? $0 : nil }
            let line = inventory.newest?.epochs ?? []
            let index = line.firstIndex { $0.epoch == epoch && $0.start != nil }
            let start = index.flatMap { line[$0].start } ?? document?.epoch.start
            let clip = index.flatMap { line[($0 + 1)...].compactMap(\.start).min() }
            let isInLine = index != nil && inventory.log != nil
            let first = start ?? items.first?.object.start ?? .zero
            let floor = inventory.floor.flatMap { floor in isInLine && floor.lsn >= first && clip.map { floor.lsn < $0 } ?? true ? floor : nil }
            let place = AuditChain.Place(
                epoch: epoch, layout: layout, keys: keys, segmentSize: inventory.log?.segmentSize, start: start, epochs: document.flatMap { State.table($0) },
                line: index == nil ? nil : inventory.newest.flatMap { State.table($0) }, gaps: inventory.gaps[epoch] ?? [:], isInLine: isInLine, clip: clip,
                head: inventory.heads[epoch], floor: floor)
            // Below the floor objects may be left that nobody has come to remove yet.
            return AuditChain(
                place, begin: max(first, inventory.floor?.objectStart ?? .zero), known: known, frames: parent(document), branches: branches(of: epoch))
        }

        private static func table(_ document: StartDocument) -> EpochTable? {
            EpochTable(document.epochs.map { Epoch(number: $0.epoch.number, id: $0.epoch.id, start: $0.fork) })
        }

        /// Where the epoch that this one goes on from has come to at its start.
        private func parent(_ document: StartDocument?) -> FrameStream? {
            guard let document, let start = document.epoch.start, let table = State.table(document),
                let parent = document.epochs.dropLast().last(where: { $0.start.map { $0 < start } ?? false }), let log = inventory.log
            else { return nil }
            return snapshots[Branch(epoch: parent.epoch, at: start)]?.continued(logID: log.logID, epochs: table)
        }

        /// Where other epochs go on from this one.
        private func branches(of epoch: EpochName) -> [LSN] {
            inventory.starts.values.compactMap { document in
                guard let start = document.epoch.start else { return nil }
                return document.epochs.dropLast().last { $0.start.map { $0 < start } ?? false }?.epoch == epoch ? start : nil
            }
        }
    }
}
