import CLinux
import Glibc

/// Waiting on a word of this process's own memory, over futex(2), so that a timeout follows the monotonic clock.
enum Futex {
    /// Nanoseconds of one wait in the kernel; a wait without an end of its own is made of these.
    static let roundMax: UInt64 = 3_600_000_000_000

    /// Waits while the four aligned bytes at `word` are `value`, at most `nanoseconds`, at most `roundMax`. May return for no reason.
    static func wait(_ word: UnsafeRawPointer, while value: UInt32, nanoseconds: UInt64 = roundMax) {
        // SAFETY: the caller keeps the memory; the kernel only compares it.
        let status = unsafe walship_futex_wait(
            word.assumingMemoryBound(to: UInt32.self), value, min(nanoseconds, roundMax))
        precondition([0, EAGAIN, ETIMEDOUT, EINTR].contains(status), "futex(2) failed with errno \(status)")
    }

    /// Wakes `count` of those who wait on `word`.
    static func wake(_ word: UnsafeRawPointer, count: Int32) {
        unsafe walship_futex_wake(word.assumingMemoryBound(to: UInt32.self), count)
    }
}
