import Glibc

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
        var bytes = [UInt8](repeating: 0, count: Int(range.upperBound.distance(from: range.lowerBound)))
        let reader = files.makeReader()
        let got = unsafe try bytes.withMutableBytes { buffer throws(WALError) in
            try unsafe reader.read(into: buffer, at: range.lowerBound)
        }
        guard got == bytes.count else {
            throw .corruption(lsn: range.lowerBound.advanced(by: UInt64(got)), reason: "the log's files end before its durable LSN \(durable)")
        }
        var walk = Walk(range: range)
        let start = try BoundarySearch(
            reader: reader, checksums: FrameChecksums(logID: facts.logID, epochs: try files.control.epochTable(facts)),
            maxRecordSize: facts.maxRecordSize, segmentSize: files.control.identity.segmentSize, head: facts.head,
            durable: durable
        ).greatestFrameStart(atOrBelow: range.lowerBound)
        let source = try files.source(facts, policy: .stopAtFirstError)
        for element in RecordSequence(source: source, start: .success(start), end: durable) {
            let record = try element.get()
            if record.lsn >= range.upperBound { break }
            // The bytes that leave are the bytes that were verified, not a second reading of them.
            try walk.take(record, in: bytes)
            if record.endLSN >= range.upperBound { break }
        }
        guard range.isEmpty || walk.end >= range.upperBound else {
            throw .corruption(lsn: walk.end, reason: "the frames end before the durable LSN \(durable)")
        }
        return VerifiedRange(
            range: range, bytes: bytes, firstRecord: walk.first, lastRecord: walk.last, recordCount: walk.count,
            times: try times(in: range, files: files))
    }

    private struct Walk {
        let range: Range<LSN>
        var first: LSN?
        var last: LSN?
        var count: UInt64 = 0
        var end = LSN.zero

        mutating func take(_ record: Record, in bytes: [UInt8]) throws(WALError) {
            end = record.endLSN
            let isSame = unsafe record.withFrame { frame in unsafe bytes.withUnsafeBytes { unsafe matches(record, frame, $0) } }
            guard isSame else { throw .corruption(lsn: record.lsn, reason: "its bytes changed while they were read") }
            guard record.lsn >= range.lowerBound else { return }
            if first == nil { first = record.lsn }
            last = record.lsn
            count += 1
        }

        /// Whether the part of the frame that lies in the range is what stands there.
        private func matches(_ record: Record, _ frame: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer) -> Bool {
            let part = (record.lsn..<record.endLSN).clamped(to: range)
            guard !part.isEmpty, let ours = bytes.baseAddress, let theirs = frame.baseAddress else { return part.isEmpty }
            // SAFETY: `part` lies inside both.
            return unsafe memcmp(
                ours + Int(part.lowerBound.distance(from: range.lowerBound)),
                theirs + Int(part.lowerBound.distance(from: record.lsn)),
                Int(part.upperBound.distance(from: part.lowerBound))) == 0
        }
    }

    /// The commit times noted for the range. Advisory: what cannot be read is left out.
    private static func times(in range: Range<LSN>, files: ReaderFiles) throws(WALError) -> [CommitTime] {
        guard !range.isEmpty else { return [] }
        var times: [CommitTime] = []
        let size = files.control.identity.segmentSize
        for index in range.lowerBound.rawValue / size...(range.upperBound.rawValue - 1) / size {
            let path = files.paths.times(index)
            guard try files.fileSystem.status(path) != nil else { continue }
            let file = try files.fileSystem.open(path, .read)
            defer { file.close() }
            let bytes = try file.bytes(at: 0, count: Int(min(try file.status().size, UInt64(FormatLimits.timesFileMax))))
            guard let decoded = try? TimeIndexDecoder.decode(bytes, expecting: files.control.identity.logID, index: index) else { continue }
            // An entry's LSN is the end of what it covers.
            times += decoded.entries.filter { $0.lsn > range.lowerBound && $0.lsn <= range.upperBound }
                .map { CommitTime(nanoseconds: $0.nanoseconds, lsn: $0.lsn) }
        }
        return times
    }
}
