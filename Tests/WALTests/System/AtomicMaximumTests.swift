import Synchronization
import Testing
@testable import WAL

@Suite struct AtomicMaximumTests {
    /// Beyond 2⁶³ too, where `Atomic.max` of Swift 6.3 on x86-64 takes numbers for negative ones.
    @Test func ofAnyTwoNumbersTheGreaterStays() {
        let numbers: [UInt64] = [0, 1, 1 << 31, UInt64(Int64.max) - 1, UInt64(Int64.max), 1 << 63, (1 << 63) + 1, .max - 1, .max]
        for first in numbers {
            for second in numbers {
                let word = Atomic(first)
                #expect(word.raise(to: second) == max(first, second))
                #expect(word.load(ordering: .relaxed) == max(first, second))
            }
        }
    }

    @Test func nobodysNumberIsLostBetweenThreads() throws {
        let word = Atomic<UInt64>(0)
        let start = UInt64(Int64.max) - 40_000
        let threads = try (0..<4 as Range<UInt64>).map { thread in
            try NamedThread(name: "raiser") {
                for number in 0..<20_000 as Range<UInt64> {
                    let value = start + number * 4 + thread
                    if word.raise(to: value) < value { return }
                }
            }
        }
        threads.forEach { $0.join() }
        #expect(word.load(ordering: .relaxed) == start + 79_999)
    }
}
