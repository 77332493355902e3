import Archive
import WAL

/// One epoch's objects as they are read in order: how each fits behind the one before it, and that the frames of all of them verify, also those that
/// cross from one to the next. A value without I/O.
struct AuditChain: Sendable {
    /// One object, read; or why not.
    enum Content: Sendable {
        /// `raw` is nil where its key is not here.
        case whole(ObjectMetadata, raw: [UInt8]?)
        case faulty(ArchiveError)
        /// It was there when names were listed.
        case gone
        /// It is there, and an earlier audit has read it.
        case known

        /// The same for counting.
        var withoutBytes: Content {
            if case .whole(let metadata, let raw) = self { .whole(metadata, raw: raw.map { _ in [] }) } else { self }
        }
    }

    /// What is known of the epoch before its objects are read.
    struct Place: Sendable {
        let epoch: EpochName
        let layout: Layout
        let keys: KeyRing
        /// Nil where log.json cannot be read: then nothing says where an object has to end.
        let segmentSize: UInt64?
        /// Where it begins here, as readers take it; nil where no start.json tells.
        let start: LSN?
        /// Whose frames may be in it; nil as above.
        let epochs: EpochTable?
        /// The same as readers of the newest epoch take it; nil where they do not come here.
        let line: EpochTable?
        let gaps: [LSN: GapDocument]
        /// Readers of the newest epoch come here, up to `clip`, where another takes over.
        let isInLine: Bool
        let clip: LSN?
        let head: HeadDocument?
        /// The first record of the archive, where it lies in this epoch and something was pruned.
        let floor: FloorDocument?
    }

    private let place: Place
    /// Where the next object begins that readers come to.
    private(set) var position: LSN
    /// Gaps that documents tell of.
    private var gaps: [LSN: GapDocument]
    private var frames: FrameStream?
    /// Where other epochs go on from this one.
    private let branches: [LSN]
    /// The frames up to there.
    private(set) var snapshots: [LSN: FrameStream] = [:]
    /// The newest intact object of each kind.
    private var last: [ObjectMetadata.Kind: (metadata: ObjectMetadata, plain: RawDigest?)] = [:]
    /// What faulty objects may have held, ascending by start.
    private var faulty: [Range<LSN>] = []
    /// Objects that the next audit has to read again.
    private var recent: [Range<LSN>] = []
    /// Where the next audit goes on.
    private(set) var resume: LSN
    /// Where readers begin.
    private var begin: LSN
    /// Below, gaps were told by an earlier audit.
    private let known: LSN
    /// What was found wrong with floor.json, and is to be told.
    private var floorProblem: String?

    /// `begin`: where readers begin; `known`: up to where an earlier audit has read. `frames`: what the epoch that this one goes on from ends with.
    init(_ place: Place, begin: LSN, known: LSN? = nil, frames: FrameStream? = nil, branches: [LSN] = []) {
        self.place = place
        self.begin = begin
        self.known = known ?? begin
        self.frames = frames?.end == begin ? frames : nil
        self.branches = branches.sorted()
        gaps = place.gaps
        position = begin
        resume = max(begin, known ?? begin)
        if branches.contains(begin) { snapshots[begin] = self.frames }
    }

    /// What says that an object or document is bad, as opposed to a store that does not answer.
    static func isFault(_ error: ArchiveError) -> Bool {
        switch error.code {
        case .damaged, .invalid, .unsupported, .diverged: true
        case .refused(status: 0): true
        default: false
        }
    }

    // MARK: Objects

    /// Where readers come to the object, so that the way up to there is looked at first; nil where they do not come to it, or nothing can be said of it.
    func meeting(_ item: ArchiveInventory.Item, _ content: Content) -> LSN? {
        switch content {
        case .gone, .faulty: return nil
        case .known:
            guard item.object.kind == .segment, item.isRead, let end = windowEnd(item.object.start), end > position else { return nil }
            return item.object.start
        case .whole(let metadata, _):
            return misfit(metadata) == nil && isRead(item, metadata) ? metadata.start : nil
        }
    }

    /// Takes the next object, once the way up to it has been looked at (`meeting`, `hole`).
    mutating func take(_ item: ArchiveInventory.Item, _ content: Content) -> [AuditFinding] {
        let object = item.object
        func damage(_ what: String) -> AuditFinding { AuditFinding(.damage, what, key: place.layout.key(object), object: object, lsn: object.start) }
        switch content {
        case .gone: return []
        case .known:
            if let start = meeting(item, content), start <= position, let end = windowEnd(start) {
                position = end
                frames = nil
            }
            return []
        case .faulty(let error):
            noteFaulty(object)
            return [damage(error.message)]
        case .whole(let metadata, let raw):
            if let problem = misfit(metadata) {
                noteFaulty(object)
                return [damage(problem)]
            }
            var findings = compareDigest(object, metadata, raw)
            if isRead(item, metadata), metadata.start <= position {
                findings += extend(object, metadata, raw)
            } else if let problem = checkAlone(metadata, raw) {
                findings.append(damage(problem))
            }
            return findings
        }
    }

    /// Whether readers come to it: to tails exactly where they begin, to a segment wherever they stand in it, if it begins where segments do.
    private func isRead(_ item: ArchiveInventory.Item, _ metadata: ObjectMetadata) -> Bool {
        guard item.isRead, metadata.end > position else { return false }
        guard metadata.kind == .segment else { return metadata.start >= position }
        guard let size = place.segmentSize, let start = place.start else { return true }
        return metadata.start.rawValue % size == 0 || metadata.start == start || metadata.start == begin || gaps.values.contains { $0.end == metadata.start }
    }

    /// Where the segment of the log ends in which `lsn` lies, as far as that is known.
    private func windowEnd(_ lsn: LSN) -> LSN? { place.segmentSize.map { LSN((lsn.rawValue / $0 + 1) * $0) } }

    /// What the object's own checks cannot know.
    private func misfit(_ metadata: ObjectMetadata) -> String? {
        if let end = windowEnd(metadata.start), metadata.kind == .segment ? metadata.end != end : metadata.end > end {
            return "it ends at LSN \(metadata.end), which is not where one that begins at \(metadata.start) ends"
        }
        if let start = place.start, metadata.epochStart != start {
            return "it says that its epoch begins at LSN \(metadata.epochStart), start.json says \(start)"
        }
        for ancestor in metadata.ancestry {
            for table in [place.epochs, place.line] {
                guard let known = table?.epochs.first(where: { $0.number == ancestor.number }), known.id != ancestor.id else { continue }
                return "its epoch \(ancestor.number) is \(ancestor.id), start.json's is \(known.id)"
            }
        }
        return nil
    }

    /// The digest that it names is that of the object before it. One that is made with another key may name what its own key gives (§4.2).
    private mutating func compareDigest(_ object: ArchivedObject, _ metadata: ObjectMetadata, _ raw: [UInt8]?) -> [AuditFinding] {
        let before = last[metadata.kind]
        last[metadata.kind] = (metadata, raw.map { RawDigest(of: $0) })
        guard let before, before.metadata.end == metadata.start, let named = metadata.precedingDigest, named != before.metadata.rawDigest else { return [] }
        if let plain = before.plain, place.keys.digest(plain, log: metadata.logID, under: metadata.seal?.keyID) == named { return [] }
        let what = "it names \(named) as the digest of the object before it, which has \(before.metadata.rawDigest): one of the two is not what was shipped"
        // Tails come and go; what follows one need not have known it.
        let kind: AuditFinding.Kind = metadata.kind == .segment ? .damage : .note
        return [AuditFinding(kind, what, key: place.layout.key(object), object: object, lsn: object.start)]
    }

    // MARK: The way from one to the next

    /// The next hole that readers would come to on their way to `start`, or, without, to the end that is promised; nil where the chain has come there. Gaps
    /// on the way are crossed, and told.
    ///
    /// A hole is none where something faulty lies in it, which was reported, and where readers do not come: behind another epoch's start, and behind what
    /// the head says, where uploads are under way.
    mutating func hole(before start: LSN?, _ findings: inout [AuditFinding]) -> Range<LSN>? {
        while start.map({ position < $0 }) ?? true {
            if let gap = gaps[position] {
                if let finding = report(gap) { findings.append(finding) }
                position = gap.end
                frames = nil
                continue
            }
            let end = start ?? max(place.clip ?? place.head?.archived ?? .zero, known)
            guard position < end else { return nil }
            let next = gaps.keys.filter { $0 > position && $0 < end }.min() ?? end
            if !counted(position..<next, isListedPast: start != nil).isEmpty { return position..<next }
            position = next
            frames = nil
        }
        return nil
    }

    /// Reports a hole that `hole` has given, and goes on behind it.
    mutating func skip(_ hole: Range<LSN>, isListedPast: Bool) -> [AuditFinding] {
        let parts = counted(hole, isListedPast: isListedPast)
        position = hole.upperBound
        frames = nil
        faulty.removeAll { $0.upperBound <= hole.upperBound }
        return parts.map { AuditFinding(.missing, "nothing is here although the archive goes on", lsn: $0.lowerBound, end: $0.upperBound) }
    }

    /// Where the segment object may begin that holds the position.
    var segmentStarts: [LSN] {
        guard let size = place.segmentSize else { return [] }
        let window = LSN(position.rawValue / size * size)
        let first = max(window, place.start ?? window)
        return [first] + Set([begin] + gaps.values.map(\.end)).filter { $0 > first && $0 <= position }
    }

    /// What lies below was pruned since the inventory was taken.
    mutating func prune(to objectStart: LSN) {
        guard objectStart > position else { return }
        position = objectStart
        begin = max(begin, objectStart)
        frames = nil
    }

    /// A gap's document that came since.
    mutating func learn(_ gap: GapDocument) { gaps[gap.start] = gap }

    private func report(_ gap: GapDocument) -> AuditFinding? {
        guard place.isInLine, gap.start >= known, place.clip.map({ gap.start < $0 }) ?? true else { return nil }
        return AuditFinding(
            .gap, "the range was given up: \(gap.reason)", key: place.layout.gap(place.epoch, start: gap.start), lsn: gap.start, end: gap.end)
    }

    /// What of the range counts as missing.
    private func counted(_ range: Range<LSN>, isListedPast: Bool) -> [Range<LSN>] {
        guard place.isInLine, !range.isEmpty else { return [] }
        var range = range
        if let clip = place.clip {
            guard range.lowerBound < clip else { return [] }
            range = range.lowerBound..<min(range.upperBound, clip)
        } else if range.lowerBound >= known {
            // What an earlier audit has read was there.
            if let head = place.head, range.lowerBound >= head.archived { return [] }
            if place.head == nil, !isListedPast { return [] }
        }
        var parts: [Range<LSN>] = []
        var position = range.lowerBound
        for bad in faulty where bad.overlaps(range) {
            if position < bad.lowerBound { parts.append(position..<bad.lowerBound) }
            position = max(position, bad.upperBound)
        }
        if position < range.upperBound { parts.append(position..<range.upperBound) }
        return parts
    }

    private mutating func noteFaulty(_ object: ArchivedObject) {
        if let end = windowEnd(object.start) { faulty.append(object.start..<end) }
    }

    // MARK: Frames

    private mutating func extend(_ object: ArchivedObject, _ metadata: ObjectMetadata, _ raw: [UInt8]?) -> [AuditFinding] {
        defer { position = metadata.end }
        guard let raw else {
            frames = nil
            noteResume(metadata, isOpened: false)
            return []
        }
        do throws(WALError) {
            let begun = try feed(metadata, raw)
            let said = metadata.records.map { FrameStream.Begun(first: $0.first, last: $0.last, count: $0.count) }
            if let begun, begun != said { throw .corruption(lsn: metadata.start, reason: AuditChain.difference(begun, said)) }
        } catch {
            frames = nil
            noteResume(metadata, isOpened: true)
            return [AuditFinding(.damage, "a record does not verify: \(error)", key: place.layout.key(object), object: object, lsn: object.start)]
        }
        noteResume(metadata, isOpened: true)
        defer { floorProblem = nil }
        return floorProblem.map { [AuditFinding(.damage, $0, key: place.layout.floor)] } ?? []
    }

    /// Nil where it cannot be told which frames begin in the object: not all of it was looked at.
    private mutating func feed(_ metadata: ObjectMetadata, _ raw: [UInt8]) throws(WALError) -> FrameStream.Begun?? {
        var from = position
        var isWhole = position == metadata.start
        if frames == nil, let epochs = table(metadata) {
            // Nothing is known of what lies before the first frame.
            guard let first = metadata.records?.first else { return nil }
            isWhole = first >= position
            guard isWhole else { return nil }
            frames = FrameStream(logID: metadata.logID, epochs: epochs, start: first)
            from = first
            if let floor = place.floor, floor.objectStart == metadata.start, floor.lsn < first {
                floorProblem = "field lsn: no record begins at \(floor.lsn), the first one in the object begins at \(first)"
            }
        }
        guard var stream = frames else { return nil }
        var begun: FrameStream.Begun?
        let places = Set(branches + (place.floor.map { [$0.lsn] } ?? [])).filter { $0 > from && $0 < metadata.end }.sorted()
        for end in places + [metadata.end] {
            let part = raw[Int(from.distance(from: metadata.start))..<Int(end.distance(from: metadata.start))]
            if let more = try stream.add(part) {
                begun = FrameStream.Begun(first: begun?.first ?? more.first, last: more.last, count: (begun?.count ?? 0) + more.count)
            }
            if branches.contains(end) { snapshots[end] = stream }
            if end == place.floor?.lsn { floorProblem = AuditChain.problem(withFloor: stream, at: end) }
            from = end
        }
        frames = stream
        return isWhole ? .some(begun) : nil
    }

    /// A log can begin where a record does, and no batch goes on.
    private static func problem(withFloor stream: FrameStream, at floor: LSN) -> String? {
        if stream.position < floor { return "field lsn: \(floor) lies inside the record at LSN \(stream.position), so no log begins there" }
        return stream.isInsideBatch ? "field lsn: \(floor) lies inside a batch, so no log begins there" : nil
    }

    /// An object that no reader comes to, because another holds the same bytes: its frames as far as they lie in it whole.
    private func checkAlone(_ metadata: ObjectMetadata, _ raw: [UInt8]?) -> String? {
        guard let raw, let records = metadata.records, let epochs = table(metadata) else { return nil }
        var stream = FrameStream(logID: metadata.logID, epochs: epochs, start: records.first)
        do throws(WALError) {
            let begun = try stream.add(raw[Int(records.first.distance(from: metadata.start))...])
            let said = FrameStream.Begun(first: records.first, last: records.last, count: records.count)
            return begun == said ? nil : AuditChain.difference(begun, said)
        } catch {
            return "a record does not verify: \(error)"
        }
    }

    private func table(_ metadata: ObjectMetadata) -> EpochTable? { place.epochs ?? EpochTable(metadata.ancestry) }

    private static func difference(_ begun: FrameStream.Begun?, _ said: FrameStream.Begun?) -> String {
        func words(_ begun: FrameStream.Begun?) -> String { begun.map { "\($0.count) records from LSN \($0.first) to \($0.last)" } ?? "no record" }
        return "\(words(begun)) begin in it, and it says \(words(said))"
    }

    // MARK: The end

    /// Only what lies in segments need not be read again, and of them the last is where a frame goes on.
    private mutating func noteResume(_ metadata: ObjectMetadata, isOpened: Bool) {
        guard metadata.kind == .segment else { return }
        recent.append(metadata.start..<metadata.end)
        guard let frames, isOpened else {
            recent = []
            resume = metadata.end
            return
        }
        recent.removeAll { $0.upperBound <= frames.position }
        resume = recent.first?.lowerBound ?? metadata.end
    }
}
