import CLinux
import Glibc
import Synchronization

/// Where appenders announce themselves, so that the contiguous written watermark needs no lock.
///
/// An appender claims a slot with a lower bound of the LSN that it is going to reserve *before* it reserves, and clears it when
/// its bytes are in place. A watermark reader loads the tail once and first, then every slot: an appender whose reservation
/// lies below that tail had announced itself before it reserved, so either its slot is seen, or its clearing is (and with it
/// its bytes). All of this rests on the single total order of the sequentially consistent operations.
///
/// Owns the memory of the slots. Safe from any thread.
@safe package final class AppendSlots: Sendable {
    /// More than the threads that append at one time on most machines; further appenders wait for a slot to come free.
    static let count = 64
    /// Two cache lines: the adjacent-line prefetcher of x86-64 fetches lines in pairs.
    private static let stride = 128
    private static let idle = UInt64.max

    // SAFETY: allocated here, freed in deinit; each word is only touched as an atomic.
    private nonisolated(unsafe) let memory: UnsafeMutableRawPointer

    init() {
        unsafe memory = .allocate(byteCount: Self.count * Self.stride, alignment: Self.stride)
        for index in 0..<Self.count {
            let slot = unsafe (memory + index * Self.stride).bindMemory(to: Atomic<UInt64>.self, capacity: 1)
            unsafe slot.initialize(to: Atomic(Self.idle))
        }
    }

    deinit { unsafe memory.deallocate() }

    @inline(__always)
    private func slot(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        // SAFETY: index < count, and init bound this memory to Atomic<UInt64>.
        unsafe (memory + index &* Self.stride).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// Claims a slot and publishes `bound`; returns its index. Waits while all slots are taken: each is held for one copy.
    @inline(__always)
    func claim(bound: UInt64) -> Int {
        // Fibonacci hashing: the top six bits pick one of 64 slots.
        let hint = Int(truncatingIfNeeded: ((UInt64(walship_thread_hint()) >> 6) &* 0x9E37_79B9_7F4A_7C15) >> 58)
        if unsafe slot(hint).pointee.compareExchange(
            expected: Self.idle, desired: bound, successOrdering: .sequentiallyConsistent, failureOrdering: .relaxed
        ).exchanged {
            return hint
        }
        return claimElsewhere(after: hint, bound: bound)
    }

    @inline(never)
    private func claimElsewhere(after hint: Int, bound: UInt64) -> Int {
        var backoff = Backoff()
        while true {
            for step in 1...Self.count {
                let index = (hint + step) % Self.count
                if unsafe slot(index).pointee.compareExchange(
                    expected: Self.idle, desired: bound, successOrdering: .sequentiallyConsistent,
                    failureOrdering: .relaxed
                ).exchanged {
                    return index
                }
            }
            backoff.pause()
        }
    }

    /// The appender's bytes are in place.
    @inline(__always)
    func clear(_ index: Int) {
        unsafe slot(index).pointee.store(Self.idle, ordering: .releasing)
    }

    /// The lowest announced bound, or `tail` where none is lower. The caller loaded `tail` before, once.
    func lowest(tail: UInt64) -> UInt64 {
        var lowest = tail
        for index in 0..<Self.count {
            // Idle is the greatest value, so it never lowers the minimum.
            lowest = min(lowest, unsafe slot(index).pointee.load(ordering: .sequentiallyConsistent))
        }
        return lowest
    }
}

/// A short wait that grows: pauses, then yields, then sleeps. For waits that end when another thread's copy ends.
package struct Backoff {
    private var round = 0
    package init() {}
    package mutating func pause() {
        round += 1
        if round < 16 {
            for _ in 0..<(1 << min(round, 6)) { walship_cpu_pause() }
        } else if round < 64 {
            sched_yield()
        } else {
            usleep(50)
        }
    }
}
