import Testing

@testable import Archive

@Suite struct TransferQueueTests {
    private let now = ContinuousClock.now

    @Test func noMoreThanTheLimitRunAndTheRestInOrder() {
        var queue = TransferQueue(limit: 2)
        for id in UInt64(1)...4 { queue.submit(id, deadline: now + .seconds(9)) }
        #expect(queue.next(now: now) == .start(1))
        #expect(queue.next(now: now) == .start(2))
        #expect(queue.next(now: now) == nil)
        #expect(queue.remove(1) == true)
        #expect(queue.next(now: now) == .start(3))
        #expect(queue.next(now: now) == nil)
        #expect(queue.inFlight == [2, 3])
        #expect(queue.hasWaiting)
    }

    @Test func whatWaitsPastItsDeadlineExpiresEvenWhenNothingHasRoom() {
        var queue = TransferQueue(limit: 1)
        queue.submit(1, deadline: now + .seconds(1))
        #expect(queue.next(now: now) == .start(1))
        queue.submit(2, deadline: now + .seconds(5))
        queue.submit(3, deadline: now + .seconds(1))
        #expect(queue.next(now: now + .seconds(2)) == .expire(3))
        #expect(queue.next(now: now + .seconds(2)) == nil)
        #expect(queue.next(now: now + .seconds(5)) == .expire(2))
        #expect(queue.inFlight == [1], "one in flight has a clock of its own")
    }

    /// Every order of starting, ending and cancelling four transfers keeps the limit and forgets nothing.
    @Test func everyOrderOfEventsKeepsTheLimit() {
        func explore(_ queue: TransferQueue, left: [UInt64], submitted: Set<UInt64>, depth: Int) {
            var queue = queue
            while let step = queue.next(now: now) {
                guard case .start(let id) = step else {
                    Issue.record("expired")
                    return
                }
                #expect(submitted.contains(id))
            }
            #expect(queue.inFlight.count == min(2, submitted.count))
            #expect(queue.inFlight.isSubset(of: submitted))
            #expect(queue.isEmpty == submitted.isEmpty)
            guard depth > 0 else { return }
            if let id = left.first {
                var next = queue
                next.submit(id, deadline: now + .seconds(1))
                explore(next, left: Array(left.dropFirst()), submitted: submitted.union([id]), depth: depth - 1)
            }
            for id in submitted {
                var next = queue
                #expect(next.remove(id) == queue.inFlight.contains(id))
                #expect(next.remove(id) == false)
                explore(next, left: left, submitted: submitted.subtracting([id]), depth: depth - 1)
            }
        }
        explore(TransferQueue(limit: 2), left: [1, 2, 3, 4], submitted: [], depth: 7)
    }
}
