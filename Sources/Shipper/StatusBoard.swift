import Archive
import Logging
import Synchronization
import WAL

/// The status of one shipper, written by what it does and read by whoever asks. Logs each change of state once. Any thread.
final class StatusBoard: Sendable {
    private let status: Mutex<ShipperStatus>
    private let meter = Mutex(LagMeter())
    private let logger: Logger

    init(_ status: ShipperStatus, logger: Logger) {
        self.status = Mutex(status)
        self.logger = logger
    }

    var current: ShipperStatus { status.withLock { $0 } }

    func update(_ change: (inout ShipperStatus) -> Void) { status.withLock { change(&$0) } }

    func progress(_ plan: ShipPlan, now: UInt64) {
        let lag = meter.withLock { $0.note(durable: plan.durable, archived: plan.archived, now: now) }
        status.withLock { status in
            status.archived = plan.archived
            status.checkpoint = plan.checkpoint
            status.durable = plan.durable
            status.isBusy = plan.isBusy
            status.lagNanoseconds = lag
            status.largestLag = max(status.largestLag, status.lagBytes)
        }
    }

    /// What waits, as who watches the backlog sees it: also while no session is under way.
    func backlog(_ slot: SlotState, durable: LSN, isOver: Bool, isBlocking: Bool, now: UInt64) {
        let archived = max(slot.archived, slot.position)
        let lag = meter.withLock { $0.note(durable: durable, archived: archived, now: now) }
        status.withLock { status in
            status.durable = max(status.durable, durable)
            status.archived = max(status.archived, archived)
            status.checkpoint = slot.position
            status.lagNanoseconds = lag
            status.largestLag = max(status.largestLag, status.lagBytes)
            status.backlog = isOver ? .over : .under
            status.isBlocking = isBlocking
        }
    }

    /// A range was given up. The last one may have grown.
    func gaveUp(_ range: Range<LSN>) {
        status.withLock { status in
            status.alarms += 1
            if let last = status.gaps.last, last.lowerBound == range.lowerBound { status.gaps.removeLast() }
            status.gaps.append(range)
            status.gaps = status.gaps.suffix(Self.gapsMax)
        }
    }

    private static let gapsMax = 100

    func alarm() { update { $0.alarms += 1 } }

    func enter(_ state: ShipperStatus.State, error: String? = nil) {
        let changed = status.withLock { status in
            let changed = status.state != state || status.lastError != error
            status.state = state
            status.lastError = error
            return changed
        }
        guard changed else { return }
        switch state {
        case .starting, .shipping, .ended: logger.info("\(state.rawValue)")
        case .retrying: logger.warning("storage failed; trying again", metadata: ["reason": "\(error ?? "")"])
        case .stopped: logger.error("stopped", metadata: ["reason": "\(error ?? "")"])
        }
    }

    /// A request failed and will be tried again.
    func retrying(after error: ArchiveError) { enter(.retrying, error: error.description) }

    /// Something worked.
    func succeeded() {
        if status.withLock({ $0.state }) == .retrying { enter(.shipping) }
    }

    func archived(_ object: EncodedObject) {
        status.withLock { status in
            status.objects += 1
            status.storedBytes += UInt64(object.bytes.count)
            status.rawBytes += object.metadata.rawSize
        }
        succeeded()
    }
}
