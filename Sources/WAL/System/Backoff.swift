import CLinux
import Glibc

/// A short wait that grows: pauses, then yields, then sleeps. For waits that end when another thread's copy ends.
package struct Backoff {
    private var round = 0
    package init() {}
    package mutating func pause() {
        round += 1
        if round < 16 {
            for _ in 0..<(1 << min(round, 6)) { walship_cpu_pause() }
        } else if round < 64 {
            sched_yield()
        } else {
            usleep(50)
        }
    }
}
