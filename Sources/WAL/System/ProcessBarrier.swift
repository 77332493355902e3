import CLinux

/// membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED: has every running thread of the process pass a full memory barrier, so that a thread
/// that stores and then loads all the time needs none of its own. A few microseconds; for what happens rarely.
enum ProcessBarrier {
    /// Whether the kernel has it (Linux 4.14) and lets this process use it. Registers the process for it, once.
    static let isAvailable = walship_register_barrier() == 0

    /// Every other thread has passed a full barrier between the call and the return.
    static func pass() {
        let status = walship_barrier()
        precondition(status == 0, "membarrier: \(ErrorText.describe(errno: status))")
    }
}
