import Synchronization

/// Where the threads of a group of commits sleep, and are told together: one futex(2) call wakes a whole group, however many there are.
///
/// Groups end in the order of their numbers, so one number says which are over, and a woken thread needs no lock to learn that it may go.
/// At most two groups have threads at a time: odd and even ones sleep on a word each. A word only grows, at each event of its groups, so
/// whoever looked before the event does not fall asleep after it. Any thread.
@safe final class GroupGate: Sendable {
    enum Outcome {
        case over
        case failed
        /// One of the group's threads is to lead it: the caller, unless somebody else was faster.
        case asked
    }

    /// Bytes between the two words: two cache lines.
    private static let stride = 128
    /// In `lastOver`: no group ends well any more.
    private static let failed = UInt64.max

    private let lastOver = Atomic<UInt64>(0)
    /// The last group of which a thread was asked to lead.
    private let askedGroup = Atomic<UInt64>(0)
    // SAFETY: allocated and initialised here, freed in deinit; touched only as atomics and by the kernel.
    private nonisolated(unsafe) let bells: UnsafeMutableRawPointer

    init() {
        unsafe bells = .allocate(byteCount: 2 * Self.stride, alignment: Self.stride)
        for index in 0..<2 {
            let bell = unsafe (bells + index * Self.stride).bindMemory(to: Atomic<UInt32>.self, capacity: 1)
            unsafe bell.initialize(to: Atomic(0))
        }
    }

    deinit { unsafe bells.deallocate() }

    private func bell(_ group: UInt64) -> UnsafeMutablePointer<Atomic<UInt32>> {
        // SAFETY: 0 or 1, and init bound this memory to Atomic<UInt32>.
        unsafe (bells + Int(group % 2) * Self.stride).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    /// Sleeps until the group is over, the log has failed, or, with `mayLead`, one of its threads is asked to lead. Who has been told so once
    /// does not ask to hear it again.
    func wait(_ group: UInt64, mayLead: Bool) -> Outcome {
        while true {
            // The word first: what happens after this load keeps the wait from beginning.
            let seen = unsafe bell(group).pointee.load(ordering: .acquiring)
            let over = lastOver.load(ordering: .acquiring)
            if over == Self.failed { return .failed }
            if over >= group { return .over }
            if mayLead && askedGroup.load(ordering: .acquiring) == group { return .asked }
            // SAFETY: Atomic<UInt32> has the layout of UInt32, and the word outlives the wait: the caller holds this object.
            unsafe Futex.wait(UnsafeRawPointer(bell(group)), while: seen)
        }
    }

    /// One of the group's threads leads it. At least one waits, or is about to.
    func ask(_ group: UInt64) {
        // Whoever asks may be late: that group has been led by somebody else, and a thread of a later one asked. Which must not be forgotten.
        askedGroup.raise(to: group)
        ring(group, count: 1)
    }

    /// The group is over: its threads go.
    func end(_ group: UInt64) {
        // A failure stays.
        lastOver.raise(to: group)
        ring(group, count: .max)
    }

    /// Everybody is told, now and later.
    func fail() {
        lastOver.raise(to: Self.failed)
        ring(0, count: .max)
        ring(1, count: .max)
    }

    private func ring(_ group: UInt64, count: Int32) {
        unsafe bell(group).pointee.add(1, ordering: .acquiringAndReleasing)
        unsafe Futex.wake(UnsafeRawPointer(bell(group)), count: count)
    }
}
