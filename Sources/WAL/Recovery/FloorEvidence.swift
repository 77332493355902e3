/// Up to where a log is known to be durable, and by whom.
///
/// Every source is a lower bound that was true when it was written, so the greatest counts.
struct FloorEvidence: Sendable {
    /// The greatest source that is a record and batch boundary: where the scan begins.
    private(set) var boundary: LSN
    /// The greatest of all: what the scan has to reach. A checkpoint at a segment's end is no boundary.
    private(set) var floor: LSN
    /// A cell of an epoch that the facts do not know, above the head.
    private(set) var isEpochUnknown = false
    /// Sequence number that the next durable cell takes.
    private(set) var nextCellSequence: UInt64 = 1

    /// At most this many windows can have been open at one time, so no older foot says more; but for those behind a record that is longer.
    static let feetRead = LogLimits.activeSegmentsMax + LogLimits.preparedSegmentsMax + 2

    static func gather(
        facts: Facts, epochs: EpochTable, control: ControlFile, isCopied: Bool, windows: [UInt64], medium: any LogMedium,
        slots: SlotDirectory, boot: BootID, skippingDamagedFeet: Bool = false
    ) throws(WALError) -> FloorEvidence {
        var evidence = FloorEvidence(boundary: facts.floor, floor: facts.floor)
        if !isCopied && control.live.isInitialised && control.live.boot == boot {
            evidence.raise(boundary: control.live.durable)
        }
        let size = medium.windowSize
        var windows = windows.filter { ($0 + 1) * size > facts.head.rawValue }
        var hasCell = false
        // A record over more windows than that was not durable when it ended: the last cell lies where it began. Cells rise with their windows, and
        // one is written wherever the durable LSN enters a window. So what is read before one is found, or a window is reached that lies below what
        // is known to be durable, is the end of the log that never was: what the scan reads anyway.
        repeat {
            let wanted = windows.suffix(feetRead)
            windows.removeLast(wanted.count)
            for foot in try feet(wanted.reversed(), medium, skippingDamaged: skippingDamagedFeet) {
                for case .success(let cell?) in foot.cells {
                    evidence.nextCellSequence = max(evidence.nextCellSequence, cell.sequence + 1)
                    if cell.epoch == epochs.current.id {
                        evidence.raise(boundary: cell.durable)
                        hasCell = true
                    } else if cell.durable > facts.head && cell.durable < facts.discardFrom ?? LSN(FormatLimits.lsnMax)
                        && !epochs.epochs.contains(where: { $0.id == cell.epoch })
                    {
                        // What is being cut off may be of an epoch that goes with it.
                        evidence.isEpochUnknown = true
                    }
                }
            }
        } while !hasCell && windows.last.map { ($0 + 1) * size > evidence.boundary.rawValue } ?? false
        for slot in try slots.states(expecting: facts.logID) where slot.epoch == epochs.current.id {
            evidence.floor = max(evidence.floor, slot.shippedEnd)
        }
        if let cut = facts.discardFrom { evidence.lower(to: cut) }
        return evidence
    }

    /// A repair goes by those that are intact.
    private static func feet(_ windows: [UInt64], _ medium: any LogMedium, skippingDamaged: Bool) throws(WALError) -> [SegmentFoot] {
        guard skippingDamaged else { return try medium.feet(windows) }
        var feet: [SegmentFoot] = []
        for window in windows {
            do throws(WALError) { feet += try medium.feet([window]) } catch .corruption { continue }
        }
        return feet
    }

    /// The end from `cut` on is being removed: that it was durable, as the live page, a cell or a slot may still say, no longer counts.
    private mutating func lower(to cut: LSN) {
        boundary = min(boundary, cut)
        floor = min(floor, cut)
    }

    private mutating func raise(boundary lsn: LSN) {
        boundary = max(boundary, lsn)
        floor = max(floor, lsn)
    }
}
