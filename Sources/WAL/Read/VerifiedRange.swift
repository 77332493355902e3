/// A range of a log's bytes, every frame of which was verified: what may leave the machine.
///
/// A frame that crosses either end of the range is verified whole, although only a part of it lies in the range.
public struct VerifiedRange: Sendable {
    public let range: Range<LSN>
    /// The raw bytes of the range.
    public let bytes: [UInt8]
    /// The first and the last record that begin inside; nil where none does.
    public let firstRecord: LSN?
    public let lastRecord: LSN?
    /// Records that begin inside.
    public let recordCount: UInt64
    /// Commit times noted for the range, ascending by LSN.
    public let times: [CommitTime]

    /// Everything below `lsn` was durable at `nanoseconds` (unix time).
    public struct CommitTime: Hashable, Sendable {
        public let nanoseconds: UInt64
        public let lsn: LSN
        public init(nanoseconds: UInt64, lsn: LSN) {
            self.nanoseconds = nanoseconds
            self.lsn = lsn
        }
    }

    static func read(_ range: Range<LSN>, from files: ReaderFiles) throws(WALError) -> VerifiedRange {
        let facts = try files.control.requireFacts()
        let durable = try files.durableLSN()
        guard range.lowerBound >= facts.head else { throw .positionLost(head: facts.head) }
        precondition(range.upperBound <= durable, "only durable bytes leave the machine")
        let reader = files.makeReader()
        let bytes = try read(range, by: reader, durable: durable)
        let search = BoundarySearch(
            reader: reader, checksums: FrameChecksums(logID: facts.logID, epochs: try files.control.epochTable(facts)),
            maxRecordSize: facts.maxRecordSize, segmentSize: files.control.identity.segmentSize, head: facts.head,
            durable: durable)
        let known = files.frame(reaching: range.lowerBound, notBelow: facts.head)
        let start = if let known { known } else { try search.greatestFrameStart(atOrBelow: range.lowerBound) }
        // The bytes that leave are the bytes that are verified, not a second reading of them.
        let walk = unsafe try bytes.withBytes { bytes throws(WALError) in
            var walk = unsafe RangeWalk(range: range, bytes: bytes, search: search, start: start)
            try walk.run()
            return (first: walk.first, last: walk.last, count: walk.count, frame: walk.frame)
        }
        files.note(frame: walk.frame, reaching: range.upperBound)
        return VerifiedRange(
            range: range, bytes: bytes, firstRecord: walk.first, lastRecord: walk.last, recordCount: walk.count,
            times: try times(in: range, files: files))
    }

    private static func read(_ range: Range<LSN>, by reader: any LogBytesReader, durable: LSN) throws(WALError) -> [UInt8] {
        let count = Int(range.upperBound.distance(from: range.lowerBound))
        var result = Result<Int, WALError>.success(0)
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            result = Result { () throws(WALError) in
                // SAFETY: the reader writes inside the buffer; as many bytes are initialised as it says it wrote.
                unsafe try reader.read(into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]), at: range.lowerBound)
            }
            if case .success(let got) = result { initialized = got }
        }
        let got = try result.get()
        guard got == count else {
            throw .corruption(lsn: range.lowerBound.advanced(by: UInt64(got)), reason: "the log's files end before its durable LSN \(durable)")
        }
        return bytes
    }

    /// The commit times noted for the range. Advisory: what cannot be read is left out.
    private static func times(in range: Range<LSN>, files: ReaderFiles) throws(WALError) -> [CommitTime] {
        guard !range.isEmpty else { return [] }
        var times: [CommitTime] = []
        let size = files.control.identity.segmentSize
        for index in range.lowerBound.rawValue / size...(range.upperBound.rawValue - 1) / size {
            // An entry's LSN is the end of what it covers.
            times += try files.commitTimes(ofSegment: index).filter { $0.lsn > range.lowerBound && $0.lsn <= range.upperBound }
        }
        return times
    }
}
