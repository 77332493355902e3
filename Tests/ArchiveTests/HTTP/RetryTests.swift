import Archive
import Testing

@Suite struct RetryTests {
    private struct Fixed: RandomNumberGenerator {
        var value: UInt64
        mutating func next() -> UInt64 { value }
    }
    /// SplitMix64.
    private struct Seeded: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
            return mixed ^ mixed >> 31
        }
    }
    private let busy = ArchiveError(.busy(status: 503), "busy")

    @Test func delaysDoubleWithinTheirBoundsAndNoFurther() {
        for seed in UInt64(0)..<200 {
            var random = Seeded(state: seed)
            var state = RetryState(RetryPolicy(attemptsMax: 100, delayFirst: 0.5, delayMax: 8), start: 0)
            for ceiling in [0.5, 1, 2, 4, 8, 8, 8] {
                guard case .wait(let delay) = state.next(after: busy, now: 0, random: &random) else {
                    Issue.record("gave up (seed \(seed))")
                    return
                }
                #expect(delay >= ceiling / 2 && delay <= ceiling, "seed \(seed)")
            }
        }
    }

    @Test func jitterSpreadsClientsThatFailedTogether() {
        var random = Seeded(state: 1)
        let delays = Set(
            (0..<50).map { _ in
                var state = RetryState(RetryPolicy(attemptsMax: 9), start: 0)
                return state.next(after: busy, now: 0, random: &random)
            })
        #expect(delays.count == 50)
    }

    @Test func attemptsAreBoundedAndTheLastErrorSaysHowMany() {
        var random = Fixed(value: 0)
        var state = RetryState(RetryPolicy(attemptsMax: 3), start: 0)
        for _ in 0..<2 {
            guard case .wait = state.next(after: busy, now: 0, random: &random) else {
                Issue.record("gave up early")
                return
            }
        }
        guard case .giveUp(let error) = state.next(after: busy, now: 0, random: &random) else {
            Issue.record("did not give up")
            return
        }
        #expect(error.code == busy.code)
        #expect(error.message == "gave up after 3 attempts: busy")
    }

    @Test func noAttemptBeginsAfterTheDeadline() {
        for seed in UInt64(0)..<50 {
            var random = Seeded(state: seed)
            var state = RetryState(RetryPolicy(deadline: 60, delayFirst: 1, delayMax: 30), start: 1000)
            var now = 1000.0
            while case .wait(let delay) = state.next(after: busy, now: now, random: &random) {
                now += delay
                #expect(now <= 1060, "seed \(seed)")
            }
            #expect(state.failures < 100, "seed \(seed)")
        }
    }

    @Test func retryAfterIsALowerBoundWithJitterAndHasALimit() {
        for seed in UInt64(0)..<50 {
            var random = Seeded(state: seed)
            var state = RetryState(RetryPolicy(attemptsMax: 5, delayFirst: 1, retryAfterMax: 100), start: 0)
            var asked = busy
            asked.retryAfter = 7
            guard case .wait(let delay) = state.next(after: asked, now: 0, random: &random) else {
                Issue.record("gave up")
                return
            }
            #expect(delay > 7 && delay <= 8, "seed \(seed)")
            asked.retryAfter = 86_400
            guard case .wait(let bounded) = state.next(after: asked, now: 0, random: &random) else {
                Issue.record("gave up")
                return
            }
            #expect(bounded > 100 && bounded <= 101, "seed \(seed)")
            asked.retryAfter = -5
            guard case .wait = state.next(after: asked, now: 0, random: &random) else {
                Issue.record("gave up")
                return
            }
        }
    }

    @Test func aRetryAfterBeyondTheDeadlineGivesUpAtOnce() {
        var random = Fixed(value: 0)
        var state = RetryState(RetryPolicy(deadline: 10), start: 0)
        var asked = busy
        asked.retryAfter = 60
        #expect(state.next(after: asked, now: 1, random: &random) == .giveUp(asked))
    }

    @Test(arguments: [
        ArchiveError.Code.notFound, .refused(status: 400), .unauthorized(status: 401), .tooLarge, .unsupported, .damaged, .diverged,
        .fenced,
        .gap, .endUnproven, .invalid, .cancelled,
    ])
    func whatTimeDoesNotHealIsNotTriedAgain(_ code: ArchiveError.Code) {
        var random = Fixed(value: 0)
        var state = RetryState(RetryPolicy(attemptsMax: 10), start: 0)
        let error = ArchiveError(code, "no")
        #expect(state.next(after: error, now: 0, random: &random) == .giveUp(error))
    }

    @Test func aThousandFailuresStayWithinTheBounds() {
        var random = Fixed(value: .max)
        var state = RetryState(RetryPolicy(attemptsMax: 2000, delayFirst: 0.001, delayMax: 3600), start: 0)
        for _ in 0..<1000 {
            guard case .wait(let delay) = state.next(after: busy, now: 0, random: &random) else {
                Issue.record("gave up")
                return
            }
            #expect(delay > 0 && delay <= 3600)
        }
    }

    @Test func theTimerWaitsGivesUpAndEndsWithItsTask() async throws {
        var timer = RetryTimer(RetryPolicy(attemptsMax: 3, delayFirst: 0.001, delayMax: 0.002))
        try await timer.wait(after: busy)
        try await timer.wait(after: busy)
        #expect(await failure { try await timer.wait(after: busy) }?.code == busy.code)
        let lost = ArchiveError(.unreachable, "no reply", outcome: .unknown)
        let task = Task { () -> ArchiveError? in
            var patient = RetryTimer(RetryPolicy(attemptsMax: 3, delayFirst: 1000, delayMax: 1000))
            return await failure { try await patient.wait(after: lost) }
        }
        task.cancel()
        let error = await task.value
        #expect(error?.code == .cancelled)
        #expect(error?.outcome == .unknown)
    }
}
