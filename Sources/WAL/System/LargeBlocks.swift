internal import CLinux

/// How this process's allocator treats blocks as large as segments.
package enum LargeBlocks {
    /// Bytes from which on a block is mapped by itself: above what is allocated often, below a segment.
    private static let threshold: Int32 = 256 << 10

    /// Has the allocator map each large block by itself, so that it goes back to the system when it is freed. Left alone, glibc raises the limit to
    /// the size of the first large block that is freed, keeps the next ones in its heaps, and their holes with them (mallopt(3),
    /// M_MMAP_THRESHOLD): a program that handles a segment at a time then holds several times as much. Costs page faults, a few
    /// milliseconds for 16 MiB. For programs, not for libraries: call it first.
    package static func areReturned() {
        // Where it is refused, memory is as it was: nothing else depends on it.
        _ = walship_map_large_blocks(threshold)
    }
}
