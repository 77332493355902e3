import Follower
import WAL

extension LogStatus {
    /// LSNs are decimal strings, other counts are numbers.
    var json: JSONText {
        .object([
            ("path", .string(path)),
            ("log_id", .string("\(logID)")),
            ("epoch", .number(epoch.number)),
            ("epoch_id", .string("\(epoch.id)")),
            ("head_lsn", .lsn(head)),
            ("written_lsn", .lsn(written)),
            ("durable_lsn", .lsn(durable)),
            ("segment_size", .number(UInt64(segmentSize))),
            ("writer", .optional(writer?.process) { .number(UInt64($0)) }),
            ("replica", .bool(isReplica)),
            ("stopped", .bool(isStopped)),
            ("held_by", .optional(heldBy?.name) { .string($0) }),
            ("held_lsn", .lsn(heldBy?.at)),
            ("blocked_by", .optional(blockage?.process) { .number(UInt64($0)) }),
            ("appends_waiting", .number(blockage?.waitingAppends ?? 0)),
            ("destinations", .array(destinations.map(\.json))),
            ("pins", .array(pins.map { .object([("name", .string($0.name)), ("lsn", .lsn($0.position))]) })),
            ("unreadable_slots", .array(unreadableSlots.map { .string($0) })),
            ("follower", .optional(follower) { json(of: $0) }),
        ])
    }
}

extension LogStatus {
    private func json(of follower: FollowerDocument) -> JSONText {
        .object([
            ("archive", .string(follower.archive)),
            ("running", .bool(writer != nil)),
            ("state", .string(follower.state)),
            ("applied_lsn", .string(follower.appliedLSN)),
            ("known_lsn", .string(follower.knownLSN)),
            ("epoch", .optional(follower.epoch) { .number($0) }),
            ("lag_bytes", .number(follower.lagBytes)),
            ("lag_seconds", .optional(follower.lagSeconds) { .seconds($0) }),
            ("last_error", .optional(follower.lastError) { .string($0) }),
            ("time", .string(follower.time)),
        ])
    }
}

extension LogStatus.Destination {
    private static func json(_ gap: Range<LSN>) -> JSONText {
        .object([("start_lsn", .lsn(gap.lowerBound)), ("end_lsn", .lsn(gap.upperBound))])
    }

    var json: JSONText {
        .object([
            ("name", .string(name)),
            ("url", .null),
            ("archived_lsn", .lsn(archived)),
            ("checkpoint_lsn", .lsn(checkpoint)),
            ("lag_bytes", .number(lagBytes)),
            ("lag_segments", .number(lagSegments)),
            ("lag_seconds", .optional(lagSeconds) { .seconds($0) }),
            ("gaps", .array(gaps.map(Self.json))),
            ("last_gap", .optional(lastGap) { Self.json($0) }),
            ("epoch", epochNumber == 0 ? .null : .number(epochNumber)),
            ("state", .null),
            ("last_error", .null),
            ("capabilities", .array(capabilities.words.map { .string($0) })),
            ("fencing_weakness", .optional(fencingWeakness) { .string($0) }),
        ])
    }
}
