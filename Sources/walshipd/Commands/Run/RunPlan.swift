import Archive
import Shipper

/// What `walshipd run` would do with its settings: which logs, to where, under which slot names, and how. A value, for people and for scripts.
///
/// Made from settings and a look at which logs are there; nothing is asked of any archive, and nothing is changed.
struct RunPlan {
    struct Log {
        var settings: LogSettings
        /// The pattern that found it; nil where it is listed.
        var pattern: String?
        var isThere: Bool
    }

    var logs: [Log]
    var patterns: [LogPattern]
    var destinations: [DestinationSettings]
    var warnings: [String]

    /// Looks for the logs.
    init(_ loaded: RunSettings.Loaded) async {
        let settings = loaded.settings
        warnings = loaded.warnings
        patterns = settings.patterns
        destinations = settings.destinations
        logs = []
        for log in settings.logs {
            do {
                logs.append(Log(settings: log, pattern: nil, isThere: try await LogFinder.identity(of: log.path) != nil))
            } catch {
                logs.append(Log(settings: log, pattern: nil, isThere: false))
                warnings.append("\(log.path) cannot be shipped: \(error)")
            }
        }
        var known = KnownLogs(listed: settings.logs)
        for pattern in settings.patterns {
            let decision = known.take(await LogFinder.find([pattern]))
            logs += decision.begin.map { Log(settings: $0.log, pattern: pattern.text, isThere: true) }
            warnings += decision.refused.map { "\($0.path) is not shipped: \($0.reason)" }
        }
    }

    /// What each destination's settings come to, in words; a label and a value each.
    static func notes(_ destination: DestinationSettings) -> [(label: String, value: String)] {
        let ship = destination.ship
        var notes: [(label: String, value: String)] = [
            ("tails", ship.tailInterval.map { "every \(DurationText.format($0)) at most" } ?? "none but the last one before the end"),
            ("uploads", "\(ship.uploadsInFlight) at a time for each log, zstd level \(ship.compressionLevel)"),
            ("memory", "\(ship.memoryLimit) for all uploads together"),
            ("bandwidth", ship.bandwidthLimit.map { "\($0) per second for all uploads together" } ?? "not limited"),
            ("truncation", "\(ship.settle == .zero ? "at once" : "\(DurationText.format(ship.settle)) after the acknowledgement"), \(ship.retain) bytes stay"),
            ("backlog", ship.maxLocalBytes.map { "past \($0): \(ship.backlogPolicy.rawValue)" } ?? "as much as the disk holds"),
            ("fencing", ship.fencing == .required ? "required: storage that ignores conditions is refused" : "best effort"),
            ("immutable", ship.immutable ? "yes: nothing is replaced or deleted, no head documents, the probe leaves its objects" : "no"),
            ("encryption", destination.encryption.words),
        ]
        notes.append(("archive", ship.archiveRetain.map { "keeps \(DurationText.format($0))" } ?? "keeps everything"))
        switch destination.base.place {
        case .directory: break
        case .http: notes.append(("credentials", credentials(destination.http)))
        case .s3:
            notes.append(("endpoint", destination.s3.endpoint ?? "AWS"))
            let source = [destination.s3.credentialsFile.map { "file \($0)" }, destination.s3.profile.map { "profile \($0)" }].compactMap { $0 }
            notes.append(("keys", source.isEmpty ? "as the AWS tools' variables say" : source.joined(separator: ", ")))
        }
        return notes
    }

    private static func credentials(_ http: HTTPSettings) -> String {
        switch http.credentials {
        case nil: "none"
        case .basic(let username, let source): "user \(username), password from \(place(of: source))"
        case .bearer(let source): "token from \(place(of: source))"
        }
    }

    private static func place(of source: SecretSource) -> String {
        switch source {
        case .value: "the environment"
        case .file(let path, _, _): path
        }
    }

    /// For people.
    var text: String {
        var lines: [String] = []
        for pattern in patterns {
            let count = logs.count { $0.pattern == pattern.text }
            lines.append("logs that match \(pattern.text): \(count) now; looked for every \(DurationText.format(RunLimits.lookInterval))")
        }
        var rows = [["log", "", "archive", "slot"]]
        for log in logs {
            for (index, destination) in destinations.enumerated() {
                rows.append([
                    index == 0 ? log.settings.path : "", index > 0 ? "" : log.isThere ? "there" : "not there yet",
                    destination.archive(of: log.settings).text, destination.slotName(of: log.settings),
                ])
            }
        }
        if !logs.isEmpty { lines += TextTable.aligned(rows) }
        for destination in destinations {
            lines += ["", "destination \(destination.base)\(destination.name.map { ", named \($0)" } ?? "")"]
            lines += TextTable.aligned(Self.notes(destination).map { ["  \($0.label)", $0.value] })
        }
        return lines.joined(separator: "\n")
    }

    /// For scripts.
    var json: JSONText {
        .object([
            (
                "logs",
                .array(logs.map { log in
                    .object([
                        ("path", .string(log.settings.path)), ("name", .string(log.settings.name.text)), ("exists", .bool(log.isThere)),
                        ("pattern", .optional(log.pattern) { .string($0) }),
                        (
                            "archives",
                            .array(destinations.map { destination in
                                .object([
                                    ("url", .string(destination.archive(of: log.settings).text)),
                                    ("slot", .string(destination.slotName(of: log.settings))),
                                ])
                            })
                        ),
                    ])
                })
            ),
            ("patterns", .array(patterns.map { .string($0.text) })),
            ("destinations", .array(destinations.map(Self.json))),
            ("warnings", .array(warnings.map { .string($0) })),
        ])
    }

    private static func json(_ destination: DestinationSettings) -> JSONText {
        let ship = destination.ship
        let archiveRetain = JSONText.optional(ship.archiveRetain) { .seconds($0 / .seconds(1)) }
        return .object([
            ("url", .string(destination.base.text)),
            ("name", .optional(destination.name) { .string($0) }),
            ("tail_interval_seconds", .optional(ship.tailInterval) { .seconds($0 / .seconds(1)) }),
            ("uploads_in_flight", .number(UInt64(ship.uploadsInFlight))),
            ("compression_level", .number(UInt64(ship.compressionLevel))),
            ("memory_limit", .number(ship.memoryLimit.bytes)),
            ("bandwidth_limit", .optional(ship.bandwidthLimit) { .number($0.bytes) }),
            ("retain", .number(ship.retain.bytes)),
            ("settle_seconds", .seconds(ship.settle / .seconds(1))),
            ("archive_retain_seconds", archiveRetain),
            ("max_local_bytes", .optional(ship.maxLocalBytes) { .number($0.bytes) }),
            ("backlog_policy", .string(ship.backlogPolicy.rawValue)),
            ("fencing", .string(ship.fencing.rawValue)),
            ("immutable", .bool(ship.immutable)),
            ("endpoint", destination.isBucket ? .optional(destination.s3.endpoint) { .string($0) } : .null),
            ("notes", .object(notes(destination).map { ($0.label, .string($0.value)) })),
        ])
    }
}
