import Configuration

/// Looks a setting up where it may stand, for everything or for one destination.
///
/// For everything: flag, then environment, then file; the first that has it wins. For one of several destinations its own entry comes before all of
/// them, because they speak for every destination and it for one. Where there is only one destination, both mean the same one, so flag and
/// environment win over the entry as they do over the rest of the file.
///
/// The values are texts everywhere; `value` parses them, so that the same text means the same wherever it stands and every
/// refusal names the place.
struct SettingReader: Sendable {
    private let flags: InMemoryProvider
    private let environment: EnvironmentVariablesProvider
    private let fileValues: InMemoryProvider
    private let file: ConfigurationFile?
    private var destination: Destination?

    private struct Destination {
        var entry: ConfigurationFile.Element
        /// `destinations[1]`
        var name: String
        var isOnly: Bool

        func has(_ keys: Set<SettingKey>) -> Bool { keys.contains { entry.settings[$0] != nil } }
    }

    /// A setting as it stands somewhere.
    struct Found {
        var text: String
        var origin: SettingOrigin
        /// Its key, with the entry of `destinations` before it where it stands in one.
        var name: String
    }

    init(flags: [SettingKey: String], environment: [String: String], file: ConfigurationFile?) {
        self.flags = InMemoryProvider(name: "flags", values: Self.values(flags))
        // An empty variable is how shells and service managers unset one.
        self.environment = EnvironmentVariablesProvider(environmentVariables: environment.filter { !$0.value.isEmpty })
        self.fileValues = InMemoryProvider(
            name: file?.path ?? "no file", values: Self.values(file?.settings.mapValues(\.text) ?? [:]))
        self.file = file
    }

    private static func values(_ texts: [SettingKey: String]) -> [AbsoluteConfigKey: ConfigValue] {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        for (key, text) in texts {
            values[AbsoluteConfigKey(key.components)] = ConfigValue(.string(text), isSecret: key.isSecret)
        }
        return values
    }

    /// The same for the destination at `index` in the file's list.
    func forDestination(_ entry: ConfigurationFile.Element, index: Int, isOnly: Bool) -> SettingReader {
        var reader = self
        reader.destination = Destination(entry: entry, name: "destinations[\(index)]", isOnly: isOnly)
        return reader
    }

    /// The setting's text and where it stands; nil where it stands nowhere.
    func text(_ key: SettingKey) throws(ConfigurationError) -> Found? {
        let own = destination.flatMap { destination in
            destination.entry.settings[key].map {
                Found(text: $0.text, origin: .file(file?.path ?? "", line: $0.line), name: "\(destination.name).\(key.rawValue)")
            }
        }
        // What goes together is taken from one place.
        let ownsGroup = destination?.has(key.group) ?? false
        if ownsGroup, destination?.isOnly == false { return own }
        if let found = try given(key) { return found }
        if ownsGroup { return own }
        let place = SettingOrigin.file(file?.path ?? "", line: file?.settings[key]?.line)
        return try lookUp(fileValues, AbsoluteConfigKey(key.components), place).map { Found(text: $0, origin: place, name: key.rawValue) }
    }

    /// By flag or environment.
    private func given(_ key: SettingKey) throws(ConfigurationError) -> Found? {
        let flag = SettingOrigin.flag(key.flagName)
        if let text = try lookUp(flags, AbsoluteConfigKey(key.components), flag) { return Found(text: text, origin: flag, name: key.rawValue) }
        let variable = SettingOrigin.environment(key.environmentName)
        let prefixed = AbsoluteConfigKey(["walshipd"] + key.components)
        return try lookUp(environment, prefixed, variable).map { Found(text: $0, origin: variable, name: key.rawValue) }
    }

    /// What the user gave by flag or environment and this destination's own entry overrides: to be told, not to be refused.
    func overridden() throws(ConfigurationError) -> [String] {
        guard let destination, !destination.isOnly else { return [] }
        var warnings: [String] = []
        for key in SettingKey.allCases where destination.has(key.group) {
            guard let found = try given(key) else { continue }
            let own = destination.entry.settings[key].map { SettingOrigin.file(file?.path ?? "", line: $0.line) }
            let line = own ?? .file(file?.path ?? "", line: destination.entry.line)
            warnings.append("\(found.origin) does not hold for \(destination.name), which has its own settings (\(line))")
        }
        return warnings
    }

    private func lookUp(
        _ provider: some ConfigProvider, _ key: AbsoluteConfigKey, _ origin: SettingOrigin
    ) throws(ConfigurationError) -> String? {
        do {
            guard case .string(let text) = try provider.value(forKey: key, type: .string).value?.content else { return nil }
            return text
        } catch {
            throw ConfigurationError(origin: origin, key: key.description, value: nil, problem: "\(error)")
        }
    }

    /// The setting's value, or `fallback` where it stands nowhere.
    func value<Value>(
        _ key: SettingKey, default fallback: Value, _ parse: (String) throws(ArgumentTextError) -> Value
    ) throws(ConfigurationError) -> Value {
        try optional(key, parse) ?? fallback
    }

    func optional<Value>(
        _ key: SettingKey, _ parse: (String) throws(ArgumentTextError) -> Value
    ) throws(ConfigurationError) -> Value? {
        guard let found = try text(key) else { return nil }
        do throws(ArgumentTextError) {
            return try parse(found.text)
        } catch {
            throw ConfigurationError(
                origin: found.origin, key: found.name, value: shown(found.text, key), problem: error.description)
        }
    }

    /// An error about a setting at the place where it stands.
    func error(_ key: SettingKey, _ problem: String) throws(ConfigurationError) -> ConfigurationError {
        let found = try text(key)
        return ConfigurationError(
            origin: found?.origin ?? .settings, key: found?.name ?? key.rawValue, value: found.flatMap { shown($0.text, key) },
            problem: problem)
    }

    /// An error about a setting and those that go with it, at the place where they stand together.
    func error(groupOf key: SettingKey, _ problem: String) -> ConfigurationError {
        let section = key.components[0]
        guard let destination, destination.has(key.group) else {
            return ConfigurationError(origin: .settings, key: section, value: nil, problem: problem)
        }
        return ConfigurationError(
            origin: .file(file?.path ?? "", line: destination.entry.line), key: "\(destination.name).\(section)", value: nil, problem: problem)
    }

    /// Whether one of several destinations has the setting, or one that goes with it, for itself.
    func isOwn(_ key: SettingKey) -> Bool { destination.map { !$0.isOnly && $0.has(key.group) } ?? false }

    /// A refused value as a message may show it: no secret, and no URL that holds a password although it must not.
    private func shown(_ text: String, _ key: SettingKey) -> String? {
        key.isSecret || text.contains("@") ? nil : text
    }
}
