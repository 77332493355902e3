import CLinux
import Foundation
import Glibc
import Testing

/// The C shims that the file system tests do not already reach.
@Suite struct CLinuxTests {
    @Test func futexWaitEndsWithItsTimeout() {
        var word: UInt32 = 5
        #expect(walship_futex_wait(&word, 5, 1_000_000) == ETIMEDOUT)
        #expect(walship_futex_wait(&word, 4, 60_000_000_000) == EAGAIN, "another value is not waited for")
    }

    @Test func futexWakeEndsAWait() async {
        let word = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
        word.initialize(to: 0)
        defer { word.deallocate() }
        let address = UInt(bitPattern: word)
        let woken = await withCheckedContinuation { continuation in
            let done = NSCondition()
            Thread.detachNewThread {
                let code = walship_futex_wait(UnsafePointer(bitPattern: address)!, 0, 10_000_000_000)
                done.withLock { done.signal() }
                continuation.resume(returning: code)
            }
            Thread.detachNewThread {
                // The waiter may not be there yet: wake until it has gone, for as long as it would wait by itself.
                done.withLock {
                    let end = Date(timeIntervalSinceNow: 10)
                    while true {
                        walship_futex_wake(UnsafePointer(bitPattern: address)!, 1)
                        if done.wait(until: Date(timeIntervalSinceNow: 0.001)) || Date() > end { break }
                    }
                }
            }
        }
        #expect(woken == 0)
    }

    @Test func threadHintsDifferBetweenThreads() async {
        let mine = walship_thread_hint()
        #expect(walship_thread_hint() == mine)
        // Two threads that live at the same time.
        let (first, second) = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                let first = walship_thread_hint()
                let done = DispatchSemaphore(value: 0)
                Thread.detachNewThread {
                    continuation.resume(returning: (first, walship_thread_hint()))
                    done.signal()
                }
                done.wait()
            }
        }
        #expect(first != second)
    }

    @Test func pausingReturns() { walship_cpu_pause() }
}
