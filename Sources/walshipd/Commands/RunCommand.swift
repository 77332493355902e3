import ArgumentParser
import Foundation
import Logging
import WAL

/// `walshipd run`: ships logs to archives.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Ships logs to archives, and truncates what is archived.",
        discussion: """
            Every log goes to every destination. On SIGTERM or SIGINT the open segment's tail is archived within \
            --shutdown-deadline, and the exit code is 0. A destination that cannot go on stops alone; the program ends when all \
            have, with the gravest of their codes: 4 fenced or diverged (or a restored log that was not promoted), 3 corruption, 6 storage, 1 others.

            A log that does not exist yet is waited for; with --once it is an error (5). Where the file lists a pattern like /var/lib/*/wal, logs that \
            appear are found within five seconds, and one that vanishes ends alone; the program then runs until it is told to end.
            """)

    @Option(help: ArgumentHelp("A file of settings; see Config/walshipd.yaml.", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("The directory of the one log to ship.", valueName: "dir"))
    var log: String?

    @Option(help: ArgumentHelp("The one archive to ship to: <base>/<log name>.", valueName: "url"))
    var archive: String?

    @OptionGroup var s3: S3Options
    @OptionGroup var keys: KeyOptions

    @Flag(help: "Ship up to what is durable now, the open segment's tail included, truncate what is settled, and end.")
    var once = false

    @Option(
        help: ArgumentHelp("With --once: how long it may take; then the exit code is 6.", valueName: "duration"),
        transform: { try SettingParsers.duration(.milliseconds(1)...(.seconds(7 * 86_400)))($0) })
    var timeout: Duration?

    @Flag(help: "Read and check all settings, show what they come to, and do nothing else: no archive is asked.")
    var check = false

    @Flag(help: "With --check: show it as JSON.")
    var json = false

    @Option(help: ArgumentHelp("Overrides ship.tail-interval.", valueName: "duration|off"))
    var shipTailInterval: String?
    @Option(help: ArgumentHelp("Overrides ship.uploads-in-flight.", valueName: "count"))
    var shipUploadsInFlight: String?
    @Option(help: ArgumentHelp("Overrides ship.compression-level.", valueName: "level"))
    var shipCompressionLevel: String?
    @Option(help: ArgumentHelp("Overrides ship.retain.", valueName: "size"))
    var shipRetain: String?
    @Option(help: ArgumentHelp("Overrides ship.memory-limit.", valueName: "size"))
    var shipMemoryLimit: String?
    @Option(help: ArgumentHelp("Overrides ship.archive-retain.", valueName: "duration|off"))
    var shipArchiveRetain: String?
    @Option(help: ArgumentHelp("Overrides ship.settle.", valueName: "duration"))
    var shipSettle: String?
    @Option(help: ArgumentHelp("Overrides ship.max-local-bytes.", valueName: "size|off"))
    var shipMaxLocalBytes: String?
    @Option(help: ArgumentHelp("Overrides ship.backlog-policy.", valueName: "keep|block|drop"))
    var shipBacklogPolicy: String?
    @Option(help: ArgumentHelp("Overrides ship.claim-settle.", valueName: "duration"))
    var shipClaimSettle: String?
    @Option(help: ArgumentHelp("Overrides ship.bandwidth-limit.", valueName: "bytes per second"))
    var shipBandwidthLimit: String?
    @Option(help: ArgumentHelp("Overrides ship.immutable.", valueName: "true or false"))
    var shipImmutable: String?
    @Option(help: ArgumentHelp("Overrides ship.fencing.", valueName: "required|best-effort"))
    var shipFencing: String?
    @Option(help: ArgumentHelp("Overrides retry.delay-max.", valueName: "duration"))
    var retryDelayMax: String?
    @Option(help: ArgumentHelp("Overrides log.level.", valueName: "level"))
    var logLevel: String?
    @Option(help: ArgumentHelp("Overrides shutdown-deadline.", valueName: "duration"))
    var shutdownDeadline: String?

    static let timeoutDefault: Duration = .seconds(30)

    mutating func validate() throws {
        if json && !check { throw ValidationError("--json is for --check") }
        if timeout != nil && !once { throw ValidationError("--timeout is for --once; without it there is no end to wait for") }
    }

    mutating func run() async throws {
        let flags: [SettingKey: String?] = [
            .log: log, .archive: archive, .shipTailInterval: shipTailInterval, .shipUploadsInFlight: shipUploadsInFlight,
            .shipCompressionLevel: shipCompressionLevel, .shipRetain: shipRetain, .shipSettle: shipSettle,
            .shipArchiveRetain: shipArchiveRetain,
            .shipMaxLocalBytes: shipMaxLocalBytes, .shipBacklogPolicy: shipBacklogPolicy, .shipMemoryLimit: shipMemoryLimit,
            .shipClaimSettle: shipClaimSettle, .shipBandwidthLimit: shipBandwidthLimit, .shipImmutable: shipImmutable, .shipFencing: shipFencing,
              .retryDelayMax: retryDelayMax, .logLevel: logLevel, .shutdownDeadline: shutdownDeadline,
        ]
        let loaded = try RunSettings.load(
            path: config, environment: ProcessInfo.processInfo.environment,
            flags: flags.compactMapValues { $0 }.merging(s3.flags) { $1 }.merging(keys.flags) { $1 })
        let settings = loaded.settings
        let logger = StderrLogHandler.logger(level: settings.logLevel)
        if check {
            let plan = await RunPlan(loaded)
            for warning in plan.warnings { try Output.error.write(line: "warning: \(warning)") }
            try Output.standard.write(line: json ? plan.json.text : plan.text)
            if !json { try Output.error.write(line: "the settings can be used") }
            return
        }
        for warning in loaded.warnings { logger.warning("\(warning)") }
        let allowed = try DescriptorLimit.raise()
        let needed = RunLimits.descriptors(routes: settings.logs.count * settings.destinations.count)
        if needed > allowed {
            logger.warning("\(needed) descriptors may be needed and \(allowed) are allowed; raise the limit (LimitNOFILE= in the unit, ulimit -Hn)")
        }
        let service = try await ShippingService(settings: settings, once: once ? timeout ?? Self.timeoutDefault : nil, logger: logger)
        try await SignalledService.run(service)
    }
}
