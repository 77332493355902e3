import Archive
import ArgumentParser
import Follower
import Foundation
import Logging
import WAL

/// `walshipd copy`: an archive, in another store as well.
struct CopyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "copy",
        abstract: "Copies an archive to another place.",
        discussion: """
            Objects go as they are stored, compressed and perhaps encrypted, and no key is needed; each is checked before it is sent and looked at afterwards. \
            What is there already is not sent again, so a copy that was interrupted is taken up by running it once more, and one that was complete is brought up to date. \
            A first copy cannot be read before it is complete. Nothing that is at the destination is replaced by something else, and nothing there is deleted. The log's name may be another there.

            The source may be shipped to meanwhile: the copy ends where the source ended. Ranges that were given up (gaps) stay so, and are named on standard error.

            --endpoint and --region speak for both archives, --to-endpoint and --to-region for the destination. Its other settings and credentials are in the environment: \
            WALSHIPD_TO_… where the source's are WALSHIPD_…, and WALSHIPD_TO_AWS_… where they are AWS_…; see docs/operations.md.

            Exit codes: 3 where an object of the source is missing or damaged; 4 where the destination is the archive of another log, or holds something else under a \
            name of this one; 5 where there is no archive at the source; 6 where a store cannot be reached or refuses.
            """)

    @Option(help: ArgumentHelp("The archive to copy, <base>/<log name>: http://…, https://…, s3://… or file:///….", valueName: "url"))
    var from: String

    @Option(help: ArgumentHelp("Where to, <base>/<log name>.", valueName: "url"))
    var to: String

    @OptionGroup var s3: S3Options
    @OptionGroup var keys: KeyOptions

    @Option(help: ArgumentHelp("As --endpoint, for the destination alone.", valueName: "url"))
    var toEndpoint: String?

    @Option(help: ArgumentHelp("As --region, for the destination alone.", valueName: "region"))
    var toRegion: String?

    @Option(help: ArgumentHelp("Objects at one time, from 1 to 64. Overrides ship.uploads-in-flight; default: \(ArchiveCopy.transfersDefault).", valueName: "count"))
    var shipUploadsInFlight: String?

    @Option(help: ArgumentHelp("Overrides ship.bandwidth-limit.", valueName: "bytes per second"))
    var shipBandwidthLimit: String?

    @Option(help: ArgumentHelp("Nothing is ever replaced at the destination. Overrides ship.immutable.", valueName: "true or false"))
    var shipImmutable: String?

    @Flag(help: "Print what was done as JSON.")
    var json = false

    mutating func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        let source = try await ArchiveOpening(from, s3, keys, environment: environment.filter { !$0.key.hasPrefix(DestinationEnvironment.prefix) })
        let destination = try await destination(environment)
        let copy = ArchiveCopy(
            from: .init(store: source.store, log: source.log), to: .init(store: destination.store, log: destination.log), keys: source.keys,
            transfers: destination.transfers, isImmutable: destination.isImmutable)
        let began = ContinuousClock.now
        var bar = ProgressBar("copying")
        defer { bar.clear() }
        let summary = try await copy.run { bar.show(done: $0.done, total: $0.total) }
        bar.clear()
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        for gap in summary.gaps {
            try Output.error.write(line: "walshipd copy: LSN \(gap.lowerBound) to \(gap.upperBound) was given up and is in neither archive")
        }
        if json { return try Output.standard.write(line: summary.json(from: source.url, to: destination.url, seconds: seconds).text) }
        try Output.error.write(
            line: "copied \(Counted.text(summary.copied, "object")), \(Counted.text(summary.copiedBytes, "byte")); \(summary.present) were there; LSN \(summary.start) to \(summary.end) is now in \(destination.url)")
    }

    private struct Destination {
        var store: any ObjectStore
        var log: Archive.LogName
        var url: String
        var transfers: Int
        var isImmutable: Bool
    }

    /// Its settings, checked; nothing is sent yet.
    private func destination(_ environment: [String: String]) async throws -> Destination {
        let (fromURL, toURL) = (try ArchiveURL(from), try ArchiveURL(to))
        let given: [SettingKey: String?] = [
            .shipUploadsInFlight: shipUploadsInFlight, .shipBandwidthLimit: shipBandwidthLimit, .shipImmutable: shipImmutable,
            .s3Endpoint: toEndpoint ?? s3.endpoint, .s3Region: toRegion ?? s3.region,
        ]
        var flags = given.compactMapValues { $0 }
        // The destination's own variable is nearer than a flag that speaks for both.
        for (key, own) in [(SettingKey.s3Endpoint, toEndpoint), (.s3Region, toRegion)] where own == nil {
            let name = DestinationEnvironment.prefix + key.environmentName.dropFirst(SettingKey.environmentPrefix.count)
            if environment[name]?.isEmpty == false { flags[key] = nil }
        }
        func endpoint(_ flags: [SettingKey: String], _ environment: [String: String]) -> String? {
            flags[.s3Endpoint] ?? environment[SettingKey.s3Endpoint.environmentName].flatMap { $0.isEmpty ? nil : $0 }
        }
        let sourceEndpoint = endpoint(s3.flags, environment)
        let held = DestinationEnvironment(environment, source: .init(fromURL.store, endpoint: sourceEndpoint)) {
            .init(toURL.store, endpoint: endpoint(flags, $0.variables))
        }
        for name in held.unknown { try Output.error.write(line: "walshipd copy: environment variable \(name) is not a setting and has no effect") }
        let reader = SettingReader(flags: flags, environment: held.variables, file: nil)
        do {
            let settings = try DestinationSettings(base: toURL.store, from: reader)
            guard fromURL.store.identity(endpoint: sourceEndpoint) != settings.identity || fromURL.logName != toURL.logName else {
                throw CommandError.usage("--from and --to are one place; name another one to copy to")
            }
            let transfers = try reader.optional(.shipUploadsInFlight, SettingParsers.integer(ShipSettings.uploadsInFlightRange)) ?? ArchiveCopy.transfersDefault
            let logger = StderrLogHandler.logger(level: .warning)
            var factory = StoreFactory(settings, logs: 1, logger: logger)
            factory.uploadsInFlight = transfers
            factory.environment = held.variables
            let store = TellingStore(try factory.store(for: toURL.store), url: toURL.text, logger: logger)
            return Destination(
                store: settings.ship.immutable ? ImmutableStore(store) : store, log: toURL.logName, url: toURL.text, transfers: transfers,
                isImmutable: settings.ship.immutable)
        } catch let error as ConfigurationError {
            throw held.named(error)
        }
    }
}

extension ArchiveCopy.Summary {
    /// LSNs are decimal strings, other counts are numbers.
    fileprivate func json(from: String, to: String, seconds: Double) -> JSONText {
        .object([
            ("from", .string(from)),
            ("to", .string(to)),
            ("log_id", .string("\(logID)")),
            ("archive_id", .string("\(archiveID)")),
            ("start_lsn", .lsn(start)),
            ("end_lsn", .lsn(end)),
            ("copied_objects", .number(copied)),
            ("copied_bytes", .number(copiedBytes)),
            ("present_objects", .number(present)),
            ("stray_objects", .number(strays)),
            ("gaps", .array(gaps.map { .object([("start_lsn", .lsn($0.lowerBound)), ("end_lsn", .lsn($0.upperBound))]) })),
            ("seconds", .seconds(seconds)),
        ])
    }
}
