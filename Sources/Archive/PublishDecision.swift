/// What to do next while one object is being published: a value that is told what happened and never forgets what may have
/// happened. `Publisher` does what it says.
///
/// Invariants, tested over all sequences of events: it is published only when a look or a confirmation after the last attempt
/// showed our bytes; something is replaced only directly after a look showed that it fails its own checks; every sequence
/// ends, because waits are bounded by the caller's patience and everything else by `contradictionsMax`.
struct PublishDecision {
    enum Step: Hashable, Sendable {
        /// Create the object.
        case create
        /// After a confirmed create: make sure with the cheapest look that this store allows.
        case confirm
        /// Fetch what is there and compare it.
        case look
        /// Replace what was just seen to fail its own checks.
        case replace
        /// Wait as long as this error asks for, then do `resume`; give up with it when patience ends.
        case wait(ArchiveError)
        case finish(Published.How)
        case fail(ArchiveError)
    }

    /// What is at the key.
    enum Sight: Hashable, Sendable {
        case nothing
        /// Intact, and our range with our digest under our epoch.
        case ours
        /// Cut short, or failing its own checks.
        case broken(ArchiveError)
        /// Intact and not ours, or of a format that we cannot judge.
        case foreign(ArchiveError)
    }

    /// How often a look may contradict what the store said just before (stored, and nothing or something broken is there;
    /// something is there, and nothing is) before the store is not to be worked with.
    static let contradictionsMax = 3

    /// What the store said last about the key, before a look.
    private enum Statement { case nothing, stored, somethingIsThere }

    private(set) var contradictions = 0
    /// Whether a write of ours may be there.
    private(set) var mayBeThere = false
    private var statement = Statement.nothing
    private var hasReplaced = false
    private var pending: ArchiveError?
    private var afterWait = Step.create

    /// The first step.
    func start() -> Step { .create }

    /// The store answered a create.
    mutating func created(_ outcome: CreateOutcome) -> Step {
        mayBeThere = true
        switch outcome {
        case .created:
            statement = .stored
            return .confirm
        case .exists:
            statement = .somethingIsThere
            return .look
        }
    }

    /// The store confirmed a replace.
    mutating func replaced() -> Step {
        mayBeThere = true
        statement = .stored
        return .look
    }

    /// A create or replace failed. Whatever it was, a look comes before the next replace.
    mutating func writeFailed(_ error: ArchiveError, in step: Step) -> Step {
        precondition(step == .create || step == .replace, "no write is under way")
        statement = .nothing
        if error.outcome == .unknown { mayBeThere = true }
        if error.code == .cancelled { return fail(error) }
        if error.isRetryable {
            return wait(error, then: error.outcome == .notDone && step == .create && !mayBeThere ? .create : .look)
        }
        guard error.outcome == .unknown, pending == nil else { return fail(pending ?? error) }
        // It will not get better, but it may have been done all the same.
        pending = error
        return .look
    }

    /// A look or confirmation failed.
    mutating func lookFailed(_ error: ArchiveError, in step: Step) -> Step {
        precondition(step == .look || step == .confirm, "no look is under way")
        return error.isRetryable ? wait(error, then: step) : fail(error)
    }

    /// A look or confirmation succeeded.
    mutating func saw(_ sight: Sight) -> Step {
        switch sight {
        case .ours:
            return .finish(hasReplaced ? .replaced : statement == .stored ? .created : .adopted)
        case .foreign(let error):
            return .fail(error)
        case .nothing:
            if let pending { return .fail(pending) }
            return again(
                .create, isContradiction: statement != .nothing,
                ArchiveError(.damaged, "the store says that the object is there, and nothing is"))
        case .broken(let error):
            hasReplaced = true
            return again(.replace, isContradiction: statement == .stored, error)
        }
    }

    /// The caller has waited. The step to go on with.
    func resume() -> Step { afterWait }

    private mutating func again(_ step: Step, isContradiction: Bool, _ error: ArchiveError) -> Step {
        if isContradiction {
            contradictions += 1
            guard contradictions <= PublishDecision.contradictionsMax else {
                var error = error
                error.hint = "the store does not keep what it is given: check it before anything else is archived there"
                return fail(error)
            }
        }
        statement = .nothing
        return step
    }

    private mutating func wait(_ error: ArchiveError, then step: Step) -> Step {
        afterWait = step
        return .wait(error)
    }

    /// What may be there is said with every failure.
    private func fail(_ error: ArchiveError) -> Step { .fail(withOutcome(error)) }

    /// The error with which patience ends, with what may be there.
    func withOutcome(_ error: ArchiveError) -> ArchiveError {
        var error = error
        if mayBeThere { error.outcome = .unknown }
        return error
    }
}
