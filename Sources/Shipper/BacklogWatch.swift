import Logging
import WAL

/// Holds to a destination's backlog limit, beside its uploads and whatever they do: a request that hangs cannot disable it.
///
/// Reads the log and the slot on a lane of its own. Blocks appends or gives up ranges as the policy says; what it gives up is recorded in the slot
/// before it is removed, and `ShipRun` finds that its plan is of no use any more. Also removes what was released and could not go at once.
struct BacklogWatch: Sendable {
    let sidecar: LogSidecar
    let slot: DestinationSlot
    let plan: BacklogPlan
    let worker: LogWorker
    let board: StatusBoard
    let time: any TimeSource
    let logger: Logger

    /// What is kept between two looks.
    private struct Memory {
        var plan: BacklogPlan
        var durable: LSN?
        /// What could not be read or written at the last look; said once.
        var failure: WALError?
        var leftoversAt: UInt64
        /// Something was given up and is still there.
        var removesNow = false
    }

    /// What one look found and did.
    private struct Look: Sendable {
        var decision: BacklogPlan.Decision
        var durable: LSN
        var slot: SlotState
        var gap: SlotGap?
        var failure: WALError?
        var isNear: Bool
    }

    /// Watches until the task is cancelled. Appends that it blocked go on at the end.
    func run() async {
        let now = time.monotonic()
        var memory = Memory(plan: plan, leftoversAt: now)
        while !Task.isCancelled {
            let before = memory.durable
            let isNear = await look(&memory)
            // Where nothing is done past a limit, only what is said of it waits.
            let mayRest = (plan.limit == nil || plan.policy == .keep) && memory.durable == before && !memory.removesNow
            let delay = isNear ? ShipperLimits.backlogLookMin : mayRest ? ShipperLimits.restInterval : ShipperLimits.pollInterval
            // Cancelled: the loop ends.
            try? await Task.sleep(for: .nanoseconds(delay))
        }
        await unblock()
    }

    private func unblock() async {
        let sidecar = sidecar
        do throws(ShipperError) {
            try await worker.run(.watch) { () throws(WALError) in try sidecar.unblockAppends() }
        } catch {
            logger.error("appends may still wait until this process ends", metadata: ["reason": "\(error)"])
        }
    }

    /// Returns whether to look again soon.
    private func look(_ memory: inout Memory) async -> Bool {
        let (watch, plan) = (self, memory.plan)
        let result: Result<(BacklogPlan, Look), ShipperError>
        do throws(ShipperError) {
            result = .success(try await worker.run(.watch) { () throws(WALError) in try watch.lookNow(plan) })
        } catch {
            result = .failure(error)
        }
        switch result {
        case .failure(let error):
            // The log's own reading fails as well, and says more; but a policy that cannot be held to is said here.
            if case .log(let cause) = error { note(cause, &memory) }
            return false
        case .success((let plan, let look)):
            memory.plan = plan
            note(look.failure, &memory)
            report(look, isOver: plan.isOver)
            if look.gap != nil { memory.removesNow = true }
            await removeLeftovers(look, &memory)
            defer { memory.durable = look.durable }
            // While nothing is written nothing can pass the limit.
            return look.isNear || plan.limit != nil && plan.policy != .keep && memory.durable != look.durable
        }
    }

    /// Blocks: on the watch's own lane.
    private func lookNow(_ plan: BacklogPlan) throws(WALError) -> (BacklogPlan, Look) {
        var plan = plan
        let state = slot.state
        let durable = try sidecar.reader.durableLSN
        let decision = plan.look(durable: durable, checkpoint: state.position)
        var look = Look(decision: decision, durable: durable, slot: state, isNear: plan.isNear(durable: durable, checkpoint: state.position))
        do throws(WALError) {
            if decision.blocks { try sidecar.blockAppends() } else { try sidecar.unblockAppends() }
            if decision.giveUpTo != nil {
                let (plan, last) = (plan, board.current.lastError)
                let reason = "more than \(plan.limit ?? 0) bytes waited to be archived" + (last.map { "; storage: \($0)" } ?? "")
                // Decided anew on what the slot says while nobody else writes it: what was acknowledged just now is not given up.
                look.gap = try slot.giveUp(reason: reason, time: time.now()) { state in
                    // A slot that has not been compared with any archive yet may not know what is archived.
                    guard let end = plan.giveUpEnd(durable: durable, checkpoint: state.position), end > state.archived,
                        state.archived >= state.position
                    else { return nil }
                    return end
                }
                look.slot = slot.state
            }
        } catch {
            look.failure = error
        }
        return (plan, look)
    }

    private func note(_ failure: WALError?, _ memory: inout Memory) {
        guard failure != memory.failure else { return }
        memory.failure = failure
        guard let failure else { return }
        board.alarm()
        logger.error("the backlog limit cannot be held to", metadata: ["reason": "\(failure)"])
    }

    private func report(_ look: Look, isOver: Bool) {
        let isBlocking = look.decision.blocks && look.failure == nil
        board.backlog(look.slot, durable: look.durable, isOver: isOver, isBlocking: isBlocking, now: time.monotonic())
        switch look.decision.change {
        case .over:
            board.alarm()
            logger.error(
                "the backlog is over its limit",
                metadata: [
                    "bytes": "\(BacklogPlan.bytes(durable: look.durable, checkpoint: look.slot.position))", "limit": "\(plan.limit ?? 0)",
                    "policy": "\(plan.policy.rawValue)",
                ])
        case .under: logger.notice("the backlog keeps to its limit again", metadata: ["limit": "\(plan.limit ?? 0)"])
        case nil: break
        }
        if let gap = look.gap {
            board.gaveUp(gap.range)
            logger.error(
                "given up: this range will not be in the archive",
                metadata: ["from": "\(gap.range.lowerBound)", "to": "\(gap.range.upperBound)", "reason": "\(gap.reason)"])
        }
    }

    /// What was released and is still there: something was given up just now, or a pin or another destination held it when its turn came.
    private func removeLeftovers(_ look: Look, _ memory: inout Memory) async {
        let now = time.monotonic()
        guard memory.removesNow || now >= memory.leftoversAt + ShipperLimits.leftoverInterval else { return }
        memory.leftoversAt = now
        memory.removesNow = false
        let (sidecar, released, size) = (sidecar, look.slot.hold, plan.segmentSize)
        do throws(ShipperError) {
            try await worker.run(.watch) { () throws(WALError) in
                guard try released.rawValue / size > sidecar.reader.headLSN.rawValue / size else { return }
                try sidecar.truncateBefore(released)
            }
        } catch {
            // Tried again in ten seconds.
            logger.warning("what was released could not be removed", metadata: ["reason": "\(error)"])
        }
    }
}
