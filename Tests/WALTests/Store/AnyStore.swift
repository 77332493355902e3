import WAL

/// Any store behind one type, so that one suite runs over all of them.
final class AnyStore: LogStore {
    private let base: any LogStore
    init(_ base: any LogStore) { self.base = base }

    func open(_ configuration: LogConfiguration) throws(WALError) -> StoreOpening { try base.open(configuration) }
    func makeSegment(_ index: UInt64) throws(WALError) -> any LogSegment { try base.makeSegment(index) }
    func prepareSegment(_ index: UInt64) throws(WALError) -> (any LogSegment)? { try base.prepareSegment(index) }
    func discardSegments(from index: UInt64) throws(WALError) { try base.discardSegments(from: index) }
    func makeReader() -> any LogBytesReader { base.makeReader() }
    func noteDurable(_ durable: LSN, written: LSN) throws(WALError) { try base.noteDurable(durable, written: written) }
    func noteIdle() throws(WALError) { try base.noteIdle() }
    func noteStopped() { base.noteStopped() }
    func commitTimes(ofSegment index: UInt64) throws(WALError) -> [CommitTime] { try base.commitTimes(ofSegment: index) }
    var headLSN: LSN { base.headLSN }
    func truncateBefore(_ lsn: LSN, durable: LSN) throws(WALError) -> LSN { try base.truncateBefore(lsn, durable: durable) }
    func truncateAfter(_ kept: Range<LSN>, letGo: () throws(WALError) -> Void) throws(WALError) -> StoreTruncation {
        try base.truncateAfter(kept, letGo: letGo)
    }
    func pin(_ name: String, at lsn: LSN, durable: LSN) throws(WALError) { try base.pin(name, at: lsn, durable: durable) }
    func unpin(_ name: String) throws(WALError) { try base.unpin(name) }
    func close(durable: LSN, clean: Bool) throws(WALError) { try base.close(durable: durable, clean: clean) }
}

typealias AnyLog = WriteAheadLog<AnyStore>

extension WriteAheadLog {
    /// The records up to the limit, or the first error.
    func records(upTo limit: ReadLimit = .written) throws -> [Record] { try iter(upTo: limit).map { try $0.get() } }
}

extension LogConfiguration {
    /// Nothing happens beside the calls: what lies on a simulated machine follows from them alone.
    static var deterministic: LogConfiguration {
        var configuration = LogConfiguration()
        configuration.helpers = .synchronous
        return configuration
    }
}
