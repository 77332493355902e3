import Archive
import Follower
import WAL

extension ArchiveStatus {
    /// LSNs and times (nanoseconds since 1970) are decimal strings.
    func json(url: String) -> JSONText {
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
            ("head_time", .optional(headTime) { .string("\($0)") }),
            ("encrypted_from_lsn", .lsn(encryption?.from)),
            ("encryption_key", .optional(encryption?.keyID) { .string("\($0)") }),
        ])
    }

    func table(url: String) -> String {
        let rows: [(String, String)] = [
            ("archive", url),
            ("log id", "\(logID)"),
            ("archive id", "\(archiveID)"),
            ("segment size", "\(ByteSize(segmentSize))"),
            ("claimed", claimed.map { "epoch \($0.epoch.number) (\($0.epoch.id)) by \($0.host.isEmpty ? "an unnamed host" : $0.host)" } ?? "by nobody"),
            ("epoch", epoch.map { "\($0.number) (\($0.id))" } ?? "none has begun"),
            ("first record", firstRecord.map { "\($0)" } ?? "none"),
            ("archived", archived.map { "at least up to \($0)" } ?? "nothing yet"),
            ("encryption", encryption.map { "aes-256-gcm from LSN \($0.from) on, begun with key \($0.keyID)" } ?? "off"),
        ]
        return rows.map { row in row.0 + String(repeating: " ", count: 14 - row.0.count) + row.1 }.joined(separator: "\n")
    }
}
