/// Every number of the shipper that no setting changes, with its unit and its reason.
public enum ShipperLimits {
    /// Tails of one level that are shipped again as one of the next: a restore then fetches at most 31 of each level (lesson: ten
    /// thousand small objects, fetched one after another).
    public static let tailsPerGroup: UInt32 = 32
    /// The highest level that tails are merged into.
    public static let tailLevelMax = 3
    /// Looks at what may be pruned in the time for which the archive keeps things: so it keeps at most a twenty-fourth longer.
    static let retentionTurns: UInt64 = 24
    /// Nanoseconds between two of them: an archive that keeps a year need not be asked more than once an hour, one that keeps minutes not all the time.
    static let retentionIntervalMax: UInt64 = 3_600_000_000_000
    static let retentionIntervalMin: UInt64 = 10_000_000_000
    /// Nanoseconds after which an archive is listed again for what storage refused to delete: locks last for days, and a listing costs requests.
    static let retentionSweepInterval: UInt64 = 86_400_000_000_000
    /// Nanoseconds between two writes of the head document while there is something to ship: it is a hint, and costs a request.
    public static let headInterval: UInt64 = 10_000_000_000
    /// Nanoseconds without anything to ship after which a log counts as idle and its head is written a last time.
    public static let idleDelay: UInt64 = 2_000_000_000
    /// Nanoseconds between two looks at the durable LSN at most: one read of two pages that are in the page cache.
    public static let pollInterval: UInt64 = 100_000_000
    /// The same at rest, when nothing was written for a while and nothing is left to do: each look wakes two threads, and ten a second took 0.25 % of a
    /// processor. Never more than the tail interval, so that what is then written is not archived later than that.
    public static let restInterval: UInt64 = 500_000_000
    /// Nanoseconds between two looks at the backlog while appends may have to wait soon: what is written between two looks passes the limit unseen.
    static let backlogLookMin: UInt64 = 10_000_000
    /// Nanoseconds between two attempts to remove what was released and is still there, because a pin or another destination held it.
    static let leftoverInterval: UInt64 = 10_000_000_000
    /// Segments that are looked at in the archive before they are removed together: a look is not to be much older than the removal.
    static let truncatedSegmentsMax: UInt64 = 64
    /// Sizes and checksums of archived objects that are kept for the look before they are removed locally; others are compared with the log's bytes.
    static let rememberedObjectsMax = 1 << 16
    /// Tails whose names are kept until they are removed, four bytes each; those of a segment with more are found by walking over them.
    static let rememberedTailsMax = 1 << 16
    /// Runs of segments whose tails are left that are told apart. With more, the segments between two runs are walked over too: a request each.
    static let staleRunsMax = 64
    /// Deletes that one look at the claims may come before.
    static let deletesPerLook = 32
    /// Nanoseconds after which a look at the claims is too old for a delete, however few came after it.
    static let deletionLookAge: UInt64 = 10_000_000_000
    /// Nanoseconds between two tails at least: below, requests cost more than the loss that they save.
    public static let tailIntervalMin: UInt64 = 10_000_000
    /// Segments that are read and compressed at one time, for each log and destination: as many as small machines have processors, and each holds one in memory.
    static let preparationsMax = 2
    /// Closed segments uploaded at one time: each holds a compressed segment (up to 1 GiB) in memory.
    public static let uploadsInFlight = 1...64
    /// Objects that the start-up comparison walks over beyond the checkpoint: 32 tails of each level are the most that a segment
    /// leaves, and segments that a lost slot leaves are found by the thousand.
    static let comparisonObjectsMax = 1 << 20
    /// Positions in the lag meter: one a poll, thinned by half when full.
    static let lagSamplesMax = 1024
    /// Seconds. The first pause after a failed request; they grow from here to the setting.
    static let retryDelayFirst = 0.2
    /// Seconds. The longest pause that a store may ask for: a day would be an outage that nobody sees.
    static let retryAfterMax = 300.0
    /// Threads that read, verify and compress, for all logs and destinations of the process: as many as have processors on most machines. A log
    /// alone uses one at a time for each destination.
    static let heavyThreads = 8
    /// Threads for slots and watermarks: what they do takes microseconds, or one flush.
    static let lightThreads = 8
    /// Threads of either kind at most, while disks do not answer: 200 logs with two destinations on sound disks are served by the numbers above.
    static let stalledThreadsMax = 128
    /// Seconds in which not one job is taken up although some wait, after which there is one more thread.
    static let workerStall = 1.0
}
