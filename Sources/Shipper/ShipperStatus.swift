public import Archive
public import WAL

/// How one log's shipping to one destination stands. A value: a picture of a moment.
public struct ShipperStatus: Hashable, Sendable {
    public enum State: String, Hashable, Sendable {
        /// Taking the slot, asking the archive whose it is, comparing.
        case starting
        /// Uploading, or with nothing to upload.
        case shipping
        /// The last request failed and is tried again.
        case retrying
        /// Done, as asked.
        case ended
        /// An error that cannot be retried has ended it: see `lastError`.
        case stopped
    }

    /// Without credentials.
    public var url: String
    public var slot: String
    /// The key that new objects are encrypted with; nil: they are not.
    public var encryption: KeyID?
    public var state = State.starting
    /// What has gone wrong last; nil once a request has succeeded again.
    public var lastError: String?
    public var archived: LSN = .zero
    public var checkpoint: LSN = .zero
    public var durable: LSN = .zero
    /// Nanoseconds for which the oldest byte that is not archived has been durable.
    public var lagNanoseconds: UInt64 = 0
    /// Bytes durable and not archived, at most so far.
    public var largestLag: UInt64 = 0
    public var capabilities: StoreCapabilities = []
    /// Bytes of log in a segment; 0 before the log was seen.
    public var segmentSize: UInt64 = 0
    /// Whether more waits than the limit allows. From the first byte past it until it is a segment less.
    public var backlog = Backlog.under
    /// What happens then; nil without a limit.
    public var backlogPolicy: BacklogPolicy?
    /// This destination has appends wait that need another segment.
    public var isBlocking = false
    /// Ranges that were given up since the start, oldest first; the last one may grow. At most the newest hundred.
    public var gaps: [Range<LSN>] = []
    /// Something is under way: an object, the head document, a truncation, a removal of tails.
    public var isBusy = false
    /// Events since the start that somebody should look at: the backlog over its limit, ranges given up, objects that were gone.
    public var alarms: UInt64 = 0
    /// Objects archived since the start, their bytes as stored, and the log's bytes in them.
    public var objects: UInt64 = 0
    public var storedBytes: UInt64 = 0
    public var rawBytes: UInt64 = 0

    public enum Backlog: String, Hashable, Sendable { case under, over }

    /// Bytes durable and not below the checkpoint: what the limit is about.
    public var backlogBytes: UInt64 { durable > checkpoint ? durable.distance(from: checkpoint) : 0 }
    /// Closed segments durable and not archived.
    public var lagSegments: UInt64 {
        guard segmentSize > 0, durable > checkpoint else { return 0 }
        return durable.rawValue / segmentSize - checkpoint.rawValue / segmentSize
    }
    /// Bytes durable and not archived.
    public var lagBytes: UInt64 { durable > archived ? durable.distance(from: archived) : 0 }
    public var lagSeconds: Double { Double(lagNanoseconds) / 1e9 }

    init(url: String, slot: String, encryption: KeyID? = nil) {
        self.url = url
        self.slot = slot
        self.encryption = encryption
    }
}
