import Testing
import WAL

@testable import Shipper

/// What happens to a backlog, over all small cases.
@Suite struct BacklogPlanTests {
    static let size: UInt64 = 4

    /// Every durable LSN and checkpoint up to eight segments, each limit up to six, from under and from over the limit.
    @Test func everyDecisionKeepsToTheLimitAndTakesNoMoreThanNeeded() {
        for limit in 2 * Self.size...6 * Self.size {
            for policy in BacklogPolicy.allCases {
                for wasOver in [false, true] {
                    for durable in UInt64(0)...8 * Self.size {
                        for checkpoint in UInt64(0)...durable {
                            check(limit, policy, wasOver: wasOver, durable, checkpoint)
                        }
                    }
                }
            }
        }
    }

    private func check(_ limit: UInt64, _ policy: BacklogPolicy, wasOver: Bool, _ durable: UInt64, _ checkpoint: UInt64) {
        var plan = BacklogPlan(segmentSize: Self.size, policy: policy, limit: limit)
        if wasOver { _ = plan.look(durable: LSN(limit + 1), checkpoint: .zero) }
        let backlog = durable - checkpoint
        let decision = plan.look(durable: LSN(durable), checkpoint: LSN(checkpoint))
        let what = "limit \(limit), \(policy), \(wasOver), durable \(durable), checkpoint \(checkpoint): \(decision)"
        let isOver = backlog > limit || wasOver && backlog > limit - Self.size
        #expect(plan.isOver == isOver, "\(what)")
        #expect(decision.change == (isOver == wasOver ? nil : isOver ? .over : .under), "\(what)")
        #expect(decision.blocks == (policy == .block && isOver), "\(what)")
        // Whatever was shipped of closed segments, it is over no more: appends that wait can always go on.
        #expect(durable % Self.size <= limit - Self.size, "\(what)")
        guard policy == .drop, backlog > limit else {
            #expect(decision.giveUpTo == nil, "\(what)")
            return
        }
        guard let end = decision.giveUpTo?.rawValue else {
            Issue.record("nothing is given up: \(what)")
            return
        }
        #expect(end % Self.size == 0 && end > checkpoint, "\(what)")
        #expect(durable - end <= limit, "\(what)")
        #expect(end - Self.size < checkpoint || durable - (end - Self.size) > limit, "one segment less would do: \(what)")
        #expect(end + Self.size <= durable / Self.size * Self.size, "the newest closed segment: \(what)")
    }

    @Test func withoutALimitNothingEverHappens() {
        for policy in BacklogPolicy.allCases {
            var plan = BacklogPlan(segmentSize: Self.size, policy: policy, limit: nil)
            #expect(plan.look(durable: LSN(1 << 40), checkpoint: .zero) == BacklogPlan.Decision())
            #expect(!plan.isNear(durable: LSN(1 << 40), checkpoint: .zero))
        }
    }
}

/// Which documents a gap gets, over everything that may arrive, then or later.
@Suite struct GapPlanTests {
    private static let size: UInt64 = 8

    /// A reader: segments by the names that it can compute, then tails, then gaps.
    private func read(
        from start: LSN, to end: LSN, objectsStart: LSN, _ objects: Set<GapPlan.Candidate>, _ gaps: [LSN: LSN]
    ) -> LSN {
        var (position, crossed) = (start, objectsStart)
        while position < end {
            let name = max(LSN(position.rawValue / Self.size * Self.size), crossed)
            if let segment = objects.first(where: { $0.kind == .segment && $0.range.lowerBound == name && $0.range.contains(position) }) {
                position = segment.range.upperBound
            } else if let tail = objects.first(where: { $0.kind == .tail && $0.range.lowerBound == position }) {
                position = tail.range.upperBound
            } else if let next = gaps[position] {
                (position, crossed) = (next, next)
            } else {
                return position
            }
        }
        return position
    }

    private func subsets<T>(_ items: [T]) -> [[T]] {
        (0..<(1 << items.count)).map { mask in items.indices.filter { mask & (1 << $0) != 0 }.map { items[$0] } }
    }

    @Test(arguments: [0, 3, 8, 11] as [UInt64]) func readersComeAcrossTheGapWhateverArrivesAndWhenever(start: UInt64) {
        var cases = 0
        let lower = LSN(start)
        let tails: [Range<LSN>?] = [nil, lower..<LSN(start + 1), lower..<LSN((start / Self.size + 1) * Self.size)]
        for inFlight in tails {
            for started in [nil, LSN(8), LSN(16), LSN(24), LSN(40)] as [LSN?] {
                for objectsStart in [LSN.zero, lower] {
                    let range = lower..<LSN(32)
                    let plan = GapPlan(
                        range, inFlight: inFlight, segmentsStarted: started, objectsStart: objectsStart, segmentSize: Self.size)
                    for present in subsets(plan.candidates) {
                        let first = Dictionary(uniqueKeysWithValues: plan.documents(present: present).map { ($0.lowerBound, $0.upperBound) })
                        for later in subsets(plan.candidates) {
                            // Told in part, crashed, and told again with what had come by then.
                            var gaps = first
                            for half in [false, true] {
                                if half {
                                    gaps = first.filter { $0.key.rawValue % 16 < 8 }
                                    for document in plan.documents(present: Array(Set(present + later))) where gaps[document.lowerBound] == nil {
                                        gaps[document.lowerBound] = document.upperBound
                                    }
                                }
                                let end = read(
                                    from: lower, to: range.upperBound, objectsStart: objectsStart, Set(present + later), gaps)
                                cases += 1
                                #expect(end >= range.upperBound, "\(range) \(plan.candidates) \(present) \(later) \(gaps): stuck at \(end)")
                            }
                        }
                    }
                }
            }
        }
        #expect(cases > 1000)
    }

    @Test func whatHasArrivedIsNoPartOfTheGap() {
        let plan = GapPlan(LSN(0)..<LSN(32), inFlight: nil, segmentsStarted: LSN(16), objectsStart: .zero, segmentSize: 8)
        #expect(plan.documents(present: []) == [LSN(0)..<LSN(32), LSN(8)..<LSN(32), LSN(16)..<LSN(32)])
        #expect(plan.documents(present: [plan.candidates[0]]) == [LSN(8)..<LSN(32), LSN(16)..<LSN(32)])
        #expect(plan.documents(present: [plan.candidates[1]]) == [LSN(0)..<LSN(8), LSN(16)..<LSN(32)])
        #expect(plan.documents(present: plan.candidates) == [LSN(16)..<LSN(32)])
    }
}
