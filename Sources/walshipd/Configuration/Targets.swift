import Archive

/// Which logs go to which destinations: the file's lists, or the one log and archive of flag or environment in their place.
struct Targets {
    var logs: [LogSettings] = []
    var patterns: [LogPattern] = []
    var destinations: [DestinationSettings] = []
    /// What was given for all destinations and does not hold for some.
    var warnings: [String] = []

    init(reader: SettingReader, file: ConfigurationFile?) throws(ConfigurationError) {
        var archiveLogName: LogName?
        if let archive = try reader.optional(
            .archive,
            { (text: String) throws(ArgumentTextError) in
                try Self.url { () throws(ArchiveError) in try ArchiveURL(text) }
            })
        {
            destinations = [try DestinationSettings(base: archive.store, from: reader)]
            archiveLogName = archive.logName
        } else if let file {
            try takeDestinations(of: file, reader)
        }

        if let path = try reader.optional(.log, SettingParsers.nonEmpty) {
            guard let name = archiveLogName ?? LogName(Self.lastComponent(path)) else {
                throw try reader.error(
                    .log, "its last part is no name for an archive; list it in the file with a name (\(LogPattern.nameRule))")
            }
            logs = [LogSettings(path: path, name: name)]
        } else if let file {
            try takeLogs(of: file, archiveLogName: archiveLogName, reader: reader)
        }
        try check(file: file)
    }

    /// A URL's error as one of a setting.
    private static func url<T>(_ parse: () throws(ArchiveError) -> T) throws(ArgumentTextError) -> T {
        do throws(ArchiveError) {
            return try parse()
        } catch {
            throw ArgumentTextError(error.description)
        }
    }

    private static func lastComponent(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? ""
    }

    private mutating func takeLogs(
        of file: ConfigurationFile, archiveLogName: LogName?, reader: SettingReader
    ) throws(ConfigurationError) {
        if archiveLogName != nil && file.logs.count > 1 {
            throw try reader.error(
                .archive,
                "is the archive of one log, but the file lists \(file.logs.count); list destinations in the file instead")
        }
        for (index, element) in file.logs.enumerated() {
            let key = "logs[\(index)]"
            guard let path = element.values["path"] else {
                throw ConfigurationError(
                    origin: .file(file.path, line: element.line), key: key, value: nil, problem: "has no path")
            }
            let given = element.values["name"]
            if LogPattern.isPattern(path.text) {
                guard archiveLogName == nil else {
                    throw try reader.error(
                        .archive, "is the archive of one log, but \(path.text) in \(file.path) may be many; list destinations in the file instead")
                }
                patterns.append(try Self.pattern(path, given, key, file))
                continue
            }
            let text = given?.text ?? archiveLogName?.text ?? Self.lastComponent(path.text)
            guard let name = LogName(text) else {
                throw ConfigurationError(
                    origin: .file(file.path, line: given?.line ?? path.line), key: "\(key).name", value: text,
                    problem: "\(LogPattern.nameRule)\(given == nil ? "; give it a name" : "")")
            }
            if let archiveLogName, name != archiveLogName {
                throw try reader.error(
                    .archive, "ends in '\(archiveLogName)', but the log is named '\(name)' in \(file.path); make them the same")
            }
            logs.append(LogSettings(path: path.text, name: name))
        }
    }

    private static func pattern(
        _ path: ConfigurationFile.Value, _ name: ConfigurationFile.Value?, _ key: String, _ file: ConfigurationFile
    ) throws(ConfigurationError) -> LogPattern {
        do throws(ArgumentTextError) {
            return try LogPattern(path: path.text, name: name?.text)
        } catch {
            // Of the two, the name is wrong where there is one and the path alone would do.
            let isName = name != nil && (try? LogPattern(path: path.text, name: nil)) != nil
            throw ConfigurationError(
                origin: .file(file.path, line: (isName ? name : path)?.line), key: "\(key).\(isName ? "name" : "path")",
                value: isName ? name?.text : path.text, problem: error.description)
        }
    }

    private mutating func takeDestinations(of file: ConfigurationFile, _ reader: SettingReader) throws(ConfigurationError) {
        for (index, element) in file.destinations.enumerated() {
            let (name, base) = try Self.place(of: element, index, file)
            let own = reader.forDestination(element, index: index, isOnly: file.destinations.count == 1)
            destinations.append(try DestinationSettings(name: name, base: base, from: own))
            warnings += try own.overridden()
        }
        // What holds for all is to be right even where each destination has its own.
        if destinations.count > 1 { _ = try DestinationSettings(base: destinations[0].base, from: reader) }
    }

    private static func place(
        of element: ConfigurationFile.Element, _ index: Int, _ file: ConfigurationFile
    ) throws(ConfigurationError) -> (name: String?, base: StoreURL) {
        let key = "destinations[\(index)]"
        guard let url = element.values["url"] else {
            throw ConfigurationError(
                origin: .file(file.path, line: element.line), key: key, value: nil, problem: "has no url")
        }
        let name = element.values["name"]
        if let name, !DestinationSettings.isValidName(name.text) {
            throw ConfigurationError(
                origin: .file(file.path, line: name.line), key: "\(key).name", value: name.text,
                problem: "expected 1 to 64 lower-case letters, digits, dots, _ and -")
        }
        do throws(ArgumentTextError) {
            return (name?.text, try Self.url { () throws(ArchiveError) in try StoreURL(url.text) })
        } catch {
            // A password in a URL must not be repeated in a message.
            throw ConfigurationError(
                origin: .file(file.path, line: url.line), key: "\(key).url", value: url.text.contains("@") ? nil : url.text,
                problem: error.description)
        }
    }

    private func check(file: ConfigurationFile?) throws(ConfigurationError) {
        let origin = file.map { SettingOrigin.file($0.path, line: nil) } ?? .settings
        func refuse(_ key: String, _ value: String?, _ problem: String) -> ConfigurationError {
            ConfigurationError(origin: origin, key: key, value: value, problem: problem)
        }
        guard !logs.isEmpty || !patterns.isEmpty else {
            throw refuse("logs", nil, "no log is named; give --log, \(SettingKey.log.environmentName), or logs in the file")
        }
        guard !destinations.isEmpty else {
            throw refuse(
                "destinations", nil,
                "no archive is named; give --archive, \(SettingKey.archive.environmentName), or destinations in the file")
        }
        guard logs.count <= RunLimits.logsMax else {
            throw refuse("logs", nil, "\(logs.count) logs are listed, and one program ships at most \(RunLimits.logsMax); run another one for the rest")
        }
        if let path = firstRepeated(logs.map(\.path) + patterns.map(\.text)) { throw refuse("logs", path, "is listed twice") }
        if let name = firstRepeated(logs.map(\.name.text)) {
            throw refuse("logs", name, "two logs would share one archive; give them different names")
        }
        if let url = firstRepeated(destinations.map(\.identity)) {
            throw refuse("destinations", url, "is listed twice")
        }
        if let name = firstRepeated(destinations.compactMap(\.name)) {
            throw refuse("destinations", name, "two destinations would share one slot; give them different names")
        }
    }

    private func firstRepeated(_ texts: [String]) -> String? {
        var seen: Set<String> = []
        return texts.first { !seen.insert($0).inserted }
    }
}
