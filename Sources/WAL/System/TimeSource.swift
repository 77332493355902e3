import Glibc

/// Where `WAL` and everything above it gets the time from, and waits for it to pass: tests pass a simulated one. Safe from
/// any thread.
package protocol TimeSource: Sendable {
    /// Nanoseconds since the Unix epoch, by the machine's idea of civil time: it may step in either direction. A clock that
    /// stands before the epoch reads as less than a second.
    func now() -> UInt64
    /// Nanoseconds since some moment before the process started; never goes back.
    func monotonic() -> UInt64
    /// Returns when at least that much monotonic time has passed. Blocks the thread: never call it on the cooperative pool.
    func sleep(nanoseconds: UInt64)
}

/// The clocks of the running kernel: CLOCK_REALTIME and CLOCK_MONOTONIC (clock_gettime(2)).
package struct LinuxTimeSource: TimeSource {
    package init() {}

    package func now() -> UInt64 { LinuxTimeSource.read(CLOCK_REALTIME) }

    package func monotonic() -> UInt64 { LinuxTimeSource.read(CLOCK_MONOTONIC) }

    package func sleep(nanoseconds: UInt64) {
        let (sum, overflow) = monotonic().addingReportingOverflow(nanoseconds)
        let deadline = overflow ? UInt64(Int64.max) : min(sum, UInt64(Int64.max))
        var until = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        // Until a point in time, so that a signal does not make the sleep longer.
        while unsafe clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nil) == EINTR {}
    }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        let result = unsafe clock_gettime(clock, &time)
        precondition(result == 0, "clock_gettime: \(ErrorText.describe(errno: errno))")
        return UInt64(max(0, time.tv_sec)) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
