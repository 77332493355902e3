import CLinux
import Glibc
import Synchronization

/// A counting semaphore on which a thread waits, over futex(2) so that a timeout follows the monotonic clock. Any thread.
@safe package final class Parker: Sendable {
    // SAFETY: allocated and initialised once here, freed in deinit; touched only as an atomic and by the kernel.
    private nonisolated(unsafe) let word: UnsafeMutablePointer<Atomic<UInt32>>
    /// Nanoseconds of one wait in the kernel; a wait without an end of its own is made of these.
    static let roundMax: UInt64 = 3_600_000_000_000

    package init() {
        unsafe word = .allocate(capacity: 1)
        unsafe word.initialize(to: Atomic(0))
    }

    deinit { unsafe word.deallocate() }

    /// Waits for one `unpark`.
    package func park() {
        while !park(nanoseconds: Parker.roundMax) {}
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
            let address = unsafe UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self)
            let status = unsafe walship_futex_wait(address, 0, min(nanoseconds - waited, Parker.roundMax))
            precondition([0, EAGAIN, ETIMEDOUT, EINTR].contains(status), "futex(2) failed with errno \(status)")
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
        let address = unsafe UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self)
        unsafe walship_futex_wake(address, 1)
    }
}
