import CLinux
import Foundation
import Glibc
import Testing
@testable import WAL

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

    @Test func threadsThatLiveAtOneTimeHaveNumbersOfTheirOwnAndGiveThemBack() {
        final class Numbers: @unchecked Sendable {
            // Guarded by its lock.
            let lock = NSCondition()
            var found: [Int32] = []
            var isOver = false
        }
        let limit = Int(WALSHIP_THREAD_NUMBERS)
        #expect(walship_thread_number() == walship_thread_number())
        for _ in 0..<3 {
            let numbers = Numbers()
            let threads = (0..<limit + 8).map { _ in
                try? NamedThread(name: "number") {
                    let number = walship_thread_number()
                    numbers.lock.withLock {
                        if number == walship_thread_number() { numbers.found.append(number) }
                        numbers.lock.broadcast()
                        while !numbers.isOver { numbers.lock.wait() }
                    }
                }
            }
            let found = numbers.lock.withLock {
                while numbers.found.count < threads.count { numbers.lock.wait() }
                numbers.isOver = true
                numbers.lock.broadcast()
                return numbers.found
            }
            threads.forEach { $0?.join() }
            // Other tests' threads may have some of the numbers.
            let own = found.filter { $0 >= 0 }
            #expect(own.count <= limit && own.count > limit / 2 && Set(own).count == own.count)
            #expect(own.allSatisfy { $0 < limit })
            #expect(found.count == limit + 8)
        }
    }

    @Test func pausingReturns() { walship_cpu_pause() }
}
