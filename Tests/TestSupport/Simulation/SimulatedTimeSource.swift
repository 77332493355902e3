import Foundation
import WAL

/// A clock that moves only when told to, or when somebody sleeps.
///
/// With `sleeping: .advances`, `sleep` moves the clock itself and returns at once, so no test waits. With `.waits` it blocks
/// its thread until `advance` has moved the clock far enough: the test decides what happens when. Safe from any thread.
package final class SimulatedTimeSource: TimeSource, @unchecked Sendable {
    package enum Sleeping: Sendable { case advances, waits }

    // Unchecked because of the variables below, which are touched only while `condition` is locked.
    private let condition = NSCondition()
    private let sleeping: Sleeping
    private var elapsed: UInt64 = 0
    private var civil: UInt64
    private var sleepers = 0

    /// Starts at `now` (nanoseconds since the epoch; by default 2026-01-01T00:00:00Z) with a monotonic time of 0.
    package init(now: UInt64 = 1_767_225_600_000_000_000, sleeping: Sleeping = .advances) {
        civil = now
        self.sleeping = sleeping
    }

    package func now() -> UInt64 { condition.withLock { civil } }

    package func monotonic() -> UInt64 { condition.withLock { elapsed } }

    package func sleep(nanoseconds: UInt64) {
        condition.withLock {
            let (sum, overflow) = elapsed.addingReportingOverflow(nanoseconds)
            let deadline = overflow ? UInt64.max : sum
            if sleeping == .advances { return move(by: deadline - elapsed) }
            sleepers += 1
            defer { sleepers -= 1 }
            while elapsed < deadline { condition.wait() }
        }
    }

    /// Lets time pass, and wakes whoever has slept long enough.
    package func advance(nanoseconds: UInt64) { condition.withLock { move(by: nanoseconds) } }

    /// Sets civil time alone, as an operator or NTP does.
    package func step(to now: UInt64) { condition.withLock { civil = now } }

    /// Threads that are asleep now (`.waits` only).
    package var sleepingThreads: Int { condition.withLock { sleepers } }

    private func move(by nanoseconds: UInt64) {
        elapsed += nanoseconds
        civil &+= nanoseconds
        condition.broadcast()
    }
}
