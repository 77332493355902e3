import Logging

/// Everything `walshipd run` needs to know, checked: what is in it can be used together.
struct RunSettings: Equatable, Sendable {
    /// Paths and names differ. At least one, or a pattern.
    var logs: [LogSettings]
    /// Logs that are found while the program runs.
    var patterns: [LogPattern] = []
    /// At least one; addresses and names differ. Every log is shipped to every destination, by that destination's settings.
    var destinations: [DestinationSettings]
    var logLevel = Logger.Level.info
    /// How long the end of the program may take: the last tail, requests under way.
    var shutdownDeadline: Duration = .seconds(10)

    static let shutdownDeadlines: ClosedRange<Duration> = .zero...(.seconds(600))

    /// Settings and what the user should hear about them although they can be used.
    struct Loaded: Equatable, Sendable {
        var settings: RunSettings
        var warnings: [String]
    }

    /// Reads, merges and checks: `flags` over `environment` over the file at `path`; for each of several
    /// destinations, its own entry in that file over all of them.
    ///
    /// Files named by settings (CA, passwords) are read to see that they can be;
    /// logs and archives are not touched.
    static func load(
        path: String?, environment: [String: String], flags: [SettingKey: String]
    ) throws(ConfigurationError) -> Loaded {
        let file: ConfigurationFile? = if let path { try ConfigurationFile.read(path: path) } else { nil }
        return try load(file: file, environment: environment, flags: flags)
    }

    static func load(
        file: ConfigurationFile?, environment: [String: String], flags: [SettingKey: String]
    ) throws(ConfigurationError) -> Loaded {
        precondition(flags.keys.allSatisfy { $0.places.contains(.flag) }, "a setting that must not be a flag was given as one")
        let reader = SettingReader(flags: flags, environment: environment, file: file)
        let targets = try Targets(reader: reader, file: file)
        var settings = RunSettings(logs: targets.logs, patterns: targets.patterns, destinations: targets.destinations)
        settings.logLevel = try reader.value(
            .logLevel, default: settings.logLevel, SettingParsers.word(Logger.Level.self))
        settings.shutdownDeadline = try reader.value(
            .shutdownDeadline, default: settings.shutdownDeadline, SettingParsers.duration(shutdownDeadlines))
        return Loaded(settings: settings, warnings: unknownVariables(environment) + targets.warnings + SettingWarnings.of(targets.destinations))
    }

    /// A misspelt variable is told, not refused: service managers and container platforms set variables of such names on their
    /// own (`WALSHIPD_SERVICE_HOST` for a service called walshipd).
    private static func unknownVariables(_ environment: [String: String]) -> [String] {
        let known = Set(SettingKey.allCases.filter { $0.places.contains(.environment) }.map(\.environmentName))
        return environment.keys.filter { $0.hasPrefix(SettingKey.environmentPrefix) && !known.contains($0) }.sorted()
            .map { "environment variable \($0) is not a setting and has no effect" }
    }
}
