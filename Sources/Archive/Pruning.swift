public import WAL

/// Removes the beginning of an archive: raises floor.json first, then deletes what lies wholly below, oldest first.
///
/// A reader that stands below the new floor is told that it was pruned; one that stands above it does not notice. What a crash leaves is removed by the
/// next run. One at a time does it: floor.json is read and written, and stores have no exchange. Should two do it nevertheless, the higher floor is written again by
/// whoever sees that it was lowered, before anything else is deleted. Safe from any task.
public struct Pruning: Sendable {
    /// What is not needed any more.
    public enum Request: Hashable, Sendable {
        /// Records below this LSN.
        case before(LSN)
        /// Records that were durable before this time, in nanoseconds since 1970-01-01 UTC by the clock of the log's writer.
        case olderThan(UInt64)
    }

    /// Of one epoch of the archive's line: its name, and where it begins here.
    public struct Place: Hashable, Sendable {
        public let epoch: EpochName
        public let start: LSN
        public let naming: ObjectNaming

        public init(epoch: EpochName, start: LSN, naming: ObjectNaming) {
            self.epoch = epoch
            self.start = start
            self.naming = naming
        }
    }

    /// What is going to be done; a value that can be shown first.
    public struct Plan: Hashable, Sendable {
        /// The floor to be written; nil where it stays.
        public internal(set) var floor: FloorDocument?
        /// The first record that is left; what lies in no object that goes may lie below.
        public internal(set) var first: LSN
        /// Oldest first.
        public internal(set) var keys: [ObjectKey] = []
        public var isEmpty: Bool { floor == nil && keys.isEmpty }
    }

    /// What was done.
    public struct Outcome: Hashable, Sendable {
        public internal(set) var deleted = 0
        /// What the store refused to delete, with its words. It may be asked for again.
        public internal(set) var refused: [Refusal] = []
        public struct Refusal: Hashable, Sendable {
            public let key: ObjectKey
            public let reason: String
        }
    }

    private let access: ArchiveAccess
    private var layout: Layout { access.layout }
    private let log: LogDocument
    /// Oldest first; the last one is the epoch that is written now.
    private let line: [Place]
    private let claims: Claims
    private let keys: KeyRing
    private let now: @Sendable () -> UInt64

    /// Windows without anything after which nothing is looked for any further down, where the store does not list.
    private static let emptyWindowsMax = 64
    private var size: UInt64 { log.segmentSize }

    /// `line` are the epochs with a start in this archive. `keys` are needed only for a request by LSN, see `plan`. `now`: nanoseconds since 1970-01-01 UTC.
    public init(
        store: any ObjectStore, layout: Layout, log: LogDocument, line: [Place], claims: Claims, keys: KeyRing = .none, now: @escaping @Sendable () -> UInt64,
        patience: @escaping @Sendable () -> any RetryWait
    ) {
        precondition(!line.isEmpty, "an archive without an epoch has nothing to prune")
        access = ArchiveAccess(store: store, layout: layout, patience: patience)
        self.log = log
        self.line = line
        self.claims = claims
        self.keys = keys
        self.now = now
    }

    // MARK: Planning

    /// Finds the floor that the request allows, and what lies below. Reads metadata, so a key is only needed where no commit time tells where a record begins (below);
    /// changes nothing.
    ///
    /// The floor is where a record begins and no batch goes on, at or below the request, in a closed segment, and never below the floor that is there: a durable point of
    /// the objects' time index, or, nearer to an LSN, the end of a batch in the object that holds it, which is read for that. Times are those of the time index: clocks
    /// that were set back make less old.
    ///
    /// `limit`: the floor is not to lie above it. `sweeps`: what earlier runs left below the floor is looked for as well, with a listing where the store has one; else
    /// only what this request gives up, by its names.
    public func plan(_ request: Request, limit: LSN? = nil, sweeps: Bool = true) async throws(ArchiveError) -> Plan {
        let known = try await floor()
        let begin = max(line[0].start, known?.objectStart ?? line[0].start)
        var walk = Walk(position: begin)
        let found = try await boundary(request, from: begin, limit: limit, &walk)
        var plan = Plan(first: max(line[0].start, known?.lsn ?? line[0].start))
        var objectStart = known?.objectStart
        if let found, found.lsn > known?.lsn ?? line[0].start {
            plan.floor = FloorDocument(lsn: found.lsn, epoch: found.epoch, objectStart: found.object, time: now())
            plan.first = found.lsn
            objectStart = found.object
        }
        guard let objectStart else { return plan }
        if sweeps, walk.listed == nil { walk.listed = .some(try await access.list(layout.root)) }
        if !sweeps {
            plan.keys = ordered(walk.met, below: objectStart)
        } else if let listed = walk.listed ?? nil {
            plan.keys = ordered(listed, below: objectStart)
        } else {
            plan.keys = try await ordered(walk.met + leftKeys(from: line[0].start, below: min(begin, objectStart)), below: objectStart)
        }
        return plan
    }

    private struct Boundary {
        var lsn: LSN
        var object: LSN
        var epoch: EpochName
    }

    /// What was met on the way up.
    private struct Walk {
        var position: LSN
        /// Names of objects and gaps.
        var met: [ObjectKey] = []
        /// Segments behind the best boundary in which a request for an LSN may find a nearer one, ascending.
        var nearer: [(metadata: ObjectMetadata, key: ObjectKey)] = []
        /// Every name, where they were asked for; nil inside: the store does not list.
        var listed: [ObjectKey]??

        init(position: LSN) { self.position = position }
    }

    /// Objects that are read whole to find where a batch ends, at most: nothing but a batch that is longer than these needs more, and then less goes.
    private static let readsMax = 8

    /// The greatest boundary that the request allows, found from the beginning upwards, object by object: each of them is going to be deleted, so
    /// looking at it costs little beside that. What is not closed yet ends the search, and what is missing where a time is asked for.
    private func boundary(_ request: Request, from begin: LSN, limit: LSN?, _ walk: inout Walk) async throws(ArchiveError) -> Boundary? {
        var best: Boundary?
        while limit.map({ walk.position <= $0 }) ?? true {
            if case .before(let lsn) = request, walk.position > lsn { break }
            guard let (object, key) = try await object(at: walk.position, begin, limit, request) else {
                // A gap leads on to where the next object begins.
                if let (end, key) = try await gap(at: walk.position), end > walk.position {
                    walk.met.append(key)
                    walk.position = end
                } else if case .before(let lsn) = request, let next = try await next(after: walk.position, upTo: lsn, &walk) {
                    walk.position = next
                } else {
                    break
                }
                continue
            }
            walk.met.append(key)
            let clip = min(clip(of: object.epoch) ?? object.end, object.end)
            let (lsn, isLast) = point(in: object, below: clip, request, limit)
            if object.kind == .segment {
                if let lsn {
                    best = Boundary(lsn: lsn, object: object.start, epoch: object.epoch)
                    walk.nearer = []
                }
                if case .before = request { walk.nearer = walk.nearer.suffix(Pruning.readsMax - 1) + [(object, key)] }
            }
            guard !isLast, clip > walk.position else { break }
            walk.position = clip
        }
        guard case .before(let lsn) = request, best?.lsn != lsn else { return best }
        for (object, key) in walk.nearer.reversed() {
            let clip = min(clip(of: object.epoch) ?? object.end, object.end)
            let end = min(clip, limit.map { $0.advanced(by: 1) } ?? clip, lsn.advanced(by: 1))
            if let found = try await batchEnd(in: object, key, below: end), best.map({ $0.lsn < found }) ?? true {
                return Boundary(lsn: found, object: object.start, epoch: object.epoch)
            }
        }
        return best
    }

    /// The greatest durable point in the object that the request allows, and whether what lies behind is not to go. Durable points lie between batches.
    private func point(in object: ObjectMetadata, below clip: LSN, _ request: Request, _ limit: LSN?) -> (LSN?, isLast: Bool) {
        let end = min(clip, limit.map { $0.advanced(by: 1) } ?? clip)
        var found: LSN?
        func isPlace(_ lsn: LSN) -> Bool { lsn < end && (object.records.map { lsn >= $0.first && lsn <= $0.last } ?? false) }
        switch request {
        case .before(let lsn):
            found = object.timeIndex.map(\.lsn).last { $0 <= lsn && isPlace($0) }
            return (found, lsn < clip)
        case .olderThan(let time):
            for entry in object.timeIndex {
                guard entry.time < time else { return (found, true) }
                if isPlace(entry.lsn) { found = entry.lsn }
            }
            return (found, false)
        }
    }

    /// The greatest place below `end` where a record begins behind the end of a record or batch in the object; nil where there is none, where it is encrypted with a key that
    /// is not at hand, and where it is damaged: no log is to begin there.
    private func batchEnd(in object: ObjectMetadata, _ key: ObjectKey, below end: LSN) async throws(ArchiveError) -> LSN? {
        guard let records = object.records, records.first < end, let epochs = EpochTable(object.ancestry) else { return nil }
        let raw: [UInt8]
        do throws(ArchiveError) {
            let read = try await readingAgain { () throws(ArchiveError) -> ObjectDecoder.Decoded? in
                guard let bytes = try await access.bytes(key, limit: ArchiveLimits.objectSizeMax) else { return nil }
                return try ObjectDecoder.decode(bytes, key: key, start: object.start, keys: keys)
            }
            guard let read else { return nil }
            guard read.metadata == object else {
                throw ArchiveError(
                    .diverged, "the object is not the one that was there a moment ago", key: key, lsn: object.start,
                    hint: "look who writes to this archive, or whether a cache stands before it; nothing was deleted")
            }
            raw = read.raw
        } catch where error.code == .keyMissing || error.code == .damaged {
            return nil
        }
        var frames = FrameAssembler(logID: object.logID, epochs: epochs, start: records.first)
        frames.add(Array(raw[Int(records.first.distance(from: object.start))...]))
        var found: LSN?
        do throws(WALError) {
            while try frames.next() != nil, frames.position < end, frames.position <= records.last {
                if frames.isBetweenBatches { found = frames.position }
            }
            return found
        } catch {
            return nil
        }
    }

    /// The segment that holds `lsn`, or, where that was never closed, the tail that begins there: of an epoch that another one took over, and before a gap.
    private func object(at lsn: LSN, _ begin: LSN, _ limit: LSN?, _ request: Request) async throws(ArchiveError) -> (ObjectMetadata, ObjectKey)? {
        do throws(ArchiveError) {
            return try await object(at: lsn, begin, withTails: limit.map { lsn < $0 } ?? true)
        } catch {
            // What is to go need not be whole. Of a time it does not say on which side of it the object lies.
            if case .before = request, error.code == .damaged { return nil }
            throw error
        }
    }

    private func object(at lsn: LSN, _ begin: LSN, withTails: Bool) async throws(ArchiveError) -> (ObjectMetadata, ObjectKey)? {
        for start in starts(of: lsn, begin) {
            if let found = try await object(.segment, at: start), found.0.end > lsn { return found }
        }
        guard withTails else { return nil }
        for level in (0...ArchiveLimits.tailLevelMax).reversed() {
            if let found = try await object(.tail(level: level), at: lsn), found.0.end > lsn { return found }
        }
        return nil
    }

    /// Where the next segment begins behind a hole that no document tells of, or behind something damaged, up to `limit`: what is lost there is not needed, since all below the request is to go. Nil where
    /// there is none, or the store does not list.
    private func next(after lsn: LSN, upTo limit: LSN, _ walk: inout Walk) async throws(ArchiveError) -> LSN? {
        if walk.listed == nil { walk.listed = .some(try await access.list(layout.root)) }
        return (walk.listed ?? nil)?.compactMap { key -> LSN? in
            guard case .object(let object)? = layout.meaning(of: key), object.kind == .segment, object.start > lsn, object.start <= limit,
                place(at: object.start)?.epoch == object.epoch
            else { return nil }
            return object.start
        }.min()
    }

    private func clip(of epoch: EpochName) -> LSN? {
        guard let index = line.firstIndex(where: { $0.epoch == epoch }) else { return nil }
        return line[(index + 1)...].map(\.start).min()
    }

    private func place(at lsn: LSN) -> Place? { line.last { $0.start <= lsn } }

    /// Where the segment object that holds `lsn` may begin.
    private func starts(of lsn: LSN, _ begin: LSN) -> [LSN] {
        guard let place = place(at: lsn) else { return [] }
        var starts = [max(LSN(lsn.rawValue / size * size), place.start)]
        for other in [begin, lsn] where other > starts[0] && other.rawValue / size == lsn.rawValue / size && !starts.contains(other) { starts.append(other) }
        return starts
    }

    private func object(_ kind: ObjectMetadata.Kind, at start: LSN) async throws(ArchiveError) -> (ObjectMetadata, ObjectKey)? {
        guard let place = place(at: start) else { return nil }
        for key in layout.names(kind, place.epoch, start: start, place.naming) {
            guard let found = try await readingAgain({ () throws(ArchiveError) in try await access.metadata(key, start: start) }) else { continue }
            guard found.epoch == place.epoch, found.kind == kind, found.logID == log.logID else {
                throw ArchiveError(.diverged, "the object is of something else than its name says", key: key, lsn: start)
            }
            return (found, key)
        }
        return nil
    }

    /// The end of the gap that begins here.
    private func gap(at lsn: LSN) async throws(ArchiveError) -> (LSN, ObjectKey)? {
        guard let place = place(at: lsn) else { return nil }
        let key = layout.gap(place.epoch, start: lsn)
        return try await access.document(GapDocument.self, key).map { ($0.end, key) }
    }

    // MARK: What goes

    /// Those that lie wholly below `object`, oldest first, each once.
    private func ordered(_ keys: [ObjectKey], below object: LSN) -> [ObjectKey] {
        Set(keys).compactMap { key in layout.meaning(of: key).flatMap { LSNKey($0, key) } }
            .filter { isBelow($0, object) }.sorted { ($0.start, $0.key) < ($1.start, $1.key) }.map(\.key)
    }

    private struct LSNKey {
        let start: LSN
        let isGap: Bool
        let key: ObjectKey

        init?(_ meaning: KeyMeaning, _ key: ObjectKey) {
            self.key = key
            switch meaning {
            case .gap(_, let start): (self.start, isGap) = (start, true)
            case .object(let object): (self.start, isGap) = (object.start, false)
            default: return nil
            }
        }
    }

    /// No object crosses a multiple of the segment size; a gap's document is read by who stands at its start.
    private func isBelow(_ name: LSNKey, _ object: LSN) -> Bool {
        name.isGap ? name.start < object : (name.start.rawValue / size + 1) * size <= object.rawValue
    }

    /// Down from the floor that was there: what an interrupted run has left lies directly below it, because the oldest goes first.
    private func leftKeys(from begin: LSN, below object: LSN) async throws(ArchiveError) -> [ObjectKey] {
        var found: [ObjectKey] = []
        var empty = 0
        var end = object.rawValue / size * size
        while end > begin.rawValue, empty < Pruning.emptyWindowsMax {
            let window = LSN(end - size)
            end = window.rawValue
            var isEmpty = true
            for (index, place) in line.enumerated() where place.start.rawValue < window.rawValue + size {
                let start = max(window, place.start)
                // Another epoch took over before this window.
                if index + 1 < line.count, line[index + 1].start <= window { continue }
                for key in layout.names(.segment, place.epoch, start: start, place.naming) + [layout.gap(place.epoch, start: start)] where try await access.isThere(key) {
                    found.append(key)
                    isEmpty = false
                }
            }
            empty = isEmpty ? empty + 1 : 0
        }
        return found
    }

    // MARK: Doing it

    /// Raises the floor, makes sure that it is raised, and deletes. A look at the claim comes before each deletion: once somebody else writes this archive,
    /// nothing more goes.
    ///
    /// What the store refuses to delete (object lock) is skipped and told. Throws `.fenced`, `.diverged` where the floor went down, and what the store throws when
    /// patience ends; then the floor may have been raised and some may be gone, and the next run does the rest.
    public func run(_ plan: Plan, deleted: (ObjectKey) -> Void = { _ in }) async throws(ArchiveError) -> Outcome {
        var outcome = Outcome()
        var wanted = plan.floor
        if wanted == nil { wanted = try await floor() }
        guard let floor = wanted else { return outcome }
        guard floor.lsn >= plan.first else { throw lowered }
        try await raise(floor)
        for (index, key) in plan.keys.enumerated() {
            if Task.isCancelled { throw ArchiveError(.cancelled, "cancelled") }
            if index > 0, index % Pruning.deletesPerLook == 0 { try await raise(floor) }
            try await requireOurs()
            do throws(ArchiveError) {
                try await access.delete(key)
            } catch where Pruning.isRefusal(error) {
                outcome.refused.append(Outcome.Refusal(key: key, reason: error.message))
                continue
            }
            outcome.deleted += 1
            deleted(key)
        }
        // Somebody may have written a lower one meanwhile, which leads to what is gone.
        if !plan.keys.isEmpty { try await raise(floor) }
        return outcome
    }

    /// Deletions between two looks at the floor.
    private static let deletesPerLook = 32

    private static func isRefusal(_ error: ArchiveError) -> Bool {
        switch error.code {
        case .refused, .unauthorized, .unsupported: true
        default: false
        }
    }

    /// On return floor.json was read, and says at least this.
    private func raise(_ floor: FloorDocument) async throws(ArchiveError) {
        for _ in 0..<Pruning.raisesMax {
            if let known = try await self.floor(), known.lsn >= floor.lsn { return }
            try await requireOurs()
            try await access.replace(floor, layout.floor)
        }
        throw lowered
    }

    /// Times that a floor is written again that somebody else lowers at the same time.
    private static let raisesMax = 5

    private var lowered: ArchiveError {
        ArchiveError(
            .diverged, "floor.json does not say what was written to it: somebody else prunes this archive", key: layout.floor,
            hint: "let one at a time do it, and begin again; nothing above the floor was deleted")
    }

    private func requireOurs() async throws(ArchiveError) {
        let epoch = line[line.count - 1].epoch
        switch try await claims.look(epoch) {
        case .ours: return
        case .lost, .superseded:
            throw ArchiveError(
                .fenced, "epoch \(epoch) is not the one that writes this archive any more; nothing more was deleted", key: layout.claim(epoch.number),
                hint: "a promotion is under way, or was: begin again when its epoch has begun")
        }
    }

    private func floor() async throws(ArchiveError) -> FloorDocument? { try await access.document(FloorDocument.self, layout.floor) }
}
