import Testing
import TestSupport
@testable import WAL

/// Every order of small sequences of calls, against what must hold after each.
@Suite struct CommitQueueTests {
    private enum Step: CaseIterable {
        case write, request, requestOld, notice, noticeAhead, began, flushed, threadTakesLead, keeperTakesLead, cut, fail, cancelFirst, cancelLast
    }

    /// What the owner of a queue would know.
    private struct World {
        enum Leader: Equatable { case none, askedThread(CommitQueue.Group), askedKeeper, chosen, flushing(UInt64) }
        struct Notice {
            let target: UInt64
            let wasWritten: Bool
            /// Flushes that had begun when it was asked for.
            let flushes: Int
            /// The log lost its end below the target since.
            var isCutOff = false
        }

        var queue = CommitQueue(durable: .zero)
        var written: UInt64 = 1
        var durable: UInt64 = 0
        var leader = Leader.none
        /// Groups of the threads that sleep, with the flushes that had begun when each asked and the target.
        var threads: [(group: CommitQueue.Group, target: UInt64, flushes: Int)] = []
        var notices: [CommitQueue.WaiterID: Notice] = [:]
        var flushesBegun = 0
        var failed = false

        mutating func apply(_ step: Step) {
            switch step {
            case .write: written += 1
            case .request: request(written)
            case .requestOld: request(max(1, written - 1))
            case .notice: notice(written)
            case .noticeAhead: notice(written + 1)
            case .began: begin()
            case .flushed: report()
            case .threadTakesLead: takeLead(byKeeper: false)
            case .keeperTakesLead: takeLead(byKeeper: true)
            case .cut: cut()
            case .fail:
                let told = queue.fail(.closed)
                #expect(Set(told) == Set(notices.keys))
                notices = [:]
                threads = []
                leader = .none
                failed = true
            case .cancelFirst: cancel(notices.keys.min())
            case .cancelLast: cancel(notices.keys.max())
            }
            check()
        }

        private mutating func request(_ target: UInt64) {
            switch queue.requestDurability(of: LSN(target)) {
            case .alreadyDurable: #expect(durable >= target)
            case .fail: #expect(failed && durable < target)
            case .lead:
                #expect(!failed)
                switch leader {
                case .chosen, .flushing: Issue.record("a second leader")
                default: leader = .chosen
                }
            case .wait(let group): threads.append((group, target, flushesBegun))
            }
        }

        private mutating func notice(_ target: UInt64) {
            switch queue.requestNotice(of: LSN(target), written: LSN(written)) {
            case .alreadyDurable: #expect(durable >= target)
            case .fail: #expect(failed && durable < target)
            case .wait(let id):
                #expect(leader != .none || target > written)
                notices[id] = Notice(target: target, wasWritten: target <= written, flushes: flushesBegun)
            case .waitAndAskKeeper(let id):
                #expect(leader == .none && !failed)
                leader = .askedKeeper
                notices[id] = Notice(target: target, wasWritten: true, flushes: flushesBegun)
            }
        }

        private mutating func begin() {
            // One whose log has stopped meanwhile is told so.
            if failed {
                let point = queue.began(written: LSN(written))
                #expect(point == nil)
            }
            guard leader == .chosen else { return }
            let point = queue.began(written: LSN(written))
            #expect(point == LSN(max(written, durable)))
            leader = .flushing(max(written, durable))
            flushesBegun += 1
        }

        private mutating func report() {
            if failed {
                let wakeup = queue.flushed()
                #expect(wakeup == nil)
            }
            guard case .flushing(let point) = leader else { return }
            guard let wakeup = queue.flushed() else {
                Issue.record("a flush that nobody hears of")
                return
            }
            durable = point
            let covered = notices.filter { $0.value.target <= durable || $0.value.isCutOff || ($0.value.wasWritten && $0.value.flushes < flushesBegun) }
            #expect(Set(wakeup.covered) == Set(covered.keys), "exactly the covered are told")
            for id in wakeup.covered { notices[id] = nil }
            // Nobody goes before a flush that began after it asked, or one that reached it; nobody waits any longer than that.
            for thread in threads {
                let isCovered = thread.target <= durable || thread.flushes < flushesBegun
                #expect((thread.group <= wakeup.group) == isCovered, "\(thread) at \(durable)")
            }
            #expect(wakeup.hasThreads == threads.contains { $0.group == wakeup.group })
            threads.removeAll { $0.group <= wakeup.group }
            switch wakeup.next {
            case .threadOf(let group):
                #expect(threads.contains { $0.group == group })
                leader = .askedThread(group)
            case .keeper: leader = .askedKeeper
            case nil: leader = .none
            }
        }

        private mutating func takeLead(byKeeper: Bool) {
            let group = byKeeper ? nil : threads.first?.group
            if !byKeeper && group == nil { return }
            let isAsked = switch leader {
            case .askedThread, .askedKeeper: true
            default: false
            }
            let taken = queue.takeLead(of: group)
            #expect(taken == isAsked)
            guard taken else { return }
            leader = .chosen
            if !byKeeper { threads.removeFirst() }
        }

        /// Between flushes the log loses its last byte.
        private mutating func cut() {
            if case .flushing = leader { return }
            guard written > 1 else { return }
            written -= 1
            queue.cut(at: LSN(written))
            for (id, notice) in notices where notice.target > written { notices[id]?.isCutOff = true }
            durable = min(durable, written)
        }

        private mutating func cancel(_ id: CommitQueue.WaiterID?) {
            guard let id else { return }
            let (first, second) = (queue.cancel(id), queue.cancel(id))
            #expect(first && !second, "told once")
            notices[id] = nil
        }

        private func check() {
            #expect(queue.durable == LSN(durable))
            #expect(queue.waiterCount == notices.count + threads.count)
            if failed { #expect(notices.isEmpty && threads.isEmpty) }
            if leader == .none {
                #expect(threads.isEmpty && !notices.values.contains { $0.wasWritten }, "somebody waits for a flush that nobody makes")
            }
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
        first.apply(.request)
        extend(first, 5)
    }

    /// Longer than can be enumerated: each seed is one sequence of four hundred calls.
    @Test(arguments: 0..<50 as Range<UInt64>) func longSequencesKeepTheInvariant(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var world = World()
        for _ in 0..<400 {
            guard let step = Step.allCases.randomElement(using: &generator) else { return }
            if step != .fail { world.apply(step) }
        }
        world.apply(.fail)
    }

    @Test func whoeverIsReachedByTheFlushUnderWayDoesNotWaitForAnother() {
        var queue = CommitQueue(durable: .zero)
        let leads = queue.requestDurability(of: LSN(1))
        let point = queue.began(written: LSN(2))
        #expect(leads == .lead && point == LSN(2))
        let reached = queue.requestDurability(of: LSN(2))
        let behind = queue.requestDurability(of: LSN(3))
        #expect(reached == .wait(1) && behind == .wait(2))
        let wakeup = queue.flushed()
        #expect(wakeup == .init(group: 1, hasThreads: true, covered: [], next: .threadOf(2)))
    }

    @Test func aThreadThatComesMayLeadInsteadOfTheOneThatWasAsked() {
        var queue = CommitQueue(durable: .zero)
        let first = queue.requestDurability(of: LSN(1))
        let point = queue.began(written: LSN(1))
        let second = queue.requestDurability(of: LSN(2))
        let wakeup = queue.flushed()
        #expect(first == .lead && point == LSN(1) && second == .wait(2) && wakeup?.next == .threadOf(2))
        let third = queue.requestDurability(of: LSN(3))
        let asked = queue.takeLead(of: 2)
        #expect(third == .lead && !asked, "the one that was asked goes on sleeping")
        let later = queue.began(written: LSN(3))
        let end = queue.flushed()
        #expect(later == LSN(3) && end == .init(group: 2, hasThreads: true))
    }

    @Test func aFlushThatEndsBesideAFailureAcknowledgesNothing() {
        var queue = CommitQueue(durable: .zero)
        let first = queue.requestDurability(of: LSN(1))
        let point = queue.began(written: LSN(1))
        let told = queue.fail(.closed)
        let wakeup = queue.flushed()
        #expect(first == .lead && point == LSN(1) && told.isEmpty && wakeup == nil)
        #expect(queue.durable == .zero)
        let later = queue.requestDurability(of: LSN(1))
        #expect(later == .fail(.closed))
    }
}
