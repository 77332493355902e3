import Archive
import Follower
import WAL

extension ArchiveStatus {
    /// LSNs and times (nanoseconds since 1970) are decimal strings. `capabilities`: what a probe found; nil: none was made.
    func json(url: String, capabilities: StoreCapabilities?) -> JSONText {
        .object([
            ("archive", .string(url)),
            ("log_id", .string("\(logID)")),
            ("archive_id", .string("\(archiveID)")),
            ("segment_size", .number(segmentSize)),
            ("claimed_epoch", .optional(claimed?.epoch.number) { .number($0) }),
            ("claimed_by", .optional(claimed?.host) { .string($0) }),
            ("epoch", .optional(epoch?.number) { .number($0) }),
            ("epoch_id", .optional(epoch?.id) { .string("\($0)") }),
            ("first_lsn", .lsn(firstRecord)),
            ("archived_lsn", .lsn(archived)),
            ("durable_lsn", .lsn(durable)),
            ("head_time", .time(headTime)),
            ("end_lsn", .lsn(end?.lsn)),
            ("end_state", .optional(end) { .string($0.certainty.word) }),
            ("end_error", .optional(end?.certainty.error) { .string($0.description) }),
            ("floor", .optional(floor) { .object([("lsn", .lsn($0.lsn)), ("object_start", .lsn($0.objectStart)), ("time", .time($0.time))]) }),
            ("encrypted_from_lsn", .lsn(encryption?.from)),
            ("encryption_key", .optional(encryption?.keyID) { .string("\($0)") }),
            ("epochs", .array(epochs.map(\.json))),
            ("gaps", .optional(gaps) { .array($0.map(\.json)) }),
            ("lists", .optional(lists) { .bool($0) }),
            ("capabilities", .optional(capabilities) { .array($0.words.map { .string($0) }) }),
            ("fencing_weakness", .optional(capabilities?.fencingWeakness) { .string($0) }),
        ])
    }

    func table(url: String, capabilities: StoreCapabilities?) -> String {
        var rows = [["archive", url], ["log id", "\(logID)"], ["archive id", "\(archiveID)"], ["segment size", "\(ByteSize(segmentSize))"]]
        func add(_ name: String, _ words: String?) {
            if let words { rows.append([name, words]) }
        }
        add("claimed", claimed.map { "epoch \($0.epoch.number) (\($0.epoch.id)) by \($0.hostName)" } ?? "by nobody")
        add("epoch", epoch.map { "\($0.number) (\($0.id))" } ?? "none has begun")
        add("first record", firstRecord.map { "\($0)" } ?? "none")
        add("archived", archived.map { "at least up to \($0)" } ?? "nothing yet")
        add("end", end?.words)
        add("pruned", floor.map { "below LSN \($0.lsn), \(InstantText.format($0.time))" })
        add("encryption", encryption.map { "aes-256-gcm from LSN \($0.from) on, begun with key \($0.keyID)" } ?? "off")
        if lists == false { add("store", "cannot list: gaps are found only by reading") }
        add("capabilities", capabilities?.words.joined(separator: ", "))
        var lines = TextTable.aligned(rows)
        if let weakness = capabilities?.fencingWeakness { lines.append("The store \(weakness).") }
        if !epochs.isEmpty {
            lines.append("")
            lines += TextTable.aligned([["epoch", "id", "claimed by", "at", "fork", "from", "to", "state"]] + epochs.map { $0.row(end: end) })
            for epoch in epochs where epoch.isEncryptionCut { lines.append("Epoch \(epoch.number): encryption.json is cut short.") }
        }
        if let gaps, !gaps.isEmpty {
            lines.append("")
            lines += TextTable.aligned([["gap from", "to", "epoch", "at", "in the way", "reason"]] + gaps.map(\.row))
        }
        return lines.joined(separator: "\n")
    }
}

extension ArchiveStatus.End {
    fileprivate var words: String {
        switch certainty {
        case .proven: "\(lsn)"
        case .unproven: "at or past \(lsn), unproven: there is no head document, and the store cannot list"
        case .growing: "past \(lsn), growing"
        case .broken(let error): "broken at \(lsn): \(error)"
        }
    }
}

extension ArchiveStatus.End.Certainty {
    fileprivate var word: String {
        switch self {
        case .proven: "proven"
        case .unproven: "unproven"
        case .growing: "growing"
        case .broken: "broken"
        }
    }

    fileprivate var error: ArchiveError? {
        if case .broken(let error) = self { error } else { nil }
    }
}

extension ClaimDocument {
    fileprivate var hostName: String { host.isEmpty ? "an unnamed host" : host }
}

extension EpochStatus {
    fileprivate var json: JSONText {
        .object([
            ("number", .number(number)),
            ("id", .optional(name) { .string("\($0.id)") }),
            ("state", .string(state.rawValue)),
            ("claimed_by", .optional(claim?.host) { .string($0) }),
            ("claimed_time", .time(claim?.time)),
            ("fork_lsn", .lsn(fork)),
            ("start_lsn", .lsn(start)),
            ("successor_start_lsn", .lsn(successorStart)),
            ("archived_lsn", .lsn(head?.archived)),
            ("checkpoint_lsn", .lsn(head?.checkpoint)),
            ("durable_lsn", .lsn(head?.durable)),
            ("head_time", .time(head?.time)),
            ("encrypted_from_lsn", .lsn(encryption?.from)),
            ("encryption_key", .optional(encryption?.keyID) { .string("\($0)") }),
        ])
    }

    fileprivate func row(end: ArchiveStatus.End?) -> [String] {
        let to = state == .current ? end?.lsn : successorStart ?? head?.archived
        func word(_ lsn: LSN?, else other: String) -> String { lsn.map { "\($0)" } ?? other }
        var row = ["\(number)", "?", "?", "?"]
        if let claim { row = ["\(number)", "\(claim.epoch.id)", claim.hostName, InstantText.format(claim.time)] }
        row += [word(fork, else: "-"), word(start, else: "-"), start == nil ? "-" : word(to, else: "?"), state.words]
        return row
    }
}

extension EpochStatus.State {
    fileprivate var words: String {
        switch self {
        case .current: "current"
        case .ancestor: "ancestor"
        case .abandoned: "abandoned"
        case .unused: "never begun here"
        case .claimed: "claimed, has not begun"
        case .unreadable: "its claim cannot be read"
        }
    }
}

extension ArchiveStatus.Gap {
    fileprivate var json: JSONText {
        .object([
            ("epoch", .number(epoch.number)), ("start_lsn", .lsn(document.start)), ("end_lsn", .lsn(document.end)), ("reason", .string(document.reason)),
            ("time", .time(document.time)), ("on_line", .bool(isOnLine)),
        ])
    }

    fileprivate var row: [String] {
        ["\(document.start)", "\(document.end)", "\(epoch.number)", InstantText.format(document.time), isOnLine ? "yes" : "no", document.reason]
    }
}

extension JSONText {
    /// Nanoseconds since 1970, in decimal.
    fileprivate static func time(_ nanoseconds: UInt64?) -> JSONText { .optional(nanoseconds) { .string("\($0)") } }
}
