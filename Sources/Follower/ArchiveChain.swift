import Archive
import WAL

/// Which objects hold the log from a position on, one behind the other, as a value without any I/O: it asks what it has to know, by the reading rule,
/// and is told; then it gives the next link, the end, or where and why it does not go on.
///
/// The links have no holes between them. Whoever answers may look at the store, or, where `Ask.isFirst`, into a listing that was made before.
struct ArchiveChain: Hashable, Sendable {
    struct Ask: Hashable, Sendable {
        enum About: Hashable, Sendable {
            /// Whether this object is there, and where it ends.
            case object(ObjectIdentity, isEncrypted: Bool)
            /// Which names the objects of the epoch have.
            case names
            /// The gap document that begins at the position.
            case gap
            case floor
            case head
            /// Whether anything of the epoch begins at the position or past it.
            case listing
        }

        let about: About
        let source: EpochLine.Source
        let position: LSN
        /// Nothing was found missing here yet, so that the answer may be as old as a listing. What is asked after that wants to know how it is now.
        let isFirst: Bool
    }

    enum Answer: Hashable, Sendable {
        case nothing
        case object(end: LSN)
        case names(ObjectNaming)
        case gap(end: LSN, reason: String)
        case floor(objectStart: LSN)
        case head(archived: LSN)
        /// Whether anything begins at the position or past it.
        case listing(isMore: Bool)
        case cannotList
    }

    enum Step: Hashable, Sendable {
        case ask(Ask)
        case link(ArchiveLink)
        /// Of what is archived, as far as is known. What has come since is found by going on.
        case end
        case broken(ChainBreak)
    }

    private enum State: Hashable, Sendable {
        case asking(Ask)
        case found(Step)
        case failed(ArchiveError)
    }

    /// Which names the objects of the epoch have that was read last.
    private struct Names: Hashable, Sendable {
        let epoch: EpochName
        let naming: ObjectNaming
    }

    private let outline: ArchiveOutline
    /// Where the next link begins.
    private(set) var position: LSN
    /// Where to go on where the chain breaks or ends below: what lies before it in its segment may be a gap, and is not asked for.
    private let resume: LSN
    /// Where a gap ends that was crossed before: an object may begin there.
    private let gapEnd: LSN
    private var names: Names?
    private var rule: ReadingRule
    private var probe: ReadingRule.Probe
    /// Probes of the rule at this position, this one included.
    private var probes = 1
    /// Objects that may be what the probe looks for, after the one that is asked for.
    private var others: ArraySlice<Ask.About> = []
    private var state: State

    /// Probes before the rule asks for anything a second time: the segment, and tails of each level.
    private static let firstProbes = 2 + ArchiveLimits.tailLevelMax

    init(_ outline: ArchiveOutline, start: LSN, resume: LSN, gapEnd: LSN? = nil) {
        precondition(start >= outline.line.start, "a chain begins in the line")
        self.outline = outline
        self.resume = resume
        self.gapEnd = gapEnd ?? resume
        position = start
        rule = ReadingRule(mustGoOn: false)
        probe = rule.first
        state = .found(.end)
        begin()
    }

    /// Looks for what is at the position, anew.
    mutating func begin() {
        rule = ReadingRule(mustGoOn: source.clip != nil)
        probe = rule.first
        probes = 1
        if names?.epoch == source.epoch { askForProbe() } else { ask(.names) }
    }

    /// Looks for an object of this kind first, whatever the rule would look for.
    mutating func begin(with kind: ObjectMetadata.Kind) {
        begin()
        probe = if case .tail(let level) = kind { .tail(level: level) } else { .segment }
        if names?.epoch == source.epoch { askForProbe() }
    }

    /// Whether more names may hold what is asked for.
    var hasOthers: Bool { !others.isEmpty }

    private var source: EpochLine.Source {
        guard let source = outline.line.source(at: position) else { preconditionFailure("a chain stays in its line") }
        return source
    }

    private var naming: ObjectNaming { names?.naming ?? .plain }

    /// The same question until it is answered. After a link the chain stands behind it; after an end or a break it stands where it stood, and begins
    /// there again. Throws `.damaged` for an object that does not end where one can.
    mutating func next() throws(ArchiveError) -> Step {
        switch state {
        case .asking(let ask): return .ask(ask)
        case .failed(let error):
            begin()
            throw error
        case .found(let step):
            if case .link(let link) = step { position = link.range.upperBound }
            begin()
            return step
        }
    }

    /// What the question of the last `next` came to.
    mutating func answer(_ answer: Answer) {
        guard case .asking(let ask) = state else { preconditionFailure("nothing was asked") }
        switch (ask.about, answer) {
        case (.names, .names(let naming)): named(naming)
        case (.object, .nothing) where !others.isEmpty: self.ask(others.removeFirst())
        case (.object(let identity, let isEncrypted), .object(let end)): found(identity, isEncrypted, end: end)
        case (.gap, .gap(let end, let reason)): conclude(.broken(ChainBreak(position: position, epoch: source.epoch, reason: .givenUp(end: end, reason: reason), key: outline.layout.gap(source.epoch, start: position))))
        default: told(ArchiveChain.ruleAnswer(answer, at: position))
        }
    }

    /// How the rule takes it.
    private static func ruleAnswer(_ answer: Answer, at position: LSN) -> ReadingRule.Answer {
        switch answer {
        case .nothing: .absent
        case .floor(let objectStart): objectStart > position ? .present : .absent
        case .head(let archived): archived > position ? .present : .atEnd
        case .listing(let isMore): isMore ? .present : .absent
        case .cannotList: .unsupported
        case .object, .gap, .names: preconditionFailure("an answer to another question")
        }
    }

    private mutating func told(_ answer: ReadingRule.Answer) {
        let epoch = source.epoch
        func stop(_ reason: ChainBreak.Reason, _ key: ObjectKey) -> Step {
            .broken(ChainBreak(position: position, epoch: epoch, reason: reason, key: key))
        }
        switch rule.found(answer) {
        case .probe(let next):
            probe = next
            probes += 1
            askForProbe()
        case .read, .givenUp: preconditionFailure("what was found is said with where it ends")
        case .end: conclude(.end)
        case .pruned: conclude(stop(.pruned, outline.layout.floor))
        case .unproven: conclude(stop(.unproven, outline.layout.head(epoch)))
        case .missing:
            let start = segmentStarts[0]
            conclude(stop(.missing, outline.layout.segment(epoch, start: start, isEncrypted: naming.forms(start: start)[0])))
        }
    }

    private mutating func named(_ new: ObjectNaming) {
        let isFirst = names?.epoch != source.epoch
        let isChanged = !isFirst && naming != new
        names = Names(epoch: source.epoch, naming: new)
        if isFirst { askForProbe() } else { told(isChanged ? .present : .absent) }
    }

    private mutating func ask(_ about: Ask.About) {
        state = .asking(Ask(about: about, source: source, position: position, isFirst: probes <= Self.firstProbes))
    }

    private mutating func askForProbe() {
        switch probe {
        case .segment: askFor(segmentStarts.flatMap { objects(.segment, start: $0) })
        case .tail(let level): askFor(objects(.tail(level: level), start: position))
        case .names:
            // Told once and not changed: where some are encrypted, that is all there is to know.
            if naming == .plain { ask(.names) } else { told(.absent) }
        case .gap: ask(.gap)
        case .floor: ask(.floor)
        case .head: ask(.head)
        case .listing: ask(.listing)
        }
    }

    private mutating func askFor(_ objects: [Ask.About]) {
        others = objects[1...]
        ask(objects[0])
    }

    private func objects(_ kind: ObjectMetadata.Kind, start: LSN) -> [Ask.About] {
        naming.forms(start: start).map { .object(outline.identity(kind, source.epoch, start: start), isEncrypted: $0) }
    }

    /// Where the segment object that holds the position may begin. The archive's first object may begin inside a segment, and so may one after a gap.
    private var segmentStarts: [LSN] {
        let start = max(outline.segmentStart(position), source.start)
        var starts = [start]
        for other in [outline.firstObject, gapEnd, resume] where other > start && other <= position && !starts.contains(other) { starts.append(other) }
        return starts
    }

    private mutating func found(_ identity: ObjectIdentity, _ isEncrypted: Bool, end: LSN) {
        let segmentEnd = outline.segmentEnd(position)
        guard end > position, identity.kind == .segment ? end == segmentEnd : end <= segmentEnd else {
            state = .failed(
                ArchiveError(
                    .damaged, "the object ends at LSN \(end), which is not where one that begins at \(identity.start) ends",
                    key: outline.layout.object(identity, isEncrypted: isEncrypted), lsn: position))
            return
        }
        let used = source.clip.map { min($0, end) } ?? end
        state = .found(
            .link(ArchiveLink(identity: identity, isEncrypted: isEncrypted, range: position..<used, objectEnd: end, source: source)))
    }

    private mutating func conclude(_ step: Step) {
        // What lies below the place from which the log is wanted may be gone, or never have been there.
        if position < resume {
            position = resume
            begin()
        } else {
            state = .found(step)
        }
    }
}
