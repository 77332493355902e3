import Archive
import Follower
import WAL

/// What `verify --archive --json` prints: the same members however it ends.
struct ArchiveReport {
    var url: String?
    var findings: [AuditFinding] = []
    /// Nil: it did not come to an end.
    var summary: AuditSummary?
    var error: String?
    /// It was not printed yet.
    var isOpen = true

    private var isOK: Bool { error == nil && summary.map { $0.damages == 0 && $0.missing == 0 && $0.gaps == 0 } ?? false }

    var json: JSONText {
        func number(_ value: (AuditSummary) -> some BinaryInteger) -> JSONText { .optional(summary) { .number(UInt64(value($0))) } }
        return .object([
            ("archive", .optional(url) { .string($0) }), ("ok", .bool(isOK)), ("error", .optional(error) { .string($0) }),
            ("documents", number(\.documents)), ("segments", number(\.segments)), ("tails", number(\.tails)), ("records", number(\.records)),
            ("bytes", number(\.rawBytes)), ("object_bytes", number(\.objectBytes)), ("first_lsn", .lsn(summary?.first)), ("end_lsn", .lsn(summary?.end)),
            ("epochs", number(\.epochs)), ("skipped", number(\.skipped)), ("sealed", number(\.sealed)),
            ("listed", .optional(summary) { .bool($0.isListed) }), ("damaged", number(\.damages)), ("missing", number(\.missing)), ("gaps", number(\.gaps)),
            ("findings", .array(findings.map { finding in
                .object([
                    ("kind", .string(VerifyCommand.kind(finding))), ("key", .optional(finding.key) { .string($0.path) }), ("lsn", .lsn(finding.lsn)),
                    ("end_lsn", .lsn(finding.end)), ("what", .string(finding.what)),
                ])
            })),
        ])
    }
}
