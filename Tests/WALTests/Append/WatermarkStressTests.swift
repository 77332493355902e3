import Synchronization
import Testing
import TestSupport
@testable import WAL

/// The real slots and a real tail under threads that never rest: below a watermark every byte is in place.
@Suite(.serialized) struct WatermarkStressTests {
    /// A tail, the slots, and a byte for each position that says whether it is in place.
    private final class Field: Sendable {
        let tail = Atomic<UInt64>(0)
        let slots: AppendSlots
        let isOver = Atomic(false)
        private let places: [Place]
        private final class Place: Sendable { let isTaken = Atomic(false) }

        init(size: Int, hasProcessBarrier: Bool) {
            slots = AppendSlots(barrier: hasProcessBarrier ? .ofThisProcess : nil)
            places = (0..<size).map { _ in Place() }
        }

        /// Appends one byte, as `LogCore.reserve` and `complete` do; false when the field is full.
        func append() -> Bool {
            let claim = slots.claim(tail)
            var start = claim.bound
            while start < UInt64(places.count) {
                let (exchanged, found) = tail.weakCompareExchange(
                    expected: start, desired: start + 1, successOrdering: .acquiringAndReleasing, failureOrdering: .relaxed)
                if exchanged {
                    if start != claim.bound { slots.raise(claim, to: start) }
                    places[Int(start)].isTaken.store(true, ordering: .relaxed)
                    slots.clear(claim, end: start + 1)
                    return true
                }
                start = found
            }
            slots.clear(claim, end: claim.bound)
            return false
        }

        /// Whether everything from `from` to the watermark is in place; the watermark, read in the right order or the wrong one.
        func check(from: UInt64, slotsFirst: Bool) -> (watermark: UInt64, isTrue: Bool) {
            let watermark: UInt64
            if slotsFirst {
                let lowest = slots.lowest(tail: .max)
                watermark = min(lowest, tail.load(ordering: .acquiring))
            } else {
                watermark = slots.lowest(tail: tail.load(ordering: .acquiring))
            }
            // From the watermark down: what is missing, is missing at the end.
            var position = watermark
            while position > from {
                position -= 1
                if !places[Int(position)].isTaken.load(ordering: .relaxed) { return (watermark, false) }
            }
            return (watermark, true)
        }
    }

    /// False watermarks and checks, in rounds until one is false or the rounds are over.
    private func run(slotsFirst: Bool, rounds: Int, hasProcessBarrier: Bool = true) throws -> (lies: Int, checks: Int) {
        var (lies, checks) = (0, 0)
        for _ in 0..<rounds {
            let field = Field(size: 1 << 16, hasProcessBarrier: hasProcessBarrier)
            let writers = try (0..<3).map { _ in
                try NamedThread(name: "appender") { while field.append() {} }
            }
            var from: UInt64 = 0
            while from < 1 << 16 {
                let (watermark, isTrue) = field.check(from: from, slotsFirst: slotsFirst)
                checks += 1
                if !isTrue { lies += 1 }
                from = max(from, watermark)
            }
            writers.forEach { $0.join() }
            if lies > 0 { break }
        }
        return (lies, checks)
    }

    @Test(arguments: [true, false]) func belowAWatermarkEveryByteIsInPlace(_ hasProcessBarrier: Bool) throws {
        let (lies, checks) = try run(slotsFirst: false, rounds: 40, hasProcessBarrier: hasProcessBarrier)
        #expect(lies == 0, "\(lies) false watermarks in \(checks) checks")
        #expect(checks > 1000)
    }

    /// The same test with the reader's two steps swapped: it must be noticed, or the test above proves nothing.
    @Test func slotsReadBeforeTheTailAreCaught() throws {
        let (lies, checks) = try run(slotsFirst: true, rounds: 2000)
        #expect(lies > 0, "no false watermark in \(checks) checks")
    }
}
