import Testing
import TestSupport
@testable import WAL

/// However many close a log, it is closed when any of them returns, and all are told the same.
@Suite(.timeLimit(.minutes(1))) struct ClosingTests {
    @Test func whoeverClosesALogThatIsBeingClosedWaitsForThat() throws {
        let failure = WALError.io(operation: "fdatasync", path: "x", errno: 5)
        for error in [nil, failure] {
            let store = PausedStore(MemoryStore(segmentSize: 4096), at: .close, failingWith: error)
            let log = try WriteAheadLog(store: store)
            try log.append([1])
            let events = Events()
            let first = try NamedThread(name: "first") { events.note("first") { try log.close() } }
            store.waitForCall()
            let second = try NamedThread(name: "second") { events.note("second") { try log.close() } }
            events.waitAMoment()
            #expect(events.all == [], "\(String(describing: error))")
            store.goOn()
            first.join()
            second.join()
            #expect(Set(events.all) == (error == nil ? ["first", "second"] : ["first: \(failure)", "second: \(failure)"]))
            events.note("third") { try log.close() }
            #expect(events.all.last == (error == nil ? "third" : "third: \(failure)"))
        }
    }

    @Test func aFlushThatFailsIsToldToEveryCloser() throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        try log.append([1])
        fixture.machine.inject(.init(.sync, on: "*.wal", errno: 5))
        for _ in 0..<3 { #expect { try log.close() } throws: { ($0 as? WALError)?.isStopped ?? false } }
        #expect(fixture.machine.counters.openFiles == 0)
        let again = try fixture.open()
        try again.close()
        try again.close()
    }
}
