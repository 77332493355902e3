import CLinux
import Synchronization

/// membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED: has every running thread of the process pass a full memory barrier, so that a thread
/// that stores and then loads all the time needs none of its own. A few microseconds; for what happens rarely.
struct ProcessBarrier: Sendable {
    /// Whether the kernel has it (Linux 4.14) and lets this process use it: a filter of system calls (seccomp(2)) may not. Registers the process, once,
    /// and tries it.
    private static let isAvailable = walship_register_barrier() == 0 && walship_barrier() == 0
    /// It has failed since: the process has been given a filter.
    private static let hasFailed = Atomic(false)

    /// Nil where this process cannot have it, so that each thread has to pass its own barriers.
    static var ofThisProcess: ProcessBarrier? {
        guard isAvailable, !hasFailed.load(ordering: .relaxed) else { return nil }
        return ProcessBarrier {
            let code = walship_barrier()
            if code != 0 { hasFailed.store(true, ordering: .relaxed) }
            return code
        }
    }

    /// 0 or an errno.
    private let call: @Sendable () -> Int32

    init(_ call: @escaping @Sendable () -> Int32) { self.call = call }

    /// Every other thread has passed a full barrier between the call and the return. `.io` where it is not to be had any more: logs that are opened
    /// from then on do without.
    func pass() throws(WALError) {
        let code = call()
        if code != 0 { throw .io(operation: "membarrier", path: "the threads of this process", errno: code) }
    }
}
