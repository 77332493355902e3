import Testing
import TestSupport
@testable import WAL

/// Whoever waits for what is being cut off is told when that is over, and neither before nor never.
@Suite(.timeLimit(.minutes(1))) struct CutWaitingTests {
    private func withCutUnderWay(
        failingWith error: WALError? = nil, _ body: (WriteAheadLog<PausedStore>, _ ends: [LSN], Events, _ cut: () -> Void) async throws -> Void
    ) async throws {
        let store = PausedStore(MemoryStore(segmentSize: 4096), at: .truncateAfter, failingWith: error)
        let log = try WriteAheadLog(store: store)
        let ends = try (0..<30).map { try log.append(sampleRecord($0, count: 300)).advanced(by: 308) }
        _ = try await log.sync()
        let events = Events()
        let cutter = try NamedThread(name: "cutter") { events.note("cut") { try log.truncateAfter(ends[9]) } }
        store.waitForCall()
        try await body(log, ends, events) {
            store.goOn()
            cutter.join()
        }
        try? log.close()
    }

    @Test func whoAsksDuringACutIsToldAfterIt() async throws {
        try await withCutUnderWay { log, ends, events, cut in
            let end = ends[29]
            let far = end.advanced(by: 100)
            let threads = try [
                NamedThread(name: "sync") { events.note("sync") { try log.sync() } },
                NamedThread(name: "durable") { events.note("durable") { try log.waitUntilDurable(end) } },
                NamedThread(name: "far") { events.note("far") { _ = try log.waitUntilDurable(far, timeout: .seconds(60)) } },
                NamedThread(name: "written") { events.note("written") { try log.waitUntilWritten(far) } },
            ]
            let tasks = [
                ("async sync", Task { _ = try await log.sync() }), ("async durable", Task { try await log.waitUntilDurable(end) }),
                ("async far", Task { try await log.waitUntilDurable(far) }), ("async written", Task { try await log.waitUntilWritten(far) }),
            ]
            #expect(try log.waitUntilDurable(far, timeout: .milliseconds(3)) == false)
            #expect(try log.waitUntilWritten(far, timeout: .milliseconds(3)) == false)
            // What stays is durable whatever comes of the cut.
            try await log.waitUntilDurable(ends[10])
            let cancelled = Task { _ = try await log.sync() }
            cancelled.cancel()
            await #expect(throws: WALError.cancelled) { try await cancelled.value }
            events.waitAMoment()
            #expect(events.all == [])
            cut()
            threads.forEach { $0.join() }
            let lost = WALError.positionLost(head: .zero)
            #expect(events.all.sorted() == ["cut"] + ["durable", "far", "sync", "written"].map { "\($0): \(lost)" })
            for (name, task) in tasks { await #expect(throws: lost, "\(name)") { try await task.value } }
            // And whoever tries again finds the log as it goes on.
            let synced: LSN = try { try log.sync() }()
            #expect(synced == ends[10])
            #expect(try await log.sync() == ends[10])
        }
    }

    @Test func aCutThatFailsStopsThoseWhoAskedMeanwhile() async throws {
        try await withCutUnderWay(failingWith: .io(operation: "rename", path: "x", errno: 5)) { log, ends, events, cut in
            let thread = try NamedThread(name: "sync") { events.note("sync") { try log.sync() } }
            let tasks = [Task { _ = try await log.sync() }, Task { try await log.waitUntilDurable(ends[20]) }, Task { try await log.waitUntilWritten(LSN(1 << 20)) }]
            events.waitAMoment()
            cut()
            thread.join()
            let stopped = WALError.stopped(cause: .flushFailed(operation: "rename", path: "x", errno: 5))
            #expect(events.all.sorted() == ["cut: \(stopped)", "sync: \(stopped)"])
            for task in tasks { await #expect(throws: stopped) { try await task.value } }
            // For ever.
            await #expect(throws: stopped) { try await log.sync() }
        }
    }

    @Test func whatIsAppendedAndSyncedMeanwhileIsOfWhatComesAfter() async throws {
        try await withCutUnderWay { log, ends, events, cut in
            // The append waits for the end of the cut.
            let thread = try NamedThread(name: "append") { events.note("append") { try log.appendAndSync([1, 2, 3]) } }
            events.waitAMoment()
            #expect(events.all == [])
            cut()
            thread.join()
            #expect(events.all.sorted() == ["append", "cut"])
            #expect(try log.iterFrom(ends[10]).map { try $0.get().data } == [[1, 2, 3]])
        }
    }
}
