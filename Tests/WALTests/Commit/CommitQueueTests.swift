import Testing
@testable import WAL

/// Every order of small sequences of calls, against what must hold after each.
@Suite struct CommitQueueTests {
    private enum Step: CaseIterable { case write, request, requestAsync, requestAhead, flushed, flushedLate, fail, cancelFirst, cancelLast }

    /// What the owner of a queue would know.
    private struct World {
        var queue = CommitQueue(durable: .zero)
        var written: UInt64 = 0
        /// What the leader flushes; nil: nobody leads.
        var leader: (target: UInt64, seen: UInt64)?
        var waiting: [CommitQueue.WaiterID: (target: UInt64, wasWritten: Bool)] = [:]
        var failed = false

        mutating func apply(_ step: Step) {
            switch step {
            case .write: written += 1
            case .request: request(written, canLead: true)
            case .requestAsync: request(written, canLead: false)
            case .requestAhead: request(written + 1, canLead: false)
            case .flushed: report(seen: written)
            case .flushedLate: report(seen: nil)
            case .fail:
                let told = queue.fail(.closed)
                #expect(Set(told) == Set(waiting.keys))
                waiting = [:]
                failed = true
            case .cancelFirst: cancel(waiting.keys.min())
            case .cancelLast: cancel(waiting.keys.max())
            }
            check()
        }

        private mutating func request(_ target: UInt64, canLead: Bool) {
            switch queue.requestDurability(of: LSN(target), written: LSN(written), canLead: canLead) {
            case .alreadyDurable: #expect(queue.durable.rawValue >= target)
            case .fail: #expect(failed && queue.durable.rawValue < target)
            case .lead:
                #expect(leader == nil && canLead && !failed)
                leader = (written, written)
            case .wait(let id):
                #expect(!failed && (leader != nil || target > written))
                waiting[id] = (target, target <= written)
            case .waitAndAskForLeader(let id):
                #expect(leader == nil && !canLead && !failed)
                leader = (written, written)
                waiting[id] = (target, true)
            }
        }

        /// The leader reports; `seen`: the watermark that it looked at, nil: the one from when it began.
        private mutating func report(seen: UInt64?) {
            guard let flush = leader else { return }
            leader = nil
            guard let wakeup = queue.flushed(upTo: LSN(flush.target), written: LSN(seen ?? flush.seen)) else {
                #expect(failed)
                return
            }
            #expect(!failed)
            #expect(Set(wakeup.covered) == Set(waiting.filter { $0.value.target <= flush.target }.keys), "exactly the covered are woken")
            for id in wakeup.covered { waiting[id] = nil }
            if let next = wakeup.nextLeader {
                #expect(waiting[next] != nil)
                leader = (written, written)
                // One that leads on its own thread is no waiter any more; the queue tells by whether it still cancels.
                if queue.waiterCount < waiting.count { waiting[next] = nil }
            }
        }

        private mutating func cancel(_ id: CommitQueue.WaiterID?) {
            guard let id else { return }
            let (first, second) = (queue.cancel(id), queue.cancel(id))
            #expect(first && !second, "told once")
            waiting[id] = nil
        }

        private func check() {
            #expect(queue.waiterCount == waiting.count)
            #expect(waiting.values.allSatisfy { $0.target > queue.durable.rawValue })
            if failed { #expect(waiting.isEmpty) }
            if leader == nil { #expect(!waiting.values.contains { $0.wasWritten }, "somebody waits for a flush that nobody makes") }
        }
    }

    @Test func everyOrderOfSixCallsKeepsTheInvariant() {
        func extend(_ world: World, _ depth: Int) {
            for step in Step.allCases {
                var next = world
                next.apply(step)
                if depth > 1 { extend(next, depth - 1) }
            }
        }
        var first = World()
        first.apply(.write)
        extend(first, 5)
    }

    @Test func aWaiterBehindALeadersWatermarkIsNotForgotten() {
        var queue = CommitQueue(durable: .zero)
        let request = queue.requestDurability(of: LSN(1), written: LSN(1), canLead: true)
        #expect(request == .lead)
        // The leader has looked at the watermark; then somebody appends and asks.
        guard case .wait(let id) = queue.requestDurability(of: LSN(2), written: LSN(2), canLead: true) else {
            Issue.record("one leader at a time")
            return
        }
        let wakeup = queue.flushed(upTo: LSN(1), written: LSN(1))
        #expect(wakeup?.nextLeader == id)
    }

    @Test func aFlushThatEndsBesideAFailureAcknowledgesNothing() {
        var queue = CommitQueue(durable: .zero)
        let request = queue.requestDurability(of: LSN(1), written: LSN(1), canLead: true)
        #expect(request == .lead)
        let told = queue.fail(.closed)
        let wakeup = queue.flushed(upTo: LSN(1), written: LSN(1))
        #expect(told.isEmpty && wakeup == nil)
        #expect(queue.durable == .zero)
        let later = queue.requestDurability(of: LSN(1), written: LSN(1), canLead: true)
        #expect(later == .fail(.closed))
    }
}
