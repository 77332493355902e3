import Archive
import WAL

/// Decides which objects a restore takes, without any I/O: it asks about one archive or another, and is told.
///
/// At each position the archives are asked in the order of preference; the first that goes on there gives the next link. What is missing in one is taken from
/// another, whatever their objects' limits are. Where none goes on, the plan is complete if all of them end, and fails where one breaks. One that has ended
/// is asked again only where the others do not go on: a copy that was made last night costs nothing for what came since.
struct RestorePlanner: Sendable {
    /// One archive of the log.
    struct Member: Sendable {
        let outline: ArchiveOutline
        /// Where the log leaves this archive's history: epochs that it does not know begin here. Nil: it knows all.
        let limit: LSN?
        var chain: ArchiveChain?
        /// Why it cannot be asked any more; nil: it can.
        var away: ArchiveError?
        /// Where it ended when it was asked last.
        var end: LSN?
        /// Where the last gap ends that it told of: an object may begin there.
        var gapEnd: LSN?

        init(_ outline: ArchiveOutline, limit: LSN?) {
            self.outline = outline
            self.limit = limit
        }
    }

    enum Step: Sendable {
        case ask(archive: Int, ArchiveChain.Ask)
        /// What the metadata of this link says is needed.
        case facts(RestorePlan.Link)
        case done(RestorePlan)
    }

    private var members: [Member]
    private var plan: RestorePlan
    private var position: LSN
    private var isComplete = false
    /// The archive that is asked.
    private var current = 0
    /// Those are asked, too, that had ended before.
    private var asksEnded = false
    /// Why archives do not go on at the position.
    private var failures: [RestorePlan.Problem] = []
    /// Where the first archive begins that has nothing so low as the position.
    private var laterStart: LSN?
    /// What is known of the object that was asked for last.
    private var facts: RestorePlan.Facts?
    /// A link whose facts are asked for.
    private var pending: RestorePlan.Link?
    /// Why a plan for a time ends where it does, where that is a break: what is wanted may lie below.
    private(set) var brokenBy: ArchiveError?

    /// `plan` has no links yet. `members` are in the order of preference; the plan's epochs are those of the longest line.
    init(_ plan: RestorePlan, _ members: [Member]) {
        precondition(plan.links.isEmpty, "a plan that is begun")
        self.plan = plan
        self.members = members
        position = plan.head
    }

    /// The next question, the same until it is answered, or the plan. Throws `.gap`, `.endUnproven`, `.damaged` and the like where no archive goes on and
    /// one should.
    mutating func next() throws(ArchiveError) -> Step {
        while true {
            if let pending { return .facts(pending) }
            if isComplete { return .done(plan) }
            if current < members.count {
                if let ask = step() { return .ask(archive: current, ask) }
                continue
            }
            if !asksEnded {
                (asksEnded, current) = (true, 0)
                continue
            }
            if let failure = whyNot() {
                guard case .time = plan.target else { throw failure }
                brokenBy = failure
            }
            keepProblems()
            isComplete = true
        }
    }

    /// Why nobody goes on at the position; nil: the log ends there.
    private func whyNot() -> ArchiveError? {
        if let failure = failures.first(where: { members[$0.archive].away == nil }) { return failure.error }
        // One that cannot be reached may hold more, but another one that ends here is an end: unless the log leaves its history, and goes on elsewhere.
        let isEnd = members.contains { $0.away == nil && $0.limit == nil && $0.end == position }
        if !isEnd, let away = members.lazy.compactMap(\.away).first { return away }
        return laterStart.map { start in
            ArchiveError(
                .gap, "nothing is archived from here to LSN \(start), where the next archive begins", lsn: position,
                hint: "restore what follows it with --from \(start), or what precedes it with --before \(position)")
        }
    }

    mutating func answer(_ answer: ArchiveChain.Answer, facts: RestorePlan.Facts? = nil) {
        self.facts = facts
        members[current].chain?.answer(answer)
    }

    /// What the link says about itself that `.facts` asked for.
    mutating func answer(_ facts: RestorePlan.Facts) {
        guard var link = pending else { preconditionFailure("no facts were asked for") }
        link.facts = facts
        pending = nil
        add(link)
    }

    /// The archive that was asked could not answer. Where it cannot be reached, it is not asked again.
    mutating func failed(_ error: ArchiveError) {
        pending = nil
        if error.isOfTheStore { members[current].away = error }
        skip(error)
    }

    /// Goes on with the current archive; a question, or nil where something was decided.
    private mutating func step() -> ArchiveChain.Ask? {
        let member = members[current]
        let isDue = asksEnded ? member.end.map { $0 < position } ?? false : member.end == nil
        if !isDue || member.away != nil || member.limit.map({ $0 <= position }) ?? false {
            skip(nil)
            return nil
        }
        guard var chain = member.chain ?? member.outline.chain(from: position, gapEnd: [member.gapEnd, plan.from].compactMap { $0 }.max()) else {
            laterStart = min(laterStart ?? member.outline.firstRecord, member.outline.firstRecord)
            skip(nil)
            return nil
        }
        do throws(ArchiveError) {
            let step = try chain.next()
            members[current].chain = chain
            switch step {
            case .ask(let ask): return ask
            case .link(let link): take(link)
            case .end:
                members[current].end = position
                skip(nil)
            case .broken(let why):
                if case .givenUp(let end, _) = why.reason { members[current].gapEnd = end }
                skip(why.error)
            }
        } catch {
            skip(error)
        }
        return nil
    }

    private mutating func take(_ link: ArchiveLink) {
        // What lies before the position only shows what begins there.
        guard link.range.upperBound > position else { return }
        var link = link
        let end = members[current].limit.map { min($0, link.range.upperBound) } ?? link.range.upperBound
        link.range = position..<end
        let planned = RestorePlan.Link(
            archive: current, link: link, facts: facts,
            key: members[current].outline.layout.object(link.identity, isEncrypted: link.isEncrypted))
        if plan.target.isReached(end: end, facts: facts) == nil { pending = planned } else { add(planned) }
    }

    private mutating func add(_ link: RestorePlan.Link) {
        plan.links.append(link)
        keepProblems()
        members[current].end = nil
        position = link.range.upperBound
        isComplete = plan.target.isReached(end: position, facts: link.facts) ?? false
        for index in members.indices where members[index].chain?.position != position { members[index].chain = nil }
        (current, asksEnded, failures, laterStart, facts) = (0, false, [], nil, nil)
    }

    private mutating func keepProblems() {
        for failure in failures where !plan.problems.contains(failure) { plan.problems.append(failure) }
    }

    /// The current archive does not go on here.
    private mutating func skip(_ error: ArchiveError?) {
        if let error { failures.append(RestorePlan.Problem(archive: current, error: error)) }
        members[current].chain = nil
        facts = nil
        current += 1
    }
}

extension ArchiveError {
    /// Nothing is wrong with what was asked for, as far as is known: the store does not answer, or not this user.
    var isOfTheStore: Bool {
        switch code {
        case .unreachable, .refused, .unauthorized, .busy, .outOfSpace: true
        default: false
        }
    }
}
