import Synchronization

/// A counting semaphore on which a thread waits, over futex(2) so that a timeout follows the monotonic clock. Any thread.
@safe package final class Parker: Sendable {
    // SAFETY: allocated and initialised once here, freed in deinit; touched only as an atomic and by the kernel.
    private nonisolated(unsafe) let word: UnsafeMutablePointer<Atomic<UInt32>>

    package init() {
        unsafe word = .allocate(capacity: 1)
        unsafe word.initialize(to: Atomic(0))
    }

    deinit { unsafe word.deallocate() }

    /// Waits for one `unpark`.
    package func park() {
        while !park(nanoseconds: Futex.roundMax) {}
    }

    /// Waits for one `unpark`, at most `nanoseconds`; false when the time ran out.
    package func park(nanoseconds: UInt64) -> Bool {
        let time = LinuxTimeSource()
        let start = time.monotonic()
        while true {
            if take() { return true }
            let waited = time.monotonic() - start
            guard waited < nanoseconds else { return false }
            // SAFETY: Atomic<UInt32> has the layout of UInt32, and the word outlives the wait: the caller holds this object.
            unsafe Futex.wait(UnsafeRawPointer(word), while: 0, nanoseconds: nanoseconds - waited)
        }
    }

    private func take() -> Bool {
        var count = unsafe word.pointee.load(ordering: .acquiring)
        while count > 0 {
            let (exchanged, found) = unsafe word.pointee.weakCompareExchange(
                expected: count, desired: count - 1, ordering: .acquiringAndReleasing)
            if exchanged { return true }
            count = found
        }
        return false
    }

    /// Lets one waiter go on, now or when it comes.
    package func unpark() {
        unsafe word.pointee.add(1, ordering: .acquiringAndReleasing)
        unsafe Futex.wake(UnsafeRawPointer(word), count: 1)
    }
}
