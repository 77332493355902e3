import Archive
import Logging
import WAL

/// Prunes the archive behind `archive-retain`, beside the shipping and never in its way: it ends with its task, and what fails is tried again at its
/// next turn, without a word to the shipping.
///
/// Only the owner of the newest epoch does it, after a look at the claim for each deletion. Nothing is pruned that this destination may still look for: the floor
/// does not pass what it has released of the local log.
struct ArchiveRetention: Sendable {
    /// Nanoseconds for which what was archived is kept; nil: for ever.
    let retain: UInt64?
    let session: ShipSession
    let segmentSize: UInt64
    let slot: DestinationSlot
    let access: ArchiveAccess
    let claimSettle: Double
    let time: any TimeSource
    let logger: Logger

    /// Gives up at once: there is a next turn.
    private struct NoPatience: RetryWait {
        mutating func wait(after error: ArchiveError) async throws(ArchiveError) { throw error }
    }

    func run() async {
        guard let retain else { return }
        let interval = min(max(retain / ShipperLimits.retentionTurns, ShipperLimits.retentionIntervalMin), ShipperLimits.retentionIntervalMax)
        var sweeps = RetentionSweeps()
        var said: ArchiveError?
        while !Task.isCancelled {
            do throws(ArchiveError) {
                let isDue = sweeps.isDue(at: time.monotonic())
                sweeps.ended(isAllGone: try await turn(retain, sweeps: isDue), hasSwept: isDue, at: time.monotonic())
                said = nil
            } catch {
                // The shipping finds out by itself, and says it.
                if error.code == .cancelled || error.code == .fenced { return }
                if said != error { logger.warning("the archive is not pruned at this time", metadata: ["reason": "\(error)"]) }
                said = error
                sweeps.failed()
            }
            // Cancelled: the loop ends.
            try? await Task.sleep(for: .nanoseconds(Int64(interval)))
        }
    }

    /// One look, and what follows from it; false where the store kept something that was to go. `sweeps`: what earlier turns left is looked for too, with a listing where the
    /// store has one.
    private func turn(_ retain: UInt64, sweeps: Bool) async throws(ArchiveError) -> Bool {
        var places: [Pruning.Place] = []
        for place in session.line {
            places.append(Pruning.Place(epoch: place.epoch, start: place.start, naming: try await access.naming(place.epoch)))
        }
        let time = time
        let pruning = Pruning(
            store: access.store, layout: access.layout,
            log: LogDocument(logID: session.logID, archiveID: session.archiveID, segmentSize: segmentSize), line: places,
            claims: Claims(store: access.store, layout: access.layout, settle: claimSettle, patience: { NoPatience() }), now: { time.now() },
            patience: { NoPatience() })
        let now = time.now()
        let plan = try await pruning.plan(.olderThan(now > retain ? now - retain : 0), limit: slot.state.hold, sweeps: sweeps)
        guard !plan.isEmpty else { return true }
        let outcome = try await pruning.run(plan)
        logger.info("pruned the archive", metadata: ["floor": "\(plan.first)", "deleted": "\(outcome.deleted)"])
        guard let first = outcome.refused.first else { return true }
        logger.warning(
            "storage refuses to delete what lies below the archive's floor",
            metadata: ["objects": "\(outcome.refused.count)", "first": "\(first.key)", "reason": "\(first.reason)"])
        return false
    }
}

/// Decides which turns look for what lies below the floor, with a listing: the first, the one after a failure, because what was begun and not finished lies there, and, once in a while,
/// one after storage kept something: a lock ends some day. A value; times are of the monotonic clock.
struct RetentionSweeps: Hashable, Sendable {
    private var due: UInt64? = 0

    func isDue(at now: UInt64) -> Bool { due.map { now >= $0 } ?? false }

    mutating func ended(isAllGone: Bool, hasSwept: Bool, at now: UInt64) {
        if !isAllGone {
            let next = now + ShipperLimits.retentionSweepInterval
            // What is kept anew does not put off what was kept before.
            due = hasSwept ? next : min(due ?? next, next)
        } else if hasSwept {
            due = nil
        }
    }

    mutating func failed() { due = 0 }
}

extension ShippedTruncation {
    /// Whether an object that is gone was pruned: then it is not missed.
    func isPruned(_ range: Range<LSN>) async throws(ShipperError) -> Bool {
        do throws(ArchiveError) {
            guard let floor = try await access.document(FloorDocument.self, access.layout.floor) else { return false }
            return floor.objectStart >= range.upperBound
        } catch {
            throw .archive(error)
        }
    }
}
