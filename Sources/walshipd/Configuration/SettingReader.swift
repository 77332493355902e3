import Configuration

/// Looks a setting up where it may stand: flag, then environment, then file. The first that has it wins.
///
/// The values are texts everywhere; `value` parses them, so that the same text means the same wherever it stands and every
/// refusal names the place.
struct SettingReader: Sendable {
    private let flags: InMemoryProvider
    private let environment: EnvironmentVariablesProvider
    private let fileValues: InMemoryProvider
    private let file: ConfigurationFile?

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

    /// The setting's text and where it stands; nil where it stands nowhere.
    func text(_ key: SettingKey) throws(ConfigurationError) -> (text: String, origin: SettingOrigin)? {
        let plain = AbsoluteConfigKey(key.components)
        let prefixed = AbsoluteConfigKey(["walshipd"] + key.components)
        if let text = try lookUp(flags, plain, .flag(key.flagName)) { return (text, .flag(key.flagName)) }
        let variable = SettingOrigin.environment(key.environmentName)
        if let text = try lookUp(environment, prefixed, variable) { return (text, variable) }
        let place = SettingOrigin.file(file?.path ?? "", line: file?.settings[key]?.line)
        if let text = try lookUp(fileValues, plain, place) { return (text, place) }
        return nil
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
                origin: found.origin, key: key.rawValue, value: shown(found.text, key), problem: error.description)
        }
    }

    /// An error about a setting at the place where it stands.
    func error(_ key: SettingKey, _ problem: String) throws(ConfigurationError) -> ConfigurationError {
        let found = try text(key)
        return ConfigurationError(
            origin: found?.origin ?? .settings, key: key.rawValue, value: found.flatMap { shown($0.text, key) },
            problem: problem)
    }

    /// A refused value as a message may show it: no secret, and no URL that holds a password although it must not.
    private func shown(_ text: String, _ key: SettingKey) -> String? {
        key.isSecret || text.contains("@") ? nil : text
    }
}
