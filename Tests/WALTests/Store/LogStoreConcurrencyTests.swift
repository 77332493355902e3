import Foundation
import Synchronization
import Testing
import TestSupport
import WAL

/// Many threads on one log: what was acknowledged is there once, in order, whole.
@Suite(.serialized) struct LogStoreConcurrencyTests {
    @Test(arguments: StoreKind.allCases)
    func everyAcknowledgedRecordIsFoundOnce(_ kind: StoreKind) throws {
        let seed = UInt64.random(in: 0...999_999)
        try kind.run { place in
            var log = try place.open()
            let writers = 4
            let perWriter = kind == .segmentsOnLinux ? 150 : 400
            let acknowledged = Recorder<(LSN, Int, Int)>()
            let problems = Recorder<String>()
            let done = Atomic(0)
            let shared = log
            onThreads(writers + 2) { thread in
                var random = SeededGenerator(seed: seed &+ UInt64(thread))
                do {
                    if thread < writers {
                        defer { done.add(1, ordering: .sequentiallyConsistent) }
                        for number in 0..<perWriter {
                            let count = number % 50 == 7 ? Int.random(in: 0..<30_000, using: &random) : Int.random(in: 8..<300, using: &random)
                            let tag = thread * perWriter + number
                            let lsn = try shared.append(sampleRecord(tag, count: count))
                            if Int.random(in: 0..<4, using: &random) == 0 {
                                try shared.sync()
                                if shared.durableLSN <= lsn { problems.append("durable \(shared.durableLSN) after syncing \(lsn)") }
                            }
                            acknowledged.append((lsn, tag, count))
                        }
                    } else if thread == writers {
                        // Durable records only, in order, while they come and go.
                        while done.load(ordering: .sequentiallyConsistent) < writers {
                            var last: LSN?
                            for element in shared.iterFrom(shared.headLSN, ifTruncated: .startAtHead) {
                                switch element {
                                case .success(let record):
                                    if let last, record.lsn <= last { problems.append("\(record.lsn) after \(last)") }
                                    last = record.lsn
                                case .failure(.positionLost): break
                                case .failure(let error): problems.append("iterating: \(error)")
                                }
                            }
                        }
                    } else {
                        while done.load(ordering: .sequentiallyConsistent) < writers {
                            let head = shared.headLSN
                            let target = LSN(head.rawValue + (shared.durableLSN.rawValue - min(head.rawValue, shared.durableLSN.rawValue)) / 64)
                            try shared.truncateBefore(target)
                            usleep(2000)
                        }
                    }
                } catch {
                    problems.append("thread \(thread): \(error)")
                }
            }
            #expect(problems.values.isEmpty, "seed \(seed): \(problems.values.prefix(5))")
            for reopened in [false, true] {
                let head = log.headLSN
                let expected = acknowledged.values.filter { $0.0 >= head }.sorted { $0.0 < $1.0 }
                let found = try log.records(upTo: .written)
                #expect(found.map(\.lsn) == expected.map(\.0), "seed \(seed), reopened \(reopened)")
                for (record, (_, tag, count)) in zip(found, expected) where record.data != sampleRecord(tag, count: count) {
                    Issue.record("seed \(seed): record at \(record.lsn) is not \(tag)")
                }
                try log.close()
                log = try place.open()
            }
            try log.close()
        }
    }

    /// close() beside appends, syncs and large records: each append that returned is there, nobody hangs, nothing traps.
    @Test(arguments: StoreKind.allCases)
    func closingBesideAppendsKeepsWhatReturned(_ kind: StoreKind) throws {
        for round in 0..<10 {
            try kind.run { place in
                let log = try place.open()
                let returned = Recorder<LSN>()
                let problems = Recorder<String>()
                onThreads(4) { thread in
                    do {
                        if thread == 3 {
                            while returned.values.count < 5 + round * 3 { sched_yield() }
                            try log.close()
                            return
                        }
                        for number in 0..<10_000 {
                            let count = (number + thread) % 8 == 0 ? 40_000 : 50
                            returned.append(try log.append(sampleRecord(number, count: count)))
                            if number % 16 == 3 { try log.sync() }
                        }
                        problems.append("never closed")
                    } catch WALError.stopped(cause: .closed) {
                    } catch {
                        problems.append("\(error)")
                    }
                }
                #expect(problems.values.isEmpty, "\(problems.values)")
                let again = try place.open()
                #expect(try again.records().map(\.lsn) == returned.values.sorted(), "round \(round)")
                #expect(again.recoveryReport.bytesDiscarded == 0 && again.recoveryReport.bytesRecovered == 0)
                try again.close()
            }
        }
    }

    @Test(arguments: StoreKind.allCases)
    func asyncSyncsShareFlushesAndCancel(_ kind: StoreKind) async throws {
        try await kind.run { place in
            let log = try place.open()
            try await withThrowingTaskGroup(of: LSN.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        let lsn = try await log.appendAndSync(sampleRecord(number, count: 60))
                        #expect(log.durableLSN > lsn)
                        return lsn
                    }
                }
                var seen: Set<LSN> = []
                for try await lsn in group { #expect(seen.insert(lsn).inserted) }
                #expect(seen.count == 200)
            }
            // A position that never comes: only cancellation, or close, ends the wait.
            let far = log.endLSN.advanced(by: 1_000_000)
            let waiting = Task { try await log.waitUntilDurable(far) }
            try await log.appendAndSync([1])
            waiting.cancel()
            await #expect(throws: WALError.cancelled) { try await waiting.value }
            let told = Task { try await log.waitUntilDurable(far) }
            let ahead = log.endLSN.advanced(by: 9)
            let covered = Task { try await log.waitUntilDurable(ahead) }
            try await log.appendAndSync([2])
            try await covered.value
            try log.close()
            await #expect(throws: WALError.stopped(cause: .closed)) { try await told.value }
        }
    }

    /// Cancellation at any moment of many waits: each ends once, and the log goes on.
    @Test func cancelledWaitsEndAndHarmNobody() async throws {
        try await StoreKind.segmentsOnSimulation.run { place in
            let log = try place.open()
            for round in 0..<200 {
                let task = Task { try await log.appendAndSync([UInt8(truncatingIfNeeded: round)]) }
                if round % 3 == 0 { await Task.yield() }
                task.cancel()
                do { _ = try await task.value } catch { #expect(error as? WALError == .cancelled) }
            }
            try await log.sync()
            #expect(log.durableLSN == log.endLSN)
            try log.close()
        }
    }
}

/// Runs `body` on that many threads of its own and returns when all have ended.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let group = DispatchGroup()
    for thread in 0..<count {
        group.enter()
        Thread.detachNewThread {
            body(thread)
            group.leave()
        }
    }
    group.wait()
}
