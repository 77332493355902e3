import Archive
import TestSupport
import Testing

@testable import Follower

/// What a follower asks for when, without an archive.
@Suite struct FollowPlanTests {
    /// Runs the plan of somebody for whom nothing comes, and counts what it asks for: looks, whole readings, surveys.
    private func idle(_ plan: inout FollowPlan, from start: Double, seconds: Double) -> (looks: Int, readings: Int, surveys: Int, end: Double) {
        var (now, looks, readings, surveys) = (start, 0, 0, 0)
        while now < start + seconds {
            switch plan.next(now: now) {
            case .open: plan.opened(isBehind: false, now: now)
            case .look:
                looks += 1
                plan.missed(now: now)
            case .readOn:
                readings += 1
                plan.ended(now: now)
            case .survey:
                surveys += 1
                plan.surveyed(goesOn: false)
            case .wait(let seconds):
                #expect(seconds > 0)
                now += seconds
            }
        }
        return (looks, readings, surveys, now)
    }

    private func expect(_ plan: inout FollowPlan, _ now: Double, _ step: FollowPlan.Step, at location: SourceLocation = #_sourceLocation) {
        let next = plan.next(now: now)
        #expect(next == step, sourceLocation: location)
    }

    @Test(arguments: [0.05, 1.0]) func whereNothingComesOneRequestAnIntervalIsAskedFor(interval: Double) {
        var plan = FollowPlan(interval: interval)
        let first = idle(&plan, from: 100, seconds: 60)
        #expect(first.looks <= Int(60 / interval) + 2 * FollowPlan.activeRounds)
        #expect(first.looks >= Int(0.8 * 60 / interval))
        #expect(first.readings <= 3 && first.surveys <= 13)
        // And less after a while, but never nothing.
        let later = idle(&plan, from: first.end + 600, seconds: 3600)
        let longest = max(interval, min(interval * FollowPlan.patienceFactor, FollowPlan.patientIntervalMax))
        #expect(later.looks <= Int(3600 / longest) + 1 && later.looks >= Int(3000 / longest))
        #expect(later.readings >= 20 && later.surveys >= 100)
    }

    @Test func whatWasFoundIsLookedForAgainAtOnce() {
        for kind in [ObjectMetadata.Kind.segment, .tail(level: 0)] {
            var plan = FollowPlan(interval: 1)
            expect(&plan, 10, .open)
            plan.opened(isBehind: false, now: 10)
            expect(&plan, 10, .survey)
            for _ in 0..<5 {
                plan.found(kind, isBehind: false, now: 11)
                expect(&plan, 11, .look(kind))
            }
            // Then the other, because a segment may have closed; then it waits.
            plan.missed(now: 11)
            expect(&plan, 11, .look(kind == .segment ? .tail(level: 0) : .segment))
            plan.missed(now: 11)
            expect(&plan, 11, .wait(1))
        }
    }

    /// Level 0 comes next, whatever was read last.
    @Test func afterATailOfAHigherLevelOneOfTheLowestIsLookedFor() {
        var plan = FollowPlan(interval: 1)
        plan.opened(isBehind: false, now: 0)
        _ = plan.next(now: 0)
        plan.found(.tail(level: 2), isBehind: false, now: 0)
        expect(&plan, 0, .look(.tail(level: 0)))
    }

    @Test func whatTheHeadDocumentSaysIsThereIsReadByTheWholeRule() {
        var plan = FollowPlan(interval: 1)
        plan.opened(isBehind: false, now: 0)
        expect(&plan, 0, .survey)
        plan.surveyed(goesOn: true)
        expect(&plan, 0, .readOn)
        // Also behind what is there already.
        plan.found(.segment, isBehind: true, now: 0)
        expect(&plan, 0, .readOn)
    }

    @Test func anotherLineIsOpened() {
        var plan = FollowPlan(interval: 1)
        plan.opened(isBehind: false, now: 0)
        _ = plan.next(now: 0)
        plan.reopen()
        expect(&plan, 0, .open)
    }

    @Test func damageIsBelievedAfterAMinuteAndOutagesNever() {
        var run = FollowRun(interval: 1, retryDelayMax: 30, start: 0)
        let outage = ArchiveError(.unreachable, "no")
        var now = 0.0
        for _ in 0..<2000 {
            let delay = run.wait(after: outage, began: now, now: now) ?? 0
            #expect(delay > 0 && delay <= 30)
            now += delay
        }
        run.succeeded()
        let damage = ArchiveError(.damaged, "cut short")
        let began = now
        var isOver = false
        while !isOver, now < began + 1000 {
            if let delay = run.wait(after: damage, began: now, now: now) { now += delay } else { isOver = true }
        }
        #expect(isOver && now - began >= FollowerLimits.damagedMax)
        for code in [ArchiveError.Code.gap, .diverged, .notFound, .keyMissing] {
            let delay = run.wait(after: ArchiveError(code, "for good"), began: now, now: now)
            #expect(delay == nil)
        }
    }

    /// However long an attempt takes, and however far apart they are.
    @Test(arguments: [(200.0, 30.0), (0, 300), (200, 300)]) func damageIsBelievedThoughAttemptsTakeLong(attempt: Double, delayMax: Double) {
        var run = FollowRun(interval: 1, retryDelayMax: delayMax, start: 0)
        let damage = ArchiveError(.damaged, "cut short")
        var now = 0.0
        var attempts = 0
        while attempts < 100 {
            attempts += 1
            let began = now
            now += attempt
            guard let delay = run.wait(after: damage, began: began, now: now) else { break }
            now += delay
        }
        #expect(attempts < 100)
        // One that comes long after is another.
        let later = run.wait(after: damage, began: now + 1000, now: now + 1001)
        #expect(later != nil)
    }

    @Test func anEpochThatDoesNotBeginHoldsForAWhileOnly() {
        var run = FollowRun(interval: 1, retryDelayMax: 30, start: 0)
        // Another one is another promotion.
        let asked: [(epoch: UInt64, after: Double, holds: Bool)] = [
            (2, 0, true), (2, FollowerLimits.holdMax - 1, true), (2, FollowerLimits.holdMax, false), (3, FollowerLimits.holdMax + 1, true),
        ]
        for (epoch, after, expected) in asked {
            let holds = run.holds(epoch: epoch, now: 10 + after)
            #expect(holds == expected, "epoch \(epoch) after \(after) s")
        }
    }
}
