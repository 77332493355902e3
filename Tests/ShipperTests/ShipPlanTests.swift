import Testing
import TestSupport
import WAL

@testable import Shipper

/// The planner over seeded sequences of everything that can happen to it.
@Suite struct ShipPlanTests {
    static let size: UInt64 = 4096

    static func slot(position: UInt64 = 0, archived: UInt64 = 0) -> SlotState {
        var slot = SlotState(
            kind: .destination, logID: LogID(high: 1, low: 2), position: LSN(position), epoch: EpochID(rawValue: 7))
        slot.archived = LSN(archived)
        slot.epochNumber = 1
        slot.released = .zero
        for level in slot.levels.indices { slot.levels[level].groupStart = LSN(position) }
        return slot
    }

    static func plan(
        _ slot: SlotState, durable: UInt64, tailInterval: UInt64? = 10, uploads: Int = 3, settle: UInt64 = 0, retain: UInt64 = 0,
        now: UInt64 = 0, head: UInt64 = 0
    ) -> ShipPlan {
        ShipPlan(
            settings: ShipPlan.Settings(
                segmentSize: size, uploadsInFlight: uploads, tailInterval: tailInterval, settle: settle, retain: retain),
            slot: slot, durable: LSN(durable), head: LSN(head), headWritten: slot.archived, comparesBeforeTails: false,
            acknowledgedAt: 0, now: now)
    }

    /// A machine around a plan: what is under way finishes in any order; at any moment everything may crash and go on from the slot.
    struct Machine {
        var random: SeededGenerator
        var plan: ShipPlan
        var slot: SlotState
        var durable: UInt64 = 0
        var now: UInt64 = 0
        var underWay: [ShipPlan.Action] = []
        /// Everything that may be in the archive, by level (-1: segments) and start.
        var mayBeThere: [Int: [LSN: LSN]] = [:]
        var archivedSegments: Set<LSN> = []
        var faults: [String] = []

        /// Bytes that become durable in one step at most: few, and tails are merged; many, and segments overtake them.
        let growth: UInt64
        private(set) var merges = 0
        /// Tails and removals that were under way together.
        private(set) var besides = 0

        /// What is in the archive of segments that are archived.
        var leftovers: [String] {
            (0...3).flatMap { level in (mayBeThere[level] ?? [:]).keys.filter { $0 < plan.checkpoint }.map { "\(level) at \($0)" } }
        }

        init(seed: UInt64) {
            growth = [12, 60, 600, 9000][Int(seed % 4)]
            random = SeededGenerator(seed: seed)
            slot = ShipPlanTests.slot()
            plan = ShipPlanTests.plan(slot, durable: 0)
        }

        mutating func expect(_ condition: Bool, _ what: String) {
            if !condition { faults.append(what) }
        }

        mutating func attempt(_ range: Range<LSN>, level: Int) {
            expect(range.upperBound.rawValue <= durable, "past durable")
            expect(!range.isEmpty, "empty")
            expect((range.upperBound.rawValue - 1) / size == range.lowerBound.rawValue / size, "across a boundary")
            let before = mayBeThere[level, default: [:]][range.lowerBound]
            expect(before == nil || before == range.upperBound, "another range at \(range.lowerBound) of level \(level)")
            mayBeThere[level, default: [:]][range.lowerBound] = range.upperBound
        }

        mutating func step() {
            now += UInt64.random(in: 0...8, using: &random)
            switch Int.random(in: 0..<12, using: &random) {
            case 0..<4:
                durable += UInt64.random(in: 0...growth, using: &random)
                plan.observe(durable: LSN(durable), now: now)
            case 4..<11: if !underWay.isEmpty { complete(underWay.remove(at: Int.random(in: 0..<underWay.count, using: &random))) }
            default: if Bool.random(using: &random) { crash() }
            }
            for action in plan.next(now: now) { begin(action) }
        }

        mutating func begin(_ action: ShipPlan.Action) {
            switch action {
            case .shipSegment(let range): attempt(range, level: -1)
            case .shipTail(let range, let level):
                if underWay.contains(where: { if case .removeTails = $0 { true } else { false } }) { besides += 1 }
                expect(plan.uploads.isEmpty, "a tail before earlier segments")
                expect(!underWay.contains { if case .shipTail = $0 { true } else { false } }, "two tails")
                plan.record(in: &slot)
                expect(slot.levels[level].inFlight == range, "not recorded")
                if level > 0 { merges += 1 }
                attempt(range, level: level)
            case .truncate(let range):
                let lsn = range.upperBound
                expect(lsn <= slot.position, "truncation past the slot on disk")
                expect(lsn.rawValue + size <= durable / size * size, "the newest closed segment goes")
            case .writeHead(let archived, _, _): expect(archived.rawValue <= durable, "head past durable")
            case .removeTails(let removal):
                expect(removal.segment.upperBound <= slot.position, "tails removed before the slot says that their segment is archived")
                expect(!underWay.contains { if case .removeTails = $0 { true } else { false } }, "two removals")
                if underWay.contains(where: { if case .shipTail = $0 { true } else { false } }) { besides += 1 }
            case .compareAgain: expect(false, "not asked for")
            }
            underWay.append(action)
        }

        mutating func complete(_ action: ShipPlan.Action) {
            switch action {
            case .shipSegment(let range):
                let phase = plan.uploads.first { $0.range == range }?.phase
                expect(plan.uploads.count { $0.phase == .reading } <= 1, "two segments are read at a time")
                expect(plan.uploads.count { $0.phase == .compressing } <= ShipperLimits.preparationsMax, "too many are compressed at a time")
                if phase == .reading {
                    plan.segmentRead(range)
                    underWay.append(action)
                } else if phase == .compressing {
                    plan.segmentPrepared(range)
                    underWay.append(action)
                } else {
                    plan.segmentAcknowledged(range, digest: Bytes16(high: 1, low: range.lowerBound.rawValue + 1), now: now)
                    archivedSegments.insert(range.lowerBound)
                    let below = archivedSegments.filter { $0 < plan.checkpoint }
                    expect(UInt64(below.count) == plan.checkpoint.rawValue / size, "a hole below the checkpoint")
                }
            case .shipTail(let range, let level):
                plan.tailAcknowledged(range, level: level, digest: Bytes16(high: 2, low: range.lowerBound.rawValue + 1), now: now)
            case .removeTails(let removal):
                for level in 0...3 {
                    guard let known = removal.known?.inOrderOfRemoval else {
                        mayBeThere[level] = mayBeThere[level]?.filter { !removal.segment.contains($0.key) }
                        continue
                    }
                    for tail in known where tail.level == level { mayBeThere[level]?[tail.start] = nil }
                }
                plan.tailsRemoved()
            case .writeHead(let archived, _, _): plan.headWasWritten(archived: archived, now: now)
            case .truncate: plan.truncated()
            case .compareAgain: break
            }
            plan.record(in: &slot)
        }

        mutating func crash() {
            underWay = []
            plan = ShipPlanTests.plan(slot, durable: durable, now: now)
        }
    }

    @Test(arguments: UInt64(0)..<200) func everySequenceKeepsTheInvariants(seed: UInt64) {
        var machine = Machine(seed: seed)
        for _ in 0..<1500 { machine.step() }
        if machine.growth == 12 { #expect(machine.merges > 0, "seed \(seed)") }
        #expect(machine.faults.isEmpty, "seed \(seed): \(machine.faults.prefix(3))")
        // When the log rests, everything gets archived, and then nothing more is asked for.
        for _ in 0..<2000 where machine.plan.archived.rawValue < machine.durable || !machine.underWay.isEmpty {
            machine.now += 20
            while let action = machine.underWay.popLast() { machine.complete(action) }
            for action in machine.plan.next(now: machine.now) { machine.begin(action) }
        }
        #expect(machine.plan.archived.rawValue == machine.durable, "seed \(seed)")
        machine.now += 2 * ShipperLimits.headInterval
        for _ in 0..<50 {
            while let action = machine.underWay.popLast() { machine.complete(action) }
            for action in machine.plan.next(now: machine.now) { machine.begin(action) }
        }
        #expect(machine.underWay.isEmpty && machine.faults.isEmpty, "seed \(seed): \(machine.underWay) \(machine.faults)")
        #expect(machine.leftovers.isEmpty, "seed \(seed): tails stay: \(machine.leftovers)")
        if machine.growth == 60 { #expect(machine.besides > 0, "seed \(seed)") }
        #expect(machine.plan.next(now: machine.now + 10 * ShipperLimits.headInterval).isEmpty, "an idle log asks for something, seed \(seed)")
        #expect(machine.plan.isAtRest(now: machine.now + 10 * ShipperLimits.headInterval), "seed \(seed)")
        machine.plan.observe(durable: LSN(machine.durable + 1), now: machine.now)
        #expect(!machine.plan.isAtRest(now: machine.now + 10 * ShipperLimits.headInterval), "something waits, seed \(seed)")
    }

    /// A log is looked at seldom only when nothing of it is left to be done.
    @Test func aLogIsAtRestWhenAllIsArchivedAndSaidAndNothingWasWrittenForAWhile() {
        var plan = ShipPlanTests.plan(Self.slot(), durable: 0)
        #expect(!plan.isAtRest(now: ShipperLimits.idleDelay - 1))
        #expect(plan.isAtRest(now: ShipperLimits.idleDelay))
        plan.observe(durable: LSN(10), now: ShipperLimits.idleDelay)
        let much = 2 * ShipperLimits.idleDelay
        #expect(!plan.isAtRest(now: much), "a tail waits")
        #expect(plan.next(now: much) == [.shipTail(LSN(0)..<LSN(10), level: 0)])
        #expect(!plan.isAtRest(now: much), "it is under way")
        plan.tailAcknowledged(LSN(0)..<LSN(10), level: 0, digest: Bytes16(high: 1, low: 2), now: much)
        // What was acknowledged is a change as well.
        let later = much + ShipperLimits.idleDelay
        #expect(!plan.isAtRest(now: later), "the head does not say so yet")
        #expect(plan.next(now: later) == [.writeHead(archived: LSN(10), checkpoint: .zero, durable: LSN(10))])
        #expect(!plan.isAtRest(now: later), "it is on its way")
        plan.headWasWritten(archived: LSN(10), now: later)
        #expect(plan.isAtRest(now: later))
        plan.finish(upTo: LSN(10), truncates: false)
        #expect(!plan.isAtRest(now: later), "somebody wants it to end")
    }

    @Test func thirtyTwoTailsBecomeOneOfTheNextLevel() {
        var plan = ShipPlanTests.plan(Self.slot(), durable: 0)
        var now: UInt64 = 0
        var merges: [ShipPlan.Action] = []
        for index in 1...40 {
            plan.observe(durable: LSN(UInt64(index) * 20), now: now)
            now += 10
            for _ in 0..<3 {
                for action in plan.next(now: now) {
                    if case .shipTail(let range, let level) = action {
                        if level > 0 { merges.append(action) }
                        plan.tailAcknowledged(range, level: level, digest: Bytes16(high: 0, low: 1), now: now)
                    }
                }
            }
        }
        #expect(merges == [.shipTail(LSN(0)..<LSN(640), level: 1)])
        #expect(plan.levels[0].groupStart == LSN(640) && plan.levels[0].groupCount == 8 && plan.levels[1].groupCount == 1)
    }

    @Test func truncationWaitsForSettleAndKeepsWhatIsRetained() {
        var slot = Self.slot(position: 10 * Self.size, archived: 10 * Self.size)
        slot.lastSegment = SlotState.ShippedObject(digest: Bytes16(high: 0, low: 1), range: LSN(9 * Self.size)..<LSN(10 * Self.size))
        var plan = ShipPlanTests.plan(slot, durable: 10 * Self.size, settle: 100, retain: 2 * Self.size, now: 50)
        #expect(plan.next(now: 99).isEmpty)
        #expect(plan.next(now: 100) == [.truncate(LSN(0)..<LSN(7 * Self.size))])
        plan.truncated()
        #expect(plan.next(now: 1000).isEmpty, "once is enough")
    }

    @Test func offStopsOnlyPeriodicTails() {
        var plan = ShipPlanTests.plan(Self.slot(), durable: 100, tailInterval: nil)
        #expect(plan.next(now: 1 << 40).isEmpty)
        plan.finish(upTo: LSN(100), truncates: false)
        #expect(plan.next(now: 1 << 40) == [.shipTail(LSN(0)..<LSN(100), level: 0)])
    }

    @Test func aRecordedRangeIsShippedAgainEvenWhereTailsAreOff() {
        var slot = Self.slot()
        slot.levels[0].inFlight = LSN(0)..<LSN(40)
        var plan = ShipPlanTests.plan(slot, durable: 100, tailInterval: nil)
        #expect(plan.next(now: 1) == [.shipTail(LSN(0)..<LSN(40), level: 0)])
    }
}
