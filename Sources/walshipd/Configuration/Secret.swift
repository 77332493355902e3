/// A text that is never shown: not in messages, logs, status, or a debugger's dump.
struct Secret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The text itself, for the request that needs it.
    let value: String

    init(_ value: String) { self.value = value }

    var description: String { "(secret)" }
    var debugDescription: String { "(secret)" }
    var customMirror: Mirror { Mirror(self, children: []) }
}

/// A secret given directly (environment) or by the file that holds it. Files are read again each time, so that a rotated
/// secret is taken up when storage refuses the old one.
enum SecretSource: Hashable, Sendable {
    case value(Secret)
    /// `key` as messages show it.
    case file(path: String, key: String, origin: SettingOrigin)

    /// Longer than any password or token in use (a JWT with many claims stays below 16 KiB).
    static let sizeMax = 64 << 10

    /// The secret as of now, without the line break at its end.
    func read() throws(ConfigurationError) -> Secret {
        switch self {
        case .value(let secret): return secret
        case .file(let path, let key, let origin):
            let data = try SmallFile.read(path, limit: Self.sizeMax, for: key, at: origin)
            var text = String(decoding: data, as: UTF8.self)
            if text.hasSuffix("\n") || text.hasSuffix("\r\n") { text.removeLast() }
            guard !text.isEmpty, !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
                throw ConfigurationError(
                    origin: origin, key: key, value: path, problem: "expected a file with the secret on a single line")
            }
            return Secret(text)
        }
    }
}
