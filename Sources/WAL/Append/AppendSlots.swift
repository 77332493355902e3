import CLinux
import Synchronization

/// Where appenders announce themselves, so that the contiguous written watermark needs no lock.
///
/// An appender announces a lower bound of what it is going to reserve *before* it reserves, and clears its slot when its bytes are in
/// place. A watermark reader loads the tail **once and first**, then the slots. Why that suffices, and with which orderings:
/// docs/decisions/0006-watermark.md.
///
/// Each of the first 64 threads that append at one time has a slot of its own, found by its number, and announces itself with a plain
/// store; further threads share slots, which they claim by compare-and-swap. An idle slot keeps the end of the last frame that was appended
/// through it: a lower bound of the tail, so that announcing reads nothing that other threads write.
///
/// Owns the memory of the slots. Any thread.
@safe package final class AppendSlots: Sendable {
    /// Slots of one thread each.
    static let ownCount = Int(WALSHIP_THREAD_NUMBERS)
    /// Slots for the threads beyond those, and for a thread whose own slot is taken (a store's code that appends to the log that called it).
    static let sharedCount = 16
    static let count = ownCount + sharedCount
    /// Two cache lines: the adjacent-line prefetcher of x86-64 fetches lines in pairs.
    private static let stride = 128

    /// A slot's word: a bound in use; or this bit and the bound that its next user announces. As the greatest bit it keeps idle slots out of a
    /// minimum.
    static let idle: UInt64 = 1 << 63
    /// Held without a bound: by one who appends nothing but whom `drain` must wait for.
    static let unbounded: UInt64 = idle - 1
    /// Nobody has used the slot, and it may lie past `used`.
    private static let unused: UInt64 = idle - 2

    /// A slot that is held.
    struct Claim {
        let index: Int
        /// What it announces. Below the tail, unless that has moved back since: whoever reserves looks.
        let bound: UInt64
    }

    // SAFETY: allocated here, freed in deinit; each word is only touched as an atomic.
    private nonisolated(unsafe) let memory: UnsafeMutableRawPointer
    /// Slots from here on have never been used: nobody needs to look at them.
    private let used = Atomic(0)
    /// Has every thread pass a full barrier in `drain`. Where there is none each announcement is one, which costs an append a fifth.
    private let barrier: ProcessBarrier?
    private let announcesByStore: Bool

    init(barrier: ProcessBarrier? = .ofThisProcess) {
        self.barrier = barrier
        announcesByStore = barrier != nil
        unsafe memory = .allocate(byteCount: Self.count * Self.stride, alignment: Self.stride)
        for index in 0..<Self.count {
            let slot = unsafe (memory + index * Self.stride).bindMemory(to: Atomic<UInt64>.self, capacity: 1)
            unsafe slot.initialize(to: Atomic(Self.unused))
        }
    }

    deinit { unsafe memory.deallocate() }

    @inline(__always)
    private func slot(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        // SAFETY: index < count, and init bound this memory to Atomic<UInt64>.
        unsafe (memory + index &* Self.stride).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    // MARK: Appenders

    /// Announces the caller. It reserves only afterwards, by a releasing operation on `tail`, and only at or above the bound. Waits while every
    /// shared slot is taken: each is held for one copy.
    @inline(__always)
    func claim(_ tail: borrowing Atomic<UInt64>) -> Claim {
        let number = Int(walship_thread_number())
        if number >= 0 {
            let word = unsafe slot(number).pointee.load(ordering: .relaxed)
            if word & Self.idle != 0 {
                announce(word ^ Self.idle, in: number)
                return Claim(index: number, bound: word ^ Self.idle)
            }
        }
        return claimElsewhere(number, tail)
    }

    /// Releasing, so that whoever sees it also sees the bytes that the slot's last user put in place.
    @inline(__always)
    private func announce(_ bound: UInt64, in index: Int) {
        if announcesByStore {
            unsafe slot(index).pointee.store(bound, ordering: .releasing)
        } else {
            _ = unsafe slot(index).pointee.exchange(bound, ordering: .sequentiallyConsistent)
        }
    }

    /// The tail has moved back below the bound: announces a lower one. Nothing is reserved yet.
    @inline(never)
    func lower(_ claim: Claim, to bound: UInt64) -> Claim {
        announce(bound, in: claim.index)
        return Claim(index: claim.index, bound: bound)
    }

    /// The caller has reserved from `start` on: nobody waits any more for what lies below.
    @inline(__always)
    func raise(_ claim: Claim, to start: UInt64) {
        unsafe slot(claim.index).pointee.store(start, ordering: .releasing)
    }

    /// The caller's bytes are in place up to `end`; `claim.bound` where it has reserved nothing.
    @inline(__always)
    func clear(_ claim: Claim, end: UInt64) {
        unsafe slot(claim.index).pointee.store(end | Self.idle, ordering: .releasing)
    }

    /// The first use of a thread's own slot, or a slot that is shared.
    @inline(never)
    private func claimElsewhere(_ number: Int, _ tail: borrowing Atomic<UInt64>) -> Claim {
        let bound = tail.load(ordering: .relaxed) & ~LogCore.TailFlag.all
        if number >= 0, unsafe slot(number).pointee.load(ordering: .relaxed) == Self.unused {
            use(number)
            announce(bound, in: number)
            return Claim(index: number, bound: bound)
        }
        var backoff = Backoff()
        while true {
            for index in Self.ownCount..<Self.count {
                let word = unsafe slot(index).pointee.load(ordering: .relaxed)
                guard word & Self.idle != 0 || word == Self.unused else { continue }
                use(index)
                let announced = word == Self.unused ? bound : word ^ Self.idle
                if unsafe slot(index).pointee.compareExchange(
                    expected: word, desired: announced, successOrdering: .sequentiallyConsistent, failureOrdering: .relaxed
                ).exchanged {
                    return Claim(index: index, bound: announced)
                }
            }
            backoff.pause()
        }
    }

    /// Has readers look at the slot from now on.
    private func use(_ index: Int) {
        if used.load(ordering: .relaxed) <= index { used.max(index + 1, ordering: .acquiringAndReleasing) }
    }

    // MARK: Watermark readers

    /// The lowest announced bound, or `tail` where none is lower. The caller loaded `tail` before, once, acquiring.
    func lowest(tail: UInt64) -> UInt64 {
        var lowest = tail
        for index in 0..<used.load(ordering: .acquiring) {
            // Idle is the greatest value, so it never lowers the minimum.
            lowest = min(lowest, unsafe slot(index).pointee.load(ordering: .acquiring))
        }
        return lowest
    }

    /// Holds a slot without a bound, so that `drain` waits for the caller.
    func enter(_ tail: borrowing Atomic<UInt64>) -> Claim {
        let claim = claim(tail)
        announce(Self.unbounded, in: claim.index)
        return claim
    }

    /// Ends what `enter` began.
    func leave(_ claim: Claim) { clear(claim, end: claim.bound) }

    // MARK: Whoever has frozen the tail

    /// Returns when nobody holds a slot who claimed it before the call; whoever claims one later sees what the caller stored before the call.
    /// The caller has frozen the tail, so each is held for a moment only. Throws where that cannot be known: see `ProcessBarrier`.
    func drain() throws(WALError) {
        try barrier?.pass()
        for index in 0..<Self.count {
            var backoff = Backoff()
            while true {
                let word = unsafe slot(index).pointee.load(ordering: .sequentiallyConsistent)
                if word & Self.idle != 0 || word == Self.unused { break }
                backoff.pause()
            }
        }
    }
}
