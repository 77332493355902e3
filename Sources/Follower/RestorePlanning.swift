import Archive
import WAL

/// Has a plan made: answers what the planner asks, from a listing where the store has one, else name by name, with few requests.
struct RestorePlanning {
    private let group: ArchiveGroup
    private var planner: RestorePlanner
    /// What was listed of an archive's epochs; nil inside: it cannot be.
    private var names: [Place: ArchiveNames?] = [:]

    private struct Place: Hashable {
        let archive: Int
        let epoch: EpochName
    }

    init(_ group: ArchiveGroup, _ plan: RestorePlan) throws(ArchiveError) {
        self.group = group
        planner = RestorePlanner(plan, try group.members)
    }

    /// Throws what `RestorePlanner.next` throws; for a time, also `AmbiguousTime`.
    mutating func run() async throws -> RestorePlan {
        while true {
            if Task.isCancelled { throw ArchiveError(.cancelled, "cancelled") }
            switch try planner.next() {
            case .done(let plan):
                if case .time(let time) = plan.target { return try await cut(plan, at: time) }
                return plan
            case .ask(let archive, let ask):
                do throws(ArchiveError) {
                    let (answer, facts) = try await answer(archive, ask)
                    planner.answer(answer, facts: facts)
                } catch {
                    try failed(error)
                }
            case .facts(let link):
                do throws(ArchiveError) {
                    planner.answer(try await facts(link))
                } catch {
                    try failed(error)
                }
            }
        }
    }

    private mutating func failed(_ error: ArchiveError) throws(ArchiveError) {
        if error.code == .cancelled { throw error }
        planner.failed(error)
    }

    private mutating func answer(
        _ archive: Int, _ ask: ArchiveChain.Ask
    ) async throws(ArchiveError) -> (ArchiveChain.Answer, RestorePlan.Facts?) {
        let reader = group.readers[archive]
        guard case .object(let identity, let isEncrypted) = ask.about else { return (try await reader.answer(ask), nil) }
        if ask.isFirst, let names = try await names(archive, ask.source.epoch) {
            switch names.has(reader.layout.object(identity, isEncrypted: isEncrypted), identity.kind) {
            case false: return (.nothing, nil)
            // Where a segment ends its name says; where a tail does, only itself.
            case true where identity.kind == .segment:
                return (.object(end: try reader.outline.segmentEnd(ask.position)), nil)
            default: break
            }
        }
        guard let found = try await reader.object(identity, isEncrypted: isEncrypted, ask.source, .metadata) else { return (.nothing, nil) }
        return (.object(end: found.metadata.end), RestorePlan.Facts(found.metadata))
    }

    private mutating func names(_ archive: Int, _ epoch: EpochName) async throws(ArchiveError) -> ArchiveNames? {
        let place = Place(archive: archive, epoch: epoch)
        if let known = names[place] { return known }
        let found = try await group.readers[archive].names(of: epoch)
        names[place] = .some(found)
        return found
    }

    /// What an object that is there says about itself.
    private func facts(_ link: RestorePlan.Link) async throws(ArchiveError) -> RestorePlan.Facts {
        let reader = group.readers[link.archive]
        guard let found = try await reader.object(link.link.identity, isEncrypted: link.link.isEncrypted, link.link.source, .metadata) else {
            throw ArchiveError(
                .gap, "the object was there a moment ago", key: reader.layout.object(link.link.identity, isEncrypted: link.link.isEncrypted),
                lsn: link.range.lowerBound, hint: "begin again")
        }
        return RestorePlan.Facts(found.metadata)
    }

    /// Asks the first and the last encrypted object of each epoch for its key: those between mostly have the same ones, and say so when they are downloaded.
    func askForKeys(_ plan: inout RestorePlan) async throws(ArchiveError) {
        var edges: [Place: (first: Int, last: Int)] = [:]
        for (index, link) in plan.links.enumerated() where link.link.isEncrypted {
            let place = Place(archive: link.archive, epoch: link.link.source.epoch)
            edges[place] = (edges[place]?.first ?? index, index)
        }
        for index in Set(edges.values.flatMap { [$0.first, $0.last] }) where plan.links[index].facts == nil {
            plan.links[index].facts = try await facts(plan.links[index])
        }
    }

    // MARK: A time

    /// Ends the plan with what was durable at `time`.
    private func cut(_ plan: RestorePlan, at time: UInt64) async throws -> RestorePlan {
        var plan = plan
        var search = TimeSearch(time: time, count: plan.links.count, last: planner.brokenBy == nil ? try await lastWord(plan) : nil)
        while let index = search.next() {
            let facts: RestorePlan.Facts
            if let known = plan.links[index].facts { facts = known } else { facts = try await self.facts(plan.links[index]) }
            plan.links[index].facts = facts
            // An object may begin before what is used of it, and go on past it.
            let range = plan.links[index].range
            search.know(index, facts.times.filter { $0.lsn > range.lowerBound && $0.lsn <= range.upperBound })
        }
        switch search.result {
        case .found(let lsn):
            plan.target = .before(lsn)
            plan.leaveOut(from: lsn)
            return plan
        case .ambiguous(let candidates): throw AmbiguousTime(time: time, candidates: candidates)
        case .tooEarly(let first):
            throw ArchiveError(
                .notFound,
                first.map { "the archive begins later than \(RFC3339.text(time)): the first time it knows is \(RFC3339.text($0.time))" }
                    ?? "the archive knows no times",
                lsn: first?.lsn, hint: "ask for a later time, or for an LSN with --at")
        case .tooLate(let last):
            if let why = planner.brokenBy { throw why }
            throw ArchiveError(
                .notFound, "the archive does not reach to \(RFC3339.text(time)): the last time it knows is \(RFC3339.text(last.time))",
                lsn: last.lsn, hint: "ask for an earlier time, or leave --at-time out for everything")
        }
    }

    /// When the archive's end, or a place near it, was all that was durable, as a head document says.
    private func lastWord(_ plan: RestorePlan) async throws(ArchiveError) -> ObjectMetadata.CommitTime? {
        guard let last = plan.links.last else { return nil }
        let epoch = last.link.source.epoch
        // Where more was durable, nobody knows since when.
        guard let head = try await group.readers[last.archive].access.head(epoch), head.epoch == epoch, head.durable == head.archived else { return nil }
        // One that is ahead has seen more than the plan, and does not say since when.
        guard head.archived <= plan.end else { return nil }
        return ObjectMetadata.CommitTime(time: head.time, lsn: head.archived)
    }
}
