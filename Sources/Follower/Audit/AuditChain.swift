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
    }

    /// What is known of the epoch before its objects are read.
    struct Place: Sendable {
        let epoch: EpochName
        let layout: Layout
        let keys: KeyRing
        /// Nil where log.json cannot be read: then nothing says where an object has to end.
        let segmentSize: UInt64?
        /// Where it begins here, as start.json says; nil where that cannot be read.
        let start: LSN?
        /// Whose frames may be in it; nil as above.
        let epochs: EpochTable?
        let gaps: [LSN: GapDocument]
        /// Readers of the newest epoch come here, up to `clip`, where another takes over.
        let isInLine: Bool
        let clip: LSN?
        let head: HeadDocument?
    }

    private let place: Place
    /// Where the next object begins that readers come to.
    private(set) var position: LSN
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
    /// Below, gaps are known.
    private let begin: LSN

    /// `frames`: what the epoch that this one goes on from ends with.
    init(_ place: Place, begin: LSN, frames: FrameStream?, branches: [LSN]) {
        self.place = place
        self.begin = begin
        self.frames = frames?.end == begin ? frames : nil
        self.branches = branches.sorted()
        position = begin
        resume = begin
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

    mutating func take(_ item: ArchiveInventory.Item, _ content: Content) -> [AuditFinding] {
        let object = item.object
        switch content {
        case .gone: return []
        case .faulty(let error):
            noteFaulty(object)
            return [AuditFinding(.damage, error.message, key: place.layout.key(object), object: object, lsn: object.start)]
        case .whole(let metadata, let raw):
            if let problem = misfit(metadata) {
                noteFaulty(object)
                return [AuditFinding(.damage, problem, key: place.layout.key(object), object: object, lsn: object.start)]
            }
            var findings = compareDigest(object, metadata, raw)
            if item.isRead, metadata.end > position {
                findings += goOn(to: metadata.start)
                findings += extend(object, metadata, raw)
            } else if let problem = checkAlone(metadata, raw) {
                findings.append(AuditFinding(.damage, problem, key: place.layout.key(object), object: object, lsn: object.start))
            }
            return findings
        }
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
            guard let known = place.epochs?.epochs.first(where: { $0.number == ancestor.number }), known.id != ancestor.id else { continue }
            return "its epoch \(ancestor.number) is \(ancestor.id), start.json's is \(known.id)"
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

    /// From the position over gaps and holes to where something begins.
    private mutating func goOn(to start: LSN) -> [AuditFinding] {
        var findings: [AuditFinding] = []
        while position < start {
            if let gap = place.gaps[position] {
                if let finding = report(gap) { findings.append(finding) }
                position = gap.end
            } else {
                findings += missing(position..<start, isListedPast: true)
                position = start
            }
            frames = nil
        }
        return findings
    }

    private func report(_ gap: GapDocument) -> AuditFinding? {
        guard place.isInLine, gap.start >= begin, place.clip.map({ gap.start < $0 }) ?? true else { return nil }
        return AuditFinding(
            .gap, "the range was given up: \(gap.reason)", key: place.layout.gap(place.epoch, start: gap.start), lsn: gap.start, end: gap.end)
    }

    /// A hole is none where something faulty lies in it, which was reported, and where readers do not come: behind another epoch's start, and behind
    /// what the head says, where uploads are under way.
    private mutating func missing(_ range: Range<LSN>, isListedPast: Bool) -> [AuditFinding] {
        guard place.isInLine, !range.isEmpty else { return [] }
        var range = range
        if let clip = place.clip {
            guard range.lowerBound < clip else { return [] }
            range = range.lowerBound..<min(range.upperBound, clip)
        } else if let head = place.head {
            guard range.lowerBound < head.archived else { return [] }
        } else if !isListedPast {
            return []
        }
        var findings: [AuditFinding] = []
        var position = range.lowerBound
        func add(_ end: LSN) {
            guard position < end else { return }
            findings.append(AuditFinding(.missing, "nothing is here although the archive goes on", lsn: position, end: end))
        }
        for bad in faulty where bad.overlaps(range) {
            add(bad.lowerBound)
            position = max(position, bad.upperBound)
        }
        add(range.upperBound)
        faulty.removeAll { $0.upperBound <= range.upperBound }
        return findings
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
        return []
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
        }
        guard var stream = frames else { return nil }
        var begun: FrameStream.Begun?
        for end in branches.filter({ $0 > from && $0 < metadata.end }) + [metadata.end] {
            let part = raw[Int(from.distance(from: metadata.start))..<Int(end.distance(from: metadata.start))]
            if let more = try stream.add(part) {
                begun = FrameStream.Begun(first: begun?.first ?? more.first, last: more.last, count: (begun?.count ?? 0) + more.count)
            }
            if branches.contains(end) { snapshots[end] = stream }
            from = end
        }
        frames = stream
        return isWhole ? .some(begun) : nil
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

    /// What is missing behind the last object.
    mutating func finish() -> [AuditFinding] {
        var findings: [AuditFinding] = []
        while let gap = place.gaps[position] {
            if let finding = report(gap) { findings.append(finding) }
            position = gap.end
        }
        guard let end = place.clip ?? place.head?.archived, end > position else { return findings }
        return findings + missing(position..<end, isListedPast: false)
    }
}
