import Foundation
import Testing
import TestSupport
@testable import WAL

/// Waiting for positions: each wait ends, with the position or with a reason.
@Suite(.timeLimit(.minutes(1))) struct WaitingTests {
    @Test(arguments: StoreKind.allCases)
    func positionsToComeAreWaitedFor(_ kind: StoreKind) async throws {
        try await kind.run { place in
            let log = try place.open()
            let target = LSN(27)
            let tasks = [
                Task { try await log.waitUntilWritten(target) }, Task { try await log.waitUntilDurable(target) },
                Task { try await log.waitUntilDurable(LSN(26)) },
            ]
            let blocked = [
                Task { try await offPool { try log.waitUntilWritten(target) } }, Task { try await offPool { try log.waitUntilDurable(target) } },
            ]
            while log.core.committer.durableWaiters.count < 3 { await Task.yield() }
            for number in 0..<3 { try log.append([UInt8(number)]) }
            try await log.sync()
            for task in blocked { try await task.value }
            for task in tasks { try await task.value }
            #expect(log.durableLSN == target)
            try log.close()
        }
    }

    @Test func whatIsAppendedIsFlushedForWhoeverWaits() throws {
        let log = try LogFixture().open()
        let end = try log.append([1, 2, 3]).advanced(by: 11)
        #expect(try log.waitUntilWritten(end, timeout: .zero))
        #expect(try log.waitUntilDurable(end, timeout: .seconds(30)))
        #expect(log.durableLSN == end)
        try log.append([4])
        try log.waitUntilDurable(log.endLSN)
        #expect(log.durableLSN == log.endLSN)
        try log.close()
    }

    @Test func everyWaitHasAnEnd() async throws {
        let log = try LogFixture().open()
        let far = LSN(1000)
        #expect(try !log.waitUntilWritten(far, timeout: .milliseconds(1)))
        #expect(try !log.waitUntilDurable(far, timeout: .milliseconds(1)))
        #expect(try !log.waitUntilDurable(far, timeout: .seconds(-1)))
        for wait in [{ try await log.waitUntilWritten(far) }, { try await log.waitUntilDurable(far) }] as [@Sendable () async throws -> Void] {
            let cancelled = Task { try await wait() }
            cancelled.cancel()
            await #expect(throws: WALError.cancelled) { try await cancelled.value }
        }
        let waits = [
            Task { try await log.waitUntilWritten(far) }, Task { try await log.waitUntilDurable(far) },
            Task { try await offPool { try log.waitUntilWritten(far) } }, Task { try await offPool { try log.waitUntilDurable(far) } },
        ]
        while log.core.committer.durableWaiters.count < 2 { await Task.yield() }
        try log.close()
        let closed = WALError.stopped(cause: .closed)
        for wait in waits { await #expect(throws: closed) { try await wait.value } }
        await #expect(throws: closed) { try await offPool { try log.waitUntilDurable(far) } }
        #expect(throws: closed) { _ = try log.waitUntilWritten(far, timeout: .seconds(60)) }
    }

    /// For what is cut off nobody waits on, whether it had been appended or was still to come.
    @Test(arguments: StoreKind.allCases)
    func aCutEndsTheWaitsForWhatLiesAbove(_ kind: StoreKind) async throws {
        try await kind.run { place in
            let log = try place.open()
            for _ in 0..<10 { try log.append([1]) }
            try await log.sync()
            let far = LSN(1000)
            let waits = [
                Task { try await log.waitUntilDurable(far) }, Task { try await log.waitUntilWritten(far) },
                Task { try await offPool { try log.waitUntilDurable(far) } },
                Task { try await offPool { _ = try log.waitUntilDurable(far, timeout: .seconds(60)) } },
                Task { try await offPool { try log.waitUntilWritten(far) } },
            ]
            let below = Task { try await log.waitUntilDurable(LSN(45)) }
            try await below.value
            while log.core.committer.durableWaiters.count < 3 { await Task.yield() }
            try log.truncateAfter(LSN(36))
            for wait in waits.dropLast(1) where wait != waits[1] {
                await #expect(throws: WALError.positionLost(head: .zero)) { try await wait.value }
            }
            // Those who look by themselves may have begun after the cut: then they wait for what is appended now.
            try log.append([UInt8](repeating: 0, count: 1000))
            for wait in [waits[1], waits[4]] {
                do { try await wait.value } catch WALError.positionLost(head: .zero) {}
            }
            try await log.waitUntilDurable(far)
            #expect(log.durableLSN > far)
            try log.close()
        }
    }
}

/// Runs what blocks on a thread of its own.
private func offPool(_ body: @escaping @Sendable () throws -> Void) async throws {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}
