/// A setting that cannot be used: where it stands, its key, its value, and what is allowed. Exit code 2; nothing was done.
struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    var origin: SettingOrigin
    var key: String
    /// As it stands there; nil where there is none, or where it is a secret.
    var value: String?
    /// What is wrong, or what is allowed.
    var problem: String

    var description: String {
        var text = "\(origin)"
        if !key.isEmpty { text += ": \(key)" }
        if let value { text += ": '\(value)'" }
        return text + ": \(problem)"
    }
}

/// Where a setting was found.
enum SettingOrigin: Hashable, Sendable, CustomStringConvertible {
    case flag(String)
    case environment(String)
    case file(String, line: Int?)
    /// Nowhere, or the combination of several places.
    case settings

    var description: String {
        switch self {
        case .flag(let name): name
        case .environment(let name): "environment variable \(name)"
        case .file(let path, let line?): "\(path):\(line)"
        case .file(let path, nil): path
        case .settings: "configuration"
        }
    }
}
