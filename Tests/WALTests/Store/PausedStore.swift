import Synchronization
import Testing
@testable import WAL

/// A store that stops in the middle of a call until it is told to go on, and fails it then if it is told to.
final class PausedStore: StandInStore {
    enum Place { case truncateAfter, close }

    let base: any LogStore
    private let place: Place
    private let error: WALError?
    private let hasArrived = Parker()
    private let mayGoOn = Parker()

    init(_ base: any LogStore, at place: Place, failingWith error: WALError? = nil) {
        self.base = base
        self.place = place
        self.error = error
    }

    /// How long one waits for the other before the test has failed.
    private static let patience: UInt64 = 60_000_000_000

    /// Returns when the call has come to its middle.
    func waitForCall() { #expect(hasArrived.park(nanoseconds: PausedStore.patience), "the call never came to its middle") }
    func goOn() { mayGoOn.unpark() }

    private func pause(_ here: Place) throws(WALError) {
        guard here == place else { return }
        hasArrived.unpark()
        guard mayGoOn.park(nanoseconds: PausedStore.patience) else { throw .io(operation: "wait", path: "test", errno: 110) }
        if let error { throw error }
    }

    func truncateAfter(_ kept: Range<LSN>, letGo: () throws(WALError) -> Void) throws(WALError) -> StoreTruncation {
        try base.truncateAfter(kept) { () throws(WALError) in
            try letGo()
            try pause(.truncateAfter)
        }
    }
    func close(durable: LSN, clean: Bool) throws(WALError) {
        defer { try? base.close(durable: durable, clean: clean) }
        try pause(.close)
    }
}

/// What several threads have done, in order.
final class Events: Sendable {
    private let list = Mutex<[String]>([])
    var all: [String] { list.withLock { $0 } }
    func note(_ event: String) { list.withLock { $0.append(event) } }
    /// Notes how `body` ended.
    func note(_ name: String, _ body: () throws -> Void) {
        do {
            try body()
            note(name)
        } catch {
            note("\(name): \(error)")
        }
    }

    /// Gives what should not happen a moment to happen.
    func waitAMoment() {
        for _ in 0..<50 where all.isEmpty { LinuxTimeSource().sleep(nanoseconds: 1_000_000) }
    }
}
