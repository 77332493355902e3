import Testing

@testable import Follower

@Suite struct ReadingRuleTests {
    /// What exists at one LSN, and stays as it is.
    struct Place {
        var hasSegment: Bool
        var tails: Set<Int>
        var hasGap: Bool
        var isPruned: Bool
        /// Nil: no head document.
        var headDenies: Bool?
        /// Nil: the store cannot list.
        var listsMore: Bool?
        var mustGoOn: Bool
        var hasNewNames = false

        func answer(_ probe: ReadingRule.Probe) -> ReadingRule.Answer {
            switch probe {
            case .segment: hasSegment ? .present : .absent
            case .tail(let level): tails.contains(level) ? .present : .absent
            case .names: hasNewNames ? .present : .absent
            case .gap: hasGap ? .present : .absent
            case .floor: isPruned ? .present : .absent
            case .head: headDenies.map { $0 ? .present : .atEnd } ?? .absent
            case .listing: listsMore.map { $0 ? .present : .absent } ?? .unsupported
            }
        }

        var expected: ReadingRule.Verdict {
            if hasSegment || !tails.isEmpty { return .read }
            if hasGap { return .givenUp }
            if isPruned { return .pruned }
            if mustGoOn { return .missing }
            if let headDenies { return headDenies ? .missing : .end }
            guard let listsMore else { return .unproven }
            return listsMore ? .missing : .end
        }
    }

    static let places: [Place] = {
        var places: [Place] = []
        for bits in 0..<256 {
            for head in [nil, false, true] as [Bool?] {
                for listing in [nil, false, true] as [Bool?] {
                    places.append(
                        Place(
                            hasSegment: bits & 1 != 0, tails: Set((0..<4).filter { bits & (2 << $0) != 0 }), hasGap: bits & 32 != 0,
                            isPruned: bits & 64 != 0, headDenies: head, listsMore: listing, mustGoOn: bits & 128 != 0))
                }
            }
        }
        return places
    }()

    private func run(_ place: (Int) -> Place) -> (verdict: ReadingRule.Verdict, probes: [ReadingRule.Probe]) {
        var rule = ReadingRule(mustGoOn: place(0).mustGoOn)
        var probes = [rule.first]
        while probes.count < 100 {
            let verdict = rule.found(place(probes.count - 1).answer(probes[probes.count - 1]))
            guard case .probe(let next) = verdict else { return (verdict, probes) }
            probes.append(next)
        }
        return (.unproven, probes)
    }

    @Test func everyPlaceGivesItsVerdictAfterAtMostTwentySevenProbes() {
        for place in Self.places {
            let (verdict, probes) = run { _ in place }
            #expect(verdict == place.expected, "\(place): \(probes)")
            #expect(probes.count <= 20)
            // New names are believed once, however often they are told.
            var renamed = place
            renamed.hasNewNames = true
            let (again, more) = run { _ in renamed }
            #expect(again == place.expected && more.count <= 27)
        }
    }

    @Test func theHighestTailIsTakenAndTheSegmentIsAskedForFirstAndAgain() {
        for place in Self.places where place.expected == .read {
            let (_, probes) = run { _ in place }
            #expect(probes[0] == .segment)
            if !place.hasSegment { #expect(probes.last == .tail(level: place.tails.max()!)) }
        }
        let empty = Place(hasSegment: false, tails: [], hasGap: false, isPruned: false, headDenies: false, listsMore: nil, mustGoOn: false)
        #expect(
            run { _ in empty }.probes == [
                .segment, .tail(level: 3), .tail(level: 2), .tail(level: 1), .tail(level: 0), .segment, .names, .gap, .floor, .head,
            ])
    }

    /// Tails go once their segment is there, and objects come while somebody reads: whatever comes at whatever moment before the last
    /// probe of the second reading is never taken for missing unless it came after it was asked for twice.
    @Test func whatComesWhileTheHeadIsReadIsFound() {
        let before = Place(hasSegment: false, tails: [], hasGap: false, isPruned: false, headDenies: true, listsMore: nil, mustGoOn: false)
        for arrival in 0...14 {
            for (segment, tails) in [(true, []), (false, [0])] as [(Bool, Set<Int>)] {
                var after = before
                after.hasSegment = segment
                after.tails = tails
                let (verdict, _) = run { $0 < arrival ? before : after }
                #expect(verdict == .read, "arrival at probe \(arrival)")
            }
        }
    }

    /// Encryption is turned on while somebody reads: what comes with it is found under its new name.
    @Test func whatComesUnderANewNameIsFound() {
        let before = Place(hasSegment: false, tails: [], hasGap: false, isPruned: false, headDenies: false, listsMore: nil, mustGoOn: false)
        var told = before
        told.hasNewNames = true
        var after = before
        after.tails = [0]
        let (verdict, probes) = run { $0 < 6 ? before : $0 == 6 ? told : after }
        #expect(probes[6] == .names && probes[7] == .segment && verdict == .read)
    }

    @Test func aTailThatTurnsIntoItsSegmentIsNeverMissed() {
        var before = Place(hasSegment: false, tails: [0], hasGap: false, isPruned: false, headDenies: true, listsMore: nil, mustGoOn: false)
        for level in 0...3 {
            before.tails = [level]
            var after = before
            after.tails = []
            after.hasSegment = true
            for change in 0...6 {
                let (verdict, _) = run { $0 < change ? before : after }
                #expect(verdict == .read, "level \(level), change at probe \(change)")
            }
        }
    }
}
