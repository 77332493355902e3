import CMutexHooks
import Dispatch
import Foundation
import Synchronization

/// Shows that a sanitizer is alive before its silence is believed: `Planted race` and `Planted overflow` do what must be reported, `Planted mutex` what
/// must not. Each ends by itself; the sanitizer makes the exit status of what it has reported.
@main enum Planted {
    /// Where the mutex guards it and where it does not.
    final class Shared: @unchecked Sendable {
        // Unchecked: the race is what this is for.
        let mutex = Mutex(())
        var value = 0
    }

    static let shared = Shared()

    static func main() {
        switch CommandLine.arguments.dropFirst().first {
        case "race": onTwoThreads(race)
        case "mutex":
            onTwoThreads(guarded)
            precondition(shared.value == 200_000, "the mutex excludes nobody: \(shared.value)")
        case "overflow":
            let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: 16)
            for index in 0...CommandLine.arguments.count * 8 { (bytes + index).pointee = 1 }
            bytes.deallocate()
        default: exit(2)
        }
    }

    private nonisolated static func race() {
        for _ in 0..<1000 { shared.value += 1 }
    }

    private nonisolated static func guarded() {
        for _ in 0..<100_000 { shared.mutex.withLock { _ in shared.value += 1 } }
    }

    private nonisolated static func onTwoThreads(_ body: @escaping @Sendable () -> Void) {
        let ends = DispatchGroup()
        for _ in 0..<2 {
            ends.enter()
            Thread.detachNewThread {
                body()
                ends.leave()
            }
        }
        ends.wait()
    }
}
