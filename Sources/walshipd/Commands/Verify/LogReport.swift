import WAL

/// What `verify --log --json` prints: the same members however it ends. LSNs are decimal strings, other counts are numbers.
struct LogReport {
    let path: String
    var findings: [LogAudit.Finding] = []
    /// Nil: it did not come to an end.
    var summary: LogAudit.Summary?
    var error: String?
    /// It was not printed yet.
    var isOpen = true

    init(path: String) { self.path = path }

    var json: JSONText {
        func number(_ value: (LogAudit.Summary) -> some BinaryInteger) -> JSONText { .optional(summary) { .number(UInt64(value($0))) } }
        func bool(_ value: (LogAudit.Summary) -> Bool) -> JSONText { .optional(summary) { .bool(value($0)) } }
        return .object([
            ("path", .string(path)), ("ok", .bool(error == nil && summary?.damages == 0)), ("error", .optional(error) { .string($0) }),
            ("records", number(\.records)), ("bytes", number(\.bytes)), ("segments", number(\.segments)), ("head_lsn", .lsn(summary?.head)),
            ("durable_lsn", .lsn(summary?.durable)), ("epochs", number(\.epochs)), ("replica", bool(\.isReplica)), ("copied", bool(\.isCopied)),
            ("damaged", number(\.damages)),
            ("findings", .array(findings.map { finding in
                .object([
                    ("kind", .string(String(describing: finding.kind))), ("path", .string(finding.path)), ("lsn", .lsn(finding.lsn)),
                    ("what", .string(finding.what)),
                ])
            })),
        ])
    }
}
