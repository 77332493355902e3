import Archive
import Follower
import WAL

/// What a restore would do, for people and for scripts.
extension RestorePlan {
    /// One name and value a line. What was not asked for, because a listing had told enough, is left out.
    var lines: [String] {
        var lines = ["log_id \(logID)"] + archiveIDs.map { "archive_id \($0)" }
        lines += [
            "segment_size \(segmentSize)", "head_lsn \(head)", "end_lsn \(end)", "segments \(segments)", "tails \(tails)", "bytes \(bytes)",
        ]
        if let lsn = limit { lines.append("before_lsn \(lsn)") }
        if let records { lines.append("records \(records)") }
        if let objectBytes { lines.append("object_bytes \(objectBytes)") }
        if archiveIDs.count > 1 {
            for archive in archiveIDs.indices { lines.append("objects_of_archive \(archive + 1) \(links.count { $0.archive == archive })") }
        }
        if encrypted > 0 { lines.append("encrypted \(encrypted)") }
        lines += keys.map { "key \($0)" }.sorted()
        lines += epochs.map { "epoch \($0.number) \($0.id) from \($0.start)" }
        return lines
    }

    /// Where a restore to a time ends.
    private var limit: LSN? {
        if case .before(let lsn) = target { lsn } else { nil }
    }

    func json(archives: [String]) -> JSONText {
        .object([
            ("log_id", .string("\(logID)")), ("archives", .array(archives.map(JSONText.string))),
            ("archive_ids", .array(archiveIDs.map { .string("\($0)") })), ("segment_size", .number(segmentSize)), ("head_lsn", .lsn(head)),
            ("end_lsn", .lsn(end)), ("before_lsn", .lsn(limit)), ("bytes", .number(bytes)), ("segments", .number(UInt64(segments))),
            ("tails", .number(UInt64(tails))), ("records", .optional(records, JSONText.number)),
            ("object_bytes", .optional(objectBytes, JSONText.number)), ("encrypted", .number(UInt64(encrypted))),
            ("keys", .array(keys.map { "\($0)" }.sorted().map(JSONText.string))),
            ("epochs", .array(epochs.map { .object([("number", .number($0.number)), ("id", .string("\($0.id)")), ("start_lsn", .lsn($0.start))]) })),
            ("objects", .array(links.map(RestorePlan.json))),
        ])
    }

    private static func json(_ link: Link) -> JSONText {
        .object([
            ("archive", .number(UInt64(link.archive + 1))), ("key", .string("\(link.key)")), ("start_lsn", .lsn(link.range.lowerBound)),
            ("end_lsn", .lsn(link.range.upperBound)),
        ])
    }
}
