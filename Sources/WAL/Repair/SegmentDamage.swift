/// Something of a log's durable part that cannot be read, in one segment.
public struct SegmentDamage: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// The segment's file is not there.
        case missing
        /// The file's size or foot is wrong, or it belongs elsewhere; its bytes may be intact.
        case file
        /// Frames do not verify. Where one of them crosses into a neighbour, either segment may be the damaged one.
        case frames
    }
    public var index: UInt64
    /// Where in the log: the part of the segment that is needed, or that cannot be read.
    public var range: Range<LSN>
    public var kind: Kind
    public var reason: String

    public init(index: UInt64, range: Range<LSN>, kind: Kind, reason: String) {
        self.index = index
        self.range = range
        self.kind = kind
        self.reason = reason
    }
}

/// What a repair has replaced; nothing else was changed.
public struct RepairReport: Hashable, Sendable {
    public struct Segment: Hashable, Sendable {
        public var index: UInt64
        public var path: String
        /// The LSNs whose bytes were given; empty where a foot was made anew over the bytes that were there.
        public var given: Range<LSN>
        /// Bytes of the log that are other than they were; all of those given where the file was missing.
        public var bytesChanged: UInt64
        public var wasMissing: Bool
    }
    /// Ascending.
    public var segments: [Segment]
}
