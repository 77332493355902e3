/// The checksums of a log's frames over all its epochs: the epoch of a frame is the one with the greatest start at or below its LSN.
package struct FrameChecksums: Sendable {
    private let logID: LogID
    private let epochs: EpochTable
    private var checksum: FrameChecksum
    /// Where the cached checksum is valid.
    private var range: Range<UInt64>

    package init(logID: LogID, epochs: EpochTable) {
        self.logID = logID
        self.epochs = epochs
        checksum = FrameChecksum(logID: logID, epoch: epochs.current.id)
        range = epochs.current.start.rawValue..<UInt64.max
    }

    /// Whether the frame is what was written at this position of this log.
    package mutating func verifies(_ header: FrameHeader, payload: UnsafeRawBufferPointer, lsn: LSN) -> Bool {
        guard header.checksum != 0 else { return false }
        if !range.contains(lsn.rawValue) { select(lsn) }
        return unsafe checksum.value(lengthField: header.lengthField, payload: payload, lsn: lsn) == header.checksum
    }

    /// As `FrameChecksum.intactFrames`; ends where another epoch begins.
    mutating func intactFrames(in bytes: UnsafeRawBufferPointer, at lsn: LSN, payloadMax: Int) -> IntactFrames {
        if !range.contains(lsn.rawValue) { select(lsn) }
        let count = Int(min(UInt64(bytes.count), range.upperBound - lsn.rawValue))
        return unsafe checksum.intactFrames(in: UnsafeRawBufferPointer(rebasing: bytes[..<count]), at: lsn, payloadMax: payloadMax)
    }

    /// The checksum of the frame at `lsn`, for one that does not lie in one piece.
    mutating func checksum(at lsn: LSN) -> FrameChecksum {
        if !range.contains(lsn.rawValue) { select(lsn) }
        return checksum
    }

    private mutating func select(_ lsn: LSN) {
        let epoch = epochs.epoch(at: lsn)
        let next = epochs.epochs.first { $0.start > lsn }
        checksum = FrameChecksum(logID: logID, epoch: epoch.id)
        range = min(epoch.start.rawValue, lsn.rawValue)..<(next?.start.rawValue ?? UInt64.max)
    }
}
