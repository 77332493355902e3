import Synchronization
@testable import WAL

/// A store that stops in the middle of a call until it is told to go on, and fails it then if it is told to.
final class PausedStore: LogStore {
    enum Place { case truncateAfter, close }

    private let base: any LogStore
    private let place: Place
    private let error: WALError?
    private let hasArrived = Parker()
    private let mayGoOn = Parker()

    init(_ base: any LogStore, at place: Place, failingWith error: WALError? = nil) {
        self.base = base
        self.place = place
        self.error = error
    }

    /// Returns when the call has come to its middle.
    func waitForCall() { hasArrived.park() }
    func goOn() { mayGoOn.unpark() }

    private func pause(_ here: Place) throws(WALError) {
        guard here == place else { return }
        hasArrived.unpark()
        mayGoOn.park()
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

    func open(_ configuration: LogConfiguration) throws(WALError) -> StoreOpening { try base.open(configuration) }
    func makeSegment(_ index: UInt64) throws(WALError) -> any LogSegment { try base.makeSegment(index) }
    func discardSegments(from index: UInt64) throws(WALError) { try base.discardSegments(from: index) }
    func makeReader() -> any LogBytesReader { base.makeReader() }
    func noteDurable(_ durable: LSN, written: LSN) throws(WALError) { try base.noteDurable(durable, written: written) }
    func noteIdle() throws(WALError) { try base.noteIdle() }
    func noteStopped() { base.noteStopped() }
    var headLSN: LSN { base.headLSN }
    func truncateBefore(_ lsn: LSN, durable: LSN) throws(WALError) -> LSN { try base.truncateBefore(lsn, durable: durable) }
    func pin(_ name: String, at lsn: LSN, durable: LSN) throws(WALError) { try base.pin(name, at: lsn, durable: durable) }
    func unpin(_ name: String) throws(WALError) { try base.unpin(name) }
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
