/// What to do about segments that are full: decided here, acted on by `LogCore.retire`.
enum SegmentBacklog: Equatable {
    /// Nothing yet.
    case leave
    /// Everything up to here is to be flushed: the appender should find room, not have to make it.
    case flush(upTo: UInt64)

    /// `indices` are the segments that are mapped, ascending; the log reaches to `end` and is durable up to `durable`.
    static func decide(indices: [UInt64], segmentSize: UInt64, end: UInt64, durable: UInt64) -> SegmentBacklog {
        let waiting = indices.filter { ($0 + 1) * segmentSize <= end && ($0 + 1) * segmentSize > durable }
        guard waiting.count >= LogLimits.unflushedSegmentsMax, let last = waiting.last else { return .leave }
        return .flush(upTo: (last + 1) * segmentSize)
    }
}
