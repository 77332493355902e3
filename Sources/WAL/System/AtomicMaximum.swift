import Synchronization

extension Atomic where Value == UInt64 {
    /// Stores `value` unless what is there is greater already; returns what is there then. Acquiring and releasing.
    ///
    /// In place of `max(_:ordering:)`, which in Swift 6.3 on x86-64 compares as if the numbers were signed (`AtomicMaximumTests`).
    @discardableResult
    func raise(to value: UInt64) -> UInt64 {
        var found = load(ordering: .acquiring)
        while found < value {
            let (exchanged, now) = weakCompareExchange(
                expected: found, desired: value, successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring)
            if exchanged { return value }
            found = now
        }
        return found
    }
}
