import Archive
import Logging
import WAL

/// Removes the tails of one acknowledged segment, last first, and at each position the lowest level last, so that what a crash leaves can still
/// be walked.
///
/// No DELETE is sent unless a look at the claims has said that the epoch is ours, at most `deletesPerLook` deletes and `deletionLookAge` ago. That is enough: the names
/// hold our epoch's id, so nobody else's object is ever meant; what goes lies in a segment that counts as archived under this epoch, where readers look
/// first; and what was ours when it was looked at was not needed any more from then on.
///
/// It holds nothing up. A store that is away is asked again for as long as it takes, beside everything else, or, where the run is to end, not again: the slot knows what is left. One
/// that refuses to delete (object lock) is told once and left alone: such tails cost space and nothing else.
struct TailRemoval: Sendable {
    let removal: StaleTails.Removal
    /// What fails is left to another run.
    let triesOnce: Bool
    let session: ShipSession
    let access: ArchiveAccess
    let claims: Claims
    /// Seconds.
    let retryDelayMax: Double
    let time: any TimeSource
    let logger: Logger

    enum Ending: Hashable, Sendable {
        /// They are gone, or will stay for ever.
        case done
        case postponed
    }

    /// How much a look at the claims is still good for.
    private struct Permit {
        var lookedAt: UInt64?
        var deletes = 0

        func holds(_ now: UInt64) -> Bool {
            guard let lookedAt else { return false }
            return deletes < ShipperLimits.deletesPerLook && now - lookedAt <= ShipperLimits.deletionLookAge
        }
    }

    func run() async throws(ShipperError) -> Ending {
        do throws(ArchiveError) {
            var permit = Permit()
            for tail in try await tails() {
                for isEncrypted in session.naming.leftovers(segment: removal.segment.lowerBound) {
                    try await delete(access.layout.tail(session.epoch, level: tail.level, start: tail.start, isEncrypted: isEncrypted), &permit)
                }
            }
            return .done
        } catch where error.code == .cancelled || error.code == .fenced {
            throw .archive(error)
        } catch where error.isRetryable {
            logger.warning("tails of an archived segment are left to the next run", metadata: ["reason": "\(error)"])
            return .postponed
        } catch {
            logger.warning("tails of an archived segment stay where they are", metadata: ["reason": "\(error)"])
            return .done
        }
    }

    /// Those that are known, or may be there: in that case each level at each position that the chain of level 0 leads to.
    private func tails() async throws(ArchiveError) -> [StaleTails.Tail] {
        if let known = removal.known { return known.inOrderOfRemoval }
        var starts: [LSN] = []
        var position = removal.segment.lowerBound
        while position < removal.segment.upperBound {
            let sight = try await access.sight(.tail(level: 0), session.epoch, start: position, session.naming)
            if sight == .nothing { break }
            starts.append(position)
            guard case .object(let found) = sight else { break }
            position = found.end
        }
        return starts.reversed().flatMap { start in
            (0...ShipperLimits.tailLevelMax).reversed().map { StaleTails.Tail(level: $0, start: start) }
        }
    }

    private func delete(_ key: ObjectKey, _ permit: inout Permit) async throws(ArchiveError) {
        let policy = RetryPolicy(
            attemptsMax: triesOnce ? 1 : .max, delayFirst: min(ShipperLimits.retryDelayFirst, retryDelayMax), delayMax: retryDelayMax,
            retryAfterMax: ShipperLimits.retryAfterMax)
        var patience = RetryTimer(policy)
        var isTold = false
        while true {
            if Task.isCancelled { throw ArchiveError(.cancelled, "cancelled", key: key) }
            // Retries too: however long it takes, none comes long after a look.
            if !permit.holds(time.monotonic()) {
                let now = time.monotonic()
                if let error = FencingLook.error(try await claims.look(session.epoch), session.epoch, access.layout) { throw error }
                permit = Permit(lookedAt: now)
            }
            permit.deletes += 1
            do throws(ArchiveError) {
                return try await access.store.delete(key)
            } catch where error.isRetryable {
                if !isTold { logger.warning("a tail of an archived segment could not be removed", metadata: ["object": "\(key.path)", "reason": "\(error)"]) }
                isTold = true
                try await patience.wait(after: error)
            }
        }
    }
}
