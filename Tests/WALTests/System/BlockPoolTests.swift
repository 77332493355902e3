import Testing

@testable import WAL

@Suite struct BlockPoolTests {
    /// What a user of the pool does: fills all that it asked for.
    private func filled(_ pool: BlockPool, _ count: Int, with byte: UInt8) -> [UInt8] {
        unsafe pool.array(capacity: count) { buffer, initialized in
            unsafe buffer.initialize(repeating: byte)
            initialized = buffer.count
        }
    }

    private func address(_ bytes: [UInt8]) -> UInt { unsafe bytes.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } }

    @Test(arguments: [1, 4095, 4096]) func memoryThatWasGivenIsUsedAgainForAsMuchOrLess(count: Int) {
        let pool = BlockPool(countMax: 1)
        var first: [UInt8]? = filled(pool, 4096, with: 1)
        let place = address(first ?? [])
        pool.give(first.take() ?? [])
        let second = filled(pool, count, with: 2)
        #expect(address(second) == place)
        #expect(second == [UInt8](repeating: 2, count: count))
        pool.give(second)
    }

    @Test func whatIsLargerThanWhatWasGivenIsWhole() {
        let pool = BlockPool(countMax: 1)
        pool.give([1, 2, 3])
        #expect(filled(pool, 5000, with: 7) == [UInt8](repeating: 7, count: 5000))
    }

    @Test func anArrayThatSomebodyStillHasIsNotChanged() {
        let pool = BlockPool(countMax: 1)
        let kept = filled(pool, 4096, with: 1)
        pool.give(kept)
        let other = filled(pool, 4096, with: 2)
        #expect(kept == [UInt8](repeating: 1, count: 4096))
        #expect(other == [UInt8](repeating: 2, count: 4096))
    }

    @Test func whatWasNotInitializedIsNotPartOfTheArray() {
        let pool = BlockPool(countMax: 1)
        pool.give([9, 9, 9, 9])
        let bytes = unsafe pool.array(capacity: 4) { buffer, initialized in
            unsafe buffer[0] = 1
            initialized = 1
        }
        #expect(bytes == [1])
    }

    @Test func noMoreThanTheGivenNumberIsKept() {
        let pool = BlockPool(countMax: 2)
        for byte in 1...3 as ClosedRange<UInt8> { pool.give([byte, byte]) }
        #expect(pool.idleCount == 2)
        _ = filled(pool, 2, with: 4)
        #expect(pool.idleCount == 1)
        BlockPool.empty.give([5, 5])
        #expect(BlockPool.empty.idleCount == 0)
    }
}
