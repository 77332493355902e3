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
        var resumes: [CursorDocument.Entry] = []
        var total = inventory.items.values.map(\.count).reduce(0, +)
        for epoch in state.epochs {
            let known = cursor?.epochs.first { $0.epoch == epoch }?.resume
            let all = inventory.items[epoch] ?? []
            let items = known.map { known in all.filter { $0.object.start >= known } } ?? all
            state.summary.skipped += all.count - items.count
            total -= all.count - items.count
            var chain = state.chain(epoch, known: known, items, layout, keys)
            try await inOrder(items, expecting: inventory.log) { item, content in
                if case .whole(let metadata, let raw) = content { state.note(metadata, isOpened: raw != nil) }
                if case .gone = content { state.lost += 1 }
                try report(chain.take(item, content))
                state.done += 1
                progress(Progress(done: state.done, total: total, bytes: state.summary.objectBytes))
            }
            try report(try await stillMissing(chain.finish(), state))
            state.snapshots.merge(chain.snapshots.map { (State.Branch(epoch: epoch, at: $0.key), $0.value) }) { first, _ in first }
            if epoch == inventory.newest?.epoch.epoch { state.summary.end = chain.position }
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

    /// What was pruned or went its way while the audit ran is not missing.
    private func stillMissing(_ findings: [AuditFinding], _ state: State) async throws(ArchiveError) -> [AuditFinding] {
        guard state.lost > 0, findings.contains(where: { $0.kind == .missing }) else { return findings }
        let floor = try await access.document(FloorDocument.self, layout.floor)?.objectStart ?? .zero
        return findings.filter { finding in finding.kind != .missing || (finding.lsn.map { $0 >= floor } ?? true) }
    }

    // MARK: Fetching

    /// Reads ahead as far as `fetches` allows, and hands out in order.
    private func inOrder(
        _ items: [ArchiveInventory.Item], expecting log: LogDocument?, _ take: (ArchiveInventory.Item, AuditChain.Content) throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: (Int, AuditChain.Content).self) { group in
            var begun = 0
            var due = 0
            var ready: [Int: AuditChain.Content] = [:]
            while due < items.count {
                while begun < min(items.count, due + width) {
                    let index = begun
                    let object = items[index].object
                    group.addTask { (index, try await read(object, log)) }
                    begun += 1
                }
                guard let (index, content) = try await group.next() else { preconditionFailure("something is under way") }
                ready[index] = content
                while let content = ready.removeValue(forKey: due) {
                    try take(items[due], content)
                    due += 1
                }
            }
        }
    }

    private func read(_ object: ArchivedObject, _ log: LogDocument?) async throws(ArchiveError) -> AuditChain.Content {
        let key = layout.key(object)
        do throws(ArchiveError) {
            return try await readingAgain { () throws(ArchiveError) -> AuditChain.Content in
                guard let bytes = try await access.bytes(key, limit: ArchiveLimits.objectSizeMax) else { return .gone }
                let keys = keys
                let content = try await OffPool.run { () throws(ArchiveError) -> AuditChain.Content in
                    do throws(ArchiveError) {
                        let decoded = try ObjectDecoder.decode(bytes, key: key, start: object.start, keys: keys)
                        return .whole(decoded.metadata, raw: decoded.raw)
                    } catch where error.code == .keyMissing {
                        return .whole(try ObjectDecoder.checkSealed(bytes, key: key, start: object.start), raw: nil)
                    }
                }
                if case .whole(let metadata, _) = content { try requireName(metadata, object, log, key) }
                return content
            }
        } catch where AuditChain.isFault(error) {
            return .faulty(error)
        }
    }

    private func requireName(_ metadata: ObjectMetadata, _ object: ArchivedObject, _ log: LogDocument?, _ key: ObjectKey) throws(ArchiveError) {
        guard metadata.epoch == object.epoch, metadata.kind == object.kind else {
            throw ArchiveError(.diverged, "it is a \(metadata.kind) of epoch \(metadata.epoch), its name says otherwise", key: key, lsn: object.start)
        }
        guard let log else { return }
        guard metadata.logID == log.logID, metadata.archiveID == log.archiveID else {
            throw ArchiveError(.diverged, "it is of log \(metadata.logID), archive \(metadata.archiveID)", key: key, lsn: object.start)
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
        /// Objects that were listed and are not there.
        var lost = 0

        init(_ inventory: ArchiveInventory) {
            self.inventory = inventory
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

        mutating func note(_ metadata: ObjectMetadata, isOpened: Bool) {
            if metadata.kind == .segment { summary.segments += 1 } else { summary.tails += 1 }
            summary.objectBytes += metadata.objectSize
            summary.rawBytes += metadata.rawSize
            summary.records += metadata.records?.count ?? 0
            if !isOpened { summary.sealed += 1 }
        }

        func chain(_ epoch: EpochName, known: LSN?, _ items: [ArchiveInventory.Item], _ layout: Layout, _ keys: KeyRing) -> AuditChain {
            let document = inventory.starts[epoch.number].flatMap { $0.epoch.epoch == epoch ? $0 : nil }
            let line = inventory.newest?.epochs ?? []
            let index = line.firstIndex { $0.epoch == epoch }
            let table = document.flatMap { EpochTable($0.epochs.map { Epoch(number: $0.epoch.number, id: $0.epoch.id, start: $0.fork) }) }
            let clip = index.flatMap { line[($0 + 1)...].compactMap(\.start).min() }
            let place = AuditChain.Place(
                epoch: epoch, layout: layout, keys: keys, segmentSize: inventory.log?.segmentSize, start: document?.epoch.start, epochs: table,
                gaps: inventory.gaps[epoch] ?? [:], isInLine: index != nil && inventory.log != nil, clip: clip, head: inventory.heads[epoch])
            let first = document?.epoch.start ?? items.first?.object.start ?? .zero
            // Below the floor objects may be left that nobody has come to remove yet.
            let floor = inventory.floor?.objectStart ?? .zero
            return AuditChain(place, begin: max(first, known ?? first, floor), frames: parent(document), branches: branches(of: epoch))
        }

        /// Where the epoch that this one goes on from has come to at its start.
        private func parent(_ document: StartDocument?) -> FrameStream? {
            guard let document, let start = document.epoch.start, let table = EpochTable(document.epochs.map { Epoch(number: $0.epoch.number, id: $0.epoch.id, start: $0.fork) }),
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
