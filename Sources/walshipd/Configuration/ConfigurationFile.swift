import Foundation
import Yams

/// A configuration file as read: each setting's text and line, and the two lists of mappings. Unknown keys, keys that do not
/// belong in a file, and values of the wrong shape have been refused.
struct ConfigurationFile: Sendable {
    struct Value: Hashable, Sendable {
        var text: String
        var line: Int?
    }
    /// One element of `logs` or `destinations`: its own keys and values, and the settings that hold for it alone.
    struct Element: Hashable, Sendable {
        var values: [String: Value] = [:]
        var settings: [SettingKey: Value] = [:]
        var line: Int?
    }
    /// Where settings are being read: at the top, or within an entry of `destinations`.
    private struct Scope {
        var place: SettingKey.Place
        /// Before each key in messages.
        var prefix = ""
        /// Keys that are no settings.
        var others: [String]
    }

    var path: String
    var settings: [SettingKey: Value] = [:]
    var logs: [Element] = []
    var destinations: [Element] = []

    /// No configuration file was longer than a few kilobytes yet; a log given by mistake is not read into memory.
    static let sizeMax = 1 << 20

    static let logKeys = ["path", "name"]
    static let destinationKeys = ["name", "url"]

    /// Reads the file at `path`.
    static func read(path: String) throws(ConfigurationError) -> ConfigurationFile {
        let data = try SmallFile.read(path, limit: sizeMax, for: "", at: .file(path, line: nil))
        return try parse(String(decoding: data, as: UTF8.self), path: path)
    }

    static func parse(_ yaml: String, path: String) throws(ConfigurationError) -> ConfigurationFile {
        var file = ConfigurationFile(path: path)
        let root: Node?
        do {
            root = try Yams.compose(yaml: yaml)
        } catch {
            throw ConfigurationError(
                origin: .file(path, line: nil), key: "", value: nil, problem: "not valid YAML: \(Self.describe(error))")
        }
        // A file of comments only is empty, and fine.
        guard let root, root.null == nil else { return file }
        guard let mapping = root.mapping else {
            throw file.error("", root, "expected a mapping of settings, like `ship:` with `tail-interval: 1s` below it")
        }
        let top = Scope(place: .file, others: ["logs", "destinations"])
        for (keyNode, value) in mapping {
            let key = try file.name(of: keyNode, in: "")
            switch key {
            case "logs": file.logs = try file.elements(value, key: key, allowed: logKeys)
            case "destinations": file.destinations = try file.elements(value, key: key, allowed: destinationKeys, settings: .destination)
            default: try file.take(value, key: key, keyNode: keyNode, top, into: &file.settings)
            }
        }
        return file
    }

    /// A setting, or a section of settings: sections nest, and a setting's key is its sections' names and its own, joined with dots.
    private func take(
        _ node: Node, key: String, keyNode: Node, _ scope: Scope, into settings: inout [SettingKey: Value]
    ) throws(ConfigurationError) {
        if let setting = SettingKey(rawValue: key), setting.places.contains(scope.place) {
            settings[setting] = Value(text: try text(of: node, setting, scope), line: node.mark?.line)
            return
        }
        // A section of comments only is empty, and fine.
        if node.null != nil, Self.isSection(key, in: scope) { return }
        if let mapping = node.mapping, Self.isSection(key, in: scope) {
            for (innerKey, value) in mapping {
                let full = key + "." + (try name(of: innerKey, in: scope.prefix + key))
                try take(value, key: full, keyNode: innerKey, scope, into: &settings)
            }
            return
        }
        throw error(scope.prefix + key, keyNode, Self.refusal(of: key, in: scope))
    }

    private static func isSection(_ key: String, in scope: Scope) -> Bool {
        SettingKey.allCases.contains { $0.rawValue.hasPrefix(key + ".") && $0.places.contains(scope.place) }
    }

    /// Why a key is refused, with the one that may have been meant.
    private static func refusal(of key: String, in scope: Scope) -> String {
        switch SettingKey(rawValue: key) {
        case .httpPassword: return "a password does not belong in this file; name its own file with http.password-file"
        case .httpBearerToken: return "a token does not belong in this file; name its own file with http.bearer-token-file"
        case .log where scope.place == .file: return "expected a section with `level`; list logs under `logs`"
        case .archive where scope.place == .file: return "unknown key; list archives under `destinations`"
        default: break
        }
        if isSection(key, in: scope) { return "expected a section of settings below it, not a single value" }
        if scope.place == .destination, SettingKey.allCases.contains(where: { $0.places.contains(.file) && ($0.rawValue + ".").hasPrefix(key + ".") }) {
            return "is one for the whole program; set it outside of `destinations`"
        }
        let section = key.split(separator: ".").dropLast().joined(separator: ".")
        let known = SettingKey.allCases.filter { setting in
            setting.places.contains(scope.place) && (section.isEmpty || setting.rawValue.hasPrefix(section + "."))
        }
        var names = known.map(\.rawValue)
        if section.isEmpty { names = scope.others + Set(names.map { String($0.prefix { $0 != "." }) }).sorted() }
        return "unknown key; known here: \(names.joined(separator: ", "))"
    }

    private func text(of node: Node, _ setting: SettingKey, _ scope: Scope) throws(ConfigurationError) -> String {
        let key = scope.prefix + setting.rawValue
        switch setting {
        case .httpHeaders: return try lines(node, key, each: "\"Name: value\" line", "in quotes because of the colon")
        case .encryptionOldKeyFiles: return try lines(node, key, each: "path", "without line breaks")
        default: break
        }
        guard let scalar = node.scalar, node.null == nil, !scalar.string.isEmpty else {
            throw error(key, node, "expected a single value; remove the key to keep its default")
        }
        return scalar.string
    }

    /// A sequence of lines, joined as the environment gives them.
    private func lines(_ node: Node, _ key: String, each what: String, _ how: String) throws(ConfigurationError) -> String {
        guard let sequence = node.sequence else {
            throw error(key, node, "expected a list of \(what)s")
        }
        var lines: [String] = []
        for item in sequence {
            guard let line = item.scalar?.string, !line.contains("\n") else {
                throw error(key, item, "expected one \(what), \(how)")
            }
            lines.append(line)
        }
        return lines.joined(separator: "\n")
    }

    /// A list of mappings with the keys `allowed`, and with settings where they may stand in it.
    private func elements(
        _ node: Node, key: String, allowed: [String], settings place: SettingKey.Place? = nil
    ) throws(ConfigurationError) -> [Element] {
        let shape = "expected a list of entries with \(allowed.joined(separator: " and "))"
        guard let sequence = node.sequence else { throw error(key, node, shape) }
        var result: [Element] = []
        for (index, item) in sequence.enumerated() {
            let itemKey = "\(key)[\(index)]"
            guard let mapping = item.mapping else { throw error(itemKey, item, shape) }
            var element = Element(line: item.mark?.line)
            for (keyNode, value) in mapping {
                let name = try name(of: keyNode, in: itemKey)
                guard allowed.contains(name) else {
                    guard let place else {
                        throw error("\(itemKey).\(name)", keyNode, "unknown key; known here: \(allowed.joined(separator: ", "))")
                    }
                    let scope = Scope(place: place, prefix: "\(itemKey).", others: allowed)
                    try take(value, key: name, keyNode: keyNode, scope, into: &element.settings)
                    continue
                }
                guard let scalar = value.scalar, value.null == nil, !scalar.string.isEmpty else {
                    throw error("\(itemKey).\(name)", value, "expected a single value")
                }
                element.values[name] = Value(text: scalar.string, line: value.mark?.line)
            }
            result.append(element)
        }
        return result
    }

    private func name(of node: Node, in section: String) throws(ConfigurationError) -> String {
        guard let scalar = node.scalar else { throw error(section, node, "expected keys that are plain words") }
        let name = scalar.string
        // One spelling only: of `ship.retain` and a `ship` section with another `retain`, one would win without a word.
        if SettingKey(rawValue: name) != nil, let dot = name.firstIndex(of: ".") {
            throw error(name, node, "sections nest here: write `\(name[..<dot]):` and below it `\(name[name.index(after: dot)...]):`")
        }
        return name
    }

    private func error(_ key: String, _ node: Node, _ problem: String) -> ConfigurationError {
        // Shown unless it is a secret, nothing, or the key itself.
        let isSecret = SettingKey.allCases.contains { $0.isSecret && (key == $0.rawValue || key.hasSuffix("." + $0.rawValue)) }
        let text = node.scalar?.string ?? ""
        let value: String? = isSecret || text.isEmpty || key == text || key.hasSuffix("." + text) ? nil : text
        return ConfigurationError(
            origin: .file(path, line: node.mark?.line), key: key, value: value, problem: problem)
    }

    /// Yams' words on one line.
    private static func describe(_ error: any Error) -> String {
        "\(error)".split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty && $0 != "^" }
            .joined(separator: " ")
    }
}
