/// What to do about segments that are full and not durable: decided here, acted on by `LogCore.retire`.
///
/// Who syncs often never has any. For who does not, they are written out one by one, so that neither an append nor a later sync has to wait for all
/// of them; and now and then everything is made durable, so that they can be let go of.
enum SegmentBacklog: Equatable {
    case leave
    /// The bytes of this segment, the oldest of those that were not, are to be brought to the disk.
    case writeOut(UInt64)
    /// Everything up to here is to be made durable, the open segment's part included.
    case flush(upTo: UInt64)

    struct Full: Equatable {
        let index: UInt64
        /// All its bytes were brought to the disk since the last of them was written.
        let isWrittenOut: Bool
    }

    /// `waiting` are the full segments that are not durable, ascending.
    static func decide(_ waiting: [Full], segmentSize: UInt64) -> SegmentBacklog {
        let dirty = waiting.filter { !$0.isWrittenOut }
        if dirty.count >= LogLimits.dirtySegmentsMax, let oldest = dirty.first { return .writeOut(oldest.index) }
        if waiting.count >= LogLimits.waitingSegmentsMax, let last = waiting.last {
            return .flush(upTo: (last.index + 1) * segmentSize)
        }
        return .leave
    }
}
