import WAL

/// A store that stands before another one: what it does not do itself, the other does.
protocol StandInStore: LogStore {
    var base: any LogStore { get }
}

extension StandInStore {
    func open(_ configuration: LogConfiguration) throws(WALError) -> StoreOpening { try base.open(configuration) }
    func makeSegment(_ index: UInt64) throws(WALError) -> any LogSegment { try base.makeSegment(index) }
    func prepareSegment(_ index: UInt64) throws(WALError) -> (any LogSegment)? { try base.prepareSegment(index) }
    func discardSegments(from index: UInt64) throws(WALError) { try base.discardSegments(from: index) }
    func isBlocked(waiting: Int) throws(WALError) -> Bool { try base.isBlocked(waiting: waiting) }
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

/// The same for a segment.
protocol StandInSegment: LogSegment {
    var inner: any LogSegment { get }
}

extension StandInSegment {
    var base: UnsafeMutableRawPointer { inner.base }
    func flush() throws(WALError) { try inner.flush() }
    func noteFirstFrame(_ lsn: LSN?) throws(WALError) { try inner.noteFirstFrame(lsn) }
    func release() throws(WALError) { try inner.release() }
}
