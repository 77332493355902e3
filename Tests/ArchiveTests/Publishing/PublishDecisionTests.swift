import Testing
import WAL

@testable import Archive

@Suite struct PublishDecisionTests {
    private typealias Step = PublishDecision.Step

    static let writeErrors = [
        ArchiveError(.unreachable, "no connection"), ArchiveError(.unreachable, "no reply", outcome: .unknown),
        ArchiveError(.refused(status: 400), "no"), ArchiveError(.refused(status: 400), "no, perhaps", outcome: .unknown),
        ArchiveError(.cancelled, "cancelled", outcome: .unknown),
    ]
    static let lookErrors = [ArchiveError(.busy(status: 503), "busy"), ArchiveError(.unauthorized(status: 403), "no")]
    static let sights: [PublishDecision.Sight] = [
        .nothing, .ours, .broken(ArchiveError(.damaged, "broken")), .foreign(ArchiveError(.diverged, "foreign")),
    ]

    /// Walks every sequence of events up to a depth, and checks each step against what was really seen.
    @Test func invariantsHoldOverAllSequencesOfEvents() {
        var visited = 0
        var ended = 0
        walk(PublishDecision(), PublishDecision().start(), History(), depth: 11, &visited, &ended)
        #expect(visited > 50_000 && ended > 10_000, "\(visited) steps, \(ended) ends")
    }

    /// What an onlooker knows.
    private struct History {
        var lastSight: PublishDecision.Sight?
        var mayBeThere = false
        var writes = 0
        var waits = 0
        var looks = 0
    }

    private func walk(
        _ decision: PublishDecision, _ step: Step, _ history: History, depth: Int, _ visited: inout Int, _ ended: inout Int
    ) {
        visited += 1
        // Without waiting, which is bounded by patience, it ends.
        let bound = 3 * (PublishDecision.contradictionsMax + 3)
        if history.waits == 0, history.looks + history.writes > bound { Issue.record("no end after \(history)") }
        switch step {
        case .finish:
            ended += 1
            if history.lastSight != .ours { Issue.record("published without having seen it: \(history)") }
        case .fail(let error):
            ended += 1
            if history.mayBeThere, error.outcome == .notDone, error.code != .diverged, error.code != .refused(status: 400) {
                Issue.record("\(error) hides that it may be there: \(history)")
            }
        case .replace:
            if case .broken = history.lastSight {} else { Issue.record("replaces what it did not see broken: \(history)") }
            fallthrough
        case .create, .confirm, .look, .wait:
            guard depth > 0 else { return }
            for (next, nextStep, nextHistory) in successors(decision, step, history) {
                walk(next, nextStep, nextHistory, depth: depth - 1, &visited, &ended)
            }
        }
    }

    private func successors(
        _ decision: PublishDecision, _ step: Step, _ history: History
    ) -> [(PublishDecision, Step, History)] {
        var results: [(PublishDecision, Step, History)] = []
        func add(_ change: (inout PublishDecision) -> Step, _ note: (inout History) -> Void) {
            var next = decision
            var noted = history
            let nextStep = change(&next)
            note(&noted)
            results.append((next, nextStep, noted))
        }
        switch step {
        case .create, .replace:
            for outcome in step == .create ? [CreateOutcome.created, .exists] : [.created] {
                add({ step == .create ? $0.created(outcome) : $0.replaced() }) {
                    $0.mayBeThere = true
                    $0.lastSight = nil
                    $0.writes += 1
                }
            }
            for error in Self.writeErrors {
                add({ $0.writeFailed(error, in: step) }) {
                    if error.outcome == .unknown { $0.mayBeThere = true }
                    $0.lastSight = nil
                    $0.writes += 1
                }
            }
        case .confirm, .look:
            for sight in Self.sights {
                add({ $0.saw(sight) }) {
                    $0.lastSight = sight
                    $0.looks += 1
                }
            }
            for error in Self.lookErrors { add({ $0.lookFailed(error, in: step) }) { $0.looks += 1 } }
        case .wait:
            add({ $0.resume() }) { $0.waits += 1 }
        case .finish, .fail:
            break
        }
        return results
    }

    @Test func storeThatKeepsNothingIsNamedAfterAFewRounds() {
        var decision = PublishDecision()
        var step = decision.start()
        var creates = 0
        while step == .create {
            creates += 1
            #expect(decision.created(.created) == .confirm)
            step = decision.saw(.nothing)
        }
        guard case .fail(let error) = step else { return #expect(Bool(false), "\(step)") }
        #expect(creates == PublishDecision.contradictionsMax + 1)
        #expect(error.code == .damaged && error.outcome == .unknown && error.hint?.contains("does not keep") == true)
    }

    @Test func lostRequestsAreNoContradiction() {
        var decision = PublishDecision()
        for _ in 0..<100 {
            let lost = decision.writeFailed(ArchiveError(.unreachable, "no reply", outcome: .unknown), in: .create)
            guard case .wait = lost else { return #expect(Bool(false), "\(lost)") }
            #expect(decision.resume() == .look)
            #expect(decision.saw(.nothing) == .create)
        }
        #expect(decision.created(.created) == .confirm)
        #expect(decision.saw(.ours) == .finish(.created))
    }
}
