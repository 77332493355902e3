/// Every limit of the log in one place, with its unit and reason.
public enum LogLimits {
    /// Bytes. The unit of pages, mappings and feet.
    public static let pageSize = 4096
    /// Bytes. One page.
    public static let segmentSizeMin = 4096
    /// Bytes. Larger segments would make restores and copies coarse without making appends faster.
    public static let segmentSizeMax = 1 << 30
    /// Bytes. 16 MiB compress well and are one convenient upload.
    public static let segmentSizeDefault = 16 << 20
    /// Bytes. What is hashed and copied in one append.
    public static let maxRecordSizeDefault = 64 << 20
    /// Bytes. The format's length field has 31 bits and allows 2³¹−1; half of that keeps every sum of two sizes in 32 bits.
    public static let maxRecordSizeMax = 1 << 30
    /// Bytes of a batch, headers included; a log whose records may be longer takes a batch of one of them. Readers that hand out whole batches
    /// hold one in memory.
    public static let batchSizeMax = 64 << 20
    /// Bytes. Two bits of the reservation word are flags.
    public static let lsnMax: UInt64 = 1 << 62
    /// Segments that are mapped and have a descriptor at one time; the oldest is flushed before one more is made. Few enough for a process that may
    /// have 64 descriptors, enough that a burst of appends goes to memory at full speed while the disk is behind.
    static let activeSegmentsMax = 32
    /// Full segments that nobody has brought to the disk before that is done in the background: 192 MiB of the usual size. A burst of that many goes to
    /// memory at full speed; writing out beside it would hold up the making of the next segments (docs/decisions/0005-segment-preparation.md).
    static let dirtySegmentsMax = 12
    /// Full segments that are not durable before they are made so in the background: a flush of everything writes the open segment, too, so this is
    /// not done for each.
    static let waitingSegmentsMax = 20
    /// Segments that are made ahead of their use, each with a mapping and a descriptor.
    static let preparedSegmentsMax = 8
    /// Bytes of such segments, where one is not larger.
    static let preparedBytesMax = 128 << 20
    /// The share of a segment, as a divisor, after which the next one is going to be needed: a short-lived log prepares none.
    static let preparationPoint: UInt64 = 8
    /// A record that needs more new segments than this is written segment by segment instead of being mapped whole.
    static let mappedSegmentsPerRecordMax = 4
    /// Nanoseconds between two writes of a segment's durable cell: what may be ambiguous after power loss.
    package static let durableCellInterval: UInt64 = 10_000_000
    /// Nanoseconds between two entries of the commit-time index.
    package static let timeIndexInterval: UInt64 = 1_000_000_000
    /// Bytes of one sequential read that copies, or whose records are long.
    package static let readSize = 1 << 20
    /// Bytes of one read of frames: what the checksum then reads is still in the processor's second-level cache.
    static let frameReadSize = 256 << 10
    /// Bytes of frames that are verified in one go: what is then done with the records finds them in the first-level cache.
    static let verifiedAheadMax = 16 << 10
    /// Bytes of records that a follower is given at once: several runs, because each time costs a change of threads.
    package static let followedAheadMax = 128 << 10
    /// Nanoseconds between two looks at the written LSN by somebody who waits for records to come, at first and at most. Appenders tell
    /// nobody of each record: the look costs the one who waits a millisecond of delay, and those who append nothing.
    package static let writtenLookMin: UInt64 = 20_000
    package static let writtenLookMax: UInt64 = 1_000_000
    /// Nanoseconds after which somebody who waits for another process looks again without having been woken: it may have died.
    package static let liveLookMax: UInt64 = 100_000_000
    /// Nanoseconds. How long one process waits for another's maintenance (which never spans a network request).
    package static let maintenanceWaitMax: UInt64 = 10_000_000_000
    /// Nanoseconds between two looks of an append that waits until a consumer of the log lets it go on: nobody wakes it, because whoever
    /// blocked it may have died.
    package static let blockedLookInterval: UInt64 = 20_000_000
    /// Slots (destinations and pins) of one log.
    package static let slotsMax = 256
}
