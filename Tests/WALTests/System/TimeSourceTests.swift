import Foundation
import Glibc
import Testing
import TestSupport
import WAL

@Suite struct TimeSourceTests {
    @Test func linuxClockTellsCivilAndMonotonicTime() {
        let time = LinuxTimeSource()
        var civil = timespec()
        clock_gettime(CLOCK_REALTIME, &civil)
        let seconds = UInt64(civil.tv_sec)
        #expect(time.now() / 1_000_000_000 >= seconds)
        let before = time.monotonic()
        #expect(time.monotonic() >= before)
    }

    @Test func linuxSleepLastsAtLeastAsLongAsAsked() {
        let time = LinuxTimeSource()
        let before = time.monotonic()
        time.sleep(nanoseconds: 2_000_000)
        #expect(time.monotonic() - before >= 2_000_000)
        time.sleep(nanoseconds: 0)
    }

    @Test func simulatedSleepMovesBothClocks() {
        let time = SimulatedTimeSource(now: 1000)
        time.sleep(nanoseconds: 500)
        #expect(time.now() == 1500)
        #expect(time.monotonic() == 500)
        time.step(to: 10)
        #expect(time.now() == 10)
        #expect(time.monotonic() == 500, "steps of civil time do not move monotonic time")
    }

    @Test func simulatedSleeperWakesWhenItsTimeHasCome() async {
        let time = SimulatedTimeSource(sleeping: .waits)
        let wokenAt = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                time.sleep(nanoseconds: 100)
                continuation.resume(returning: time.monotonic())
            }
            Thread.detachNewThread {
                while time.sleepingThreads == 0 { sched_yield() }
                time.advance(nanoseconds: 99)
                time.advance(nanoseconds: 1)
            }
        }
        #expect(wokenAt == 100)
    }
}
