/// When a log was durable up to where, as its stores note it: looked up by time.
///
/// Advisory: at most one note a second, none for a log in memory or in one file, none where a file of them is missing, and those of a damaged one up to the
/// damage. Times are what the machine's clock said, and may go back.
struct CommitTimes {
    /// The first record, and up to where the log is durable.
    let head: LSN
    let durable: LSN
    let segmentSize: UInt64
    /// What was noted in a segment, ascending by LSN.
    let ofSegment: (_ index: UInt64) throws(WALError) -> [CommitTime]

    /// See `WriteAheadLog.durableLSN(at:)`.
    func last(at nanoseconds: UInt64) throws(WALError) -> CommitTime? {
        var found: CommitTime?
        try forEachSegmentFromTheLast { times in
            found = times.last { $0.nanoseconds <= nanoseconds }
            return found == nil
        }
        return found
    }

    /// See `WriteAheadLog.commitTimes(at:)`.
    func candidates(at nanoseconds: UInt64) throws(WALError) -> [CommitTime] {
        var found: [CommitTime] = []
        var next: CommitTime?
        try forEachSegmentFromTheLast { times in
            for time in times.reversed() {
                if time.nanoseconds <= nanoseconds && next.map({ $0.nanoseconds > nanoseconds }) ?? true { found.append(time) }
                next = time
            }
            return true
        }
        return found.reversed()
    }

    /// Hands over what was noted between the head and the durable LSN, segment by segment, as long as `body` wants more.
    private func forEachSegmentFromTheLast(_ body: ([CommitTime]) -> Bool) throws(WALError) {
        guard durable > .zero else { return }
        // What is durable up to an LSN is noted in the segment of the last byte.
        let last = (durable.rawValue - 1) / segmentSize
        let first = head > .zero ? (head.rawValue - 1) / segmentSize : 0
        guard first <= last else { return }
        for index in (first...last).reversed() {
            let times = try ofSegment(index).filter { $0.lsn >= head && $0.lsn <= durable }
            if !times.isEmpty && !body(times) { return }
        }
    }

    /// What the `.times` file of a segment says; nothing where there is none, or it means nothing.
    static func read(
        segment index: UInt64, _ paths: LogPaths, _ fileSystem: any FileSystem, logID: LogID
    ) throws(WALError) -> [CommitTime] {
        // Logs in one file keep none.
        guard paths.singleFile == nil else { return [] }
        let bytes: [UInt8]
        do throws(WALError) {
            let file = try fileSystem.open(paths.times(index), .read)
            defer { file.close() }
            bytes = try file.bytes(at: 0, count: Int(min(try file.status().size, UInt64(FormatLimits.timesFileMax))))
        } catch where error.isMissingFile {
            return []
        }
        guard let decoded = try? TimeIndexDecoder.decode(bytes, expecting: logID, index: index) else { return [] }
        return decoded.entries.map { CommitTime(nanoseconds: $0.nanoseconds, lsn: $0.lsn) }
    }
}

/// Everything below `lsn` was durable at `nanoseconds` (since 1970, UTC).
public typealias CommitTime = VerifiedRange.CommitTime

extension WriteAheadLog {
    /// Up to where the log was durable at a time, in nanoseconds since 1970 (UTC): the greatest LSN that is known to have been durable at or before it; nil
    /// where none is, before the first note or before what truncation has left. What was made durable in the second before may be missing.
    ///
    /// Advisory, from the commit times that a log of segments notes at most once a second: a log in one file or in memory has none, and lost or damaged
    /// notes make the answer earlier or nil. Where the machine's clock was set back, a time may have been passed more than once: this is the last, and
    /// `commitTimes(at:)` has all. Reads files; throws `.io`, and `.stopped` once the log is closed.
    public func durableLSN(at nanoseconds: UInt64) throws(WALError) -> LSN? {
        try commitTimes().last(at: nanoseconds)?.lsn
    }

    /// Every moment at which the log's notes passed a time, in nanoseconds since 1970 (UTC), ascending by LSN: one, or none, as long as the machine's clock
    /// was never set back past it. Each is the last note at or before the time; the last one is `durableLSN(at:)`. Throws as that.
    public func commitTimes(at nanoseconds: UInt64) throws(WALError) -> [CommitTime] {
        try commitTimes().candidates(at: nanoseconds)
    }

    private func commitTimes() throws(WALError) -> CommitTimes {
        guard isOpen else { throw .stopped(cause: .closed) }
        return CommitTimes(head: headLSN, durable: durableLSN, segmentSize: UInt64(segmentSize)) { index throws(WALError) in
            try self.timesOfSegment(index)
        }
    }
}

extension LogReader {
    /// As `WriteAheadLog.durableLSN(at:)`. Throws as the reader's other questions.
    public func durableLSN(at nanoseconds: UInt64) throws(WALError) -> LSN? {
        try commitTimes().last(at: nanoseconds)?.lsn
    }

    /// As `WriteAheadLog.commitTimes(at:)`. Throws as the reader's other questions.
    public func commitTimes(at nanoseconds: UInt64) throws(WALError) -> [CommitTime] {
        try commitTimes().candidates(at: nanoseconds)
    }

    private func commitTimes() throws(WALError) -> CommitTimes {
        let files = files
        return CommitTimes(head: try headLSN, durable: try durableLSN, segmentSize: UInt64(segmentSize)) { index throws(WALError) in
            try files.commitTimes(ofSegment: index)
        }
    }
}
