import CLinux
import Glibc

/// Waiting on a word of memory that processes share, over futex(2): the kernel finds it by file and offset, and a mapping for reading only will do.
enum SharedFutex {
    /// Waits while the four aligned bytes at `word` are `value`, at most `nanoseconds`. May return for no reason.
    static func wait(_ word: UnsafeRawPointer, while value: UInt32, nanoseconds: UInt64) {
        // SAFETY: the caller keeps the memory mapped; the kernel only compares it.
        let status = unsafe walship_shared_futex_wait(word.assumingMemoryBound(to: UInt32.self), value, nanoseconds)
        precondition([0, EAGAIN, ETIMEDOUT, EINTR].contains(status), "futex(2) failed with errno \(status)")
    }

    /// Wakes everybody who waits on `word`, in any process.
    static func wake(_ word: UnsafeRawPointer) {
        unsafe walship_shared_futex_wake(word.assumingMemoryBound(to: UInt32.self))
    }
}
