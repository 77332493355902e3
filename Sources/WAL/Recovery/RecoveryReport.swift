/// What opening a log found and did.
public struct RecoveryReport: Hashable, Sendable {
    /// What recovery could rely on before it read anything: durable at least up to here.
    public var floor: LSN
    /// Where the log ends; the next record goes here.
    public var end: LSN
    /// Intact records found between the floor and the end.
    public var recordsRecovered: UInt64
    /// Bytes between the floor and the end.
    public var bytesRecovered: UInt64
    /// Bytes after the end that were dropped.
    public var bytesDiscarded: UInt64
    /// Why they were dropped; nil where there were none.
    public var discardReason: DiscardReason?

    public init(
        floor: LSN = .zero, end: LSN = .zero, recordsRecovered: UInt64 = 0, bytesRecovered: UInt64 = 0,
        bytesDiscarded: UInt64 = 0, discardReason: DiscardReason? = nil
    ) {
        self.floor = floor
        self.end = end
        self.recordsRecovered = recordsRecovered
        self.bytesRecovered = bytesRecovered
        self.bytesDiscarded = bytesDiscarded
        self.discardReason = discardReason
    }
}

/// Why bytes past the last durable point were dropped.
public enum DiscardReason: String, Hashable, Sendable {
    /// A frame that was not whole or did not verify.
    case tornTail = "torn tail"
    /// Frames of a batch whose last frame is not there.
    case incompleteBatch = "incomplete batch"
    /// Stray bytes after the last intact frame.
    case strayBytes = "stray bytes"
    /// A truncation that was interrupted and has been finished.
    case interruptedTruncation = "interrupted truncation"
}
