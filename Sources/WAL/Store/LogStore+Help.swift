/// What stores of one's own need of the log's rules.
extension LogBytesReader {
    /// Where `LogStore.truncateBefore` may put the head: the greatest record and batch boundary at or below `lsn`.
    ///
    /// Reads frames from the last place before `lsn` where one is known to begin (`firstFrame(inSegment:)`, or the head), and verifies them:
    /// damage there is `.corruption`. `head` and `durable` are boundaries themselves; `lsn` lies between them.
    public func boundary(
        atOrBelow lsn: LSN, head: LSN, durable: LSN, logID: LogID, epochs: EpochTable, segmentSize: Int
    ) throws(WALError) -> LSN {
        try BoundarySearch(
            reader: self, checksums: FrameChecksums(logID: logID, epochs: epochs), maxRecordSize: LogLimits.maxRecordSizeMax,
            segmentSize: UInt64(segmentSize), head: head, durable: durable
        ).greatestBoundary(atOrBelow: lsn)
    }
}

extension LogConfiguration {
    /// The maximum record size that holds from now on, for a store whose log has `stored`, or none yet. `.parameterMismatch` where the one asked
    /// for is smaller, or is none that can be.
    public func maxRecordSize(stored: Int?) throws(WALError) -> Int {
        try LogParameters.maxRecordSize(stored: stored, requested: maxRecordSize)
    }
}
