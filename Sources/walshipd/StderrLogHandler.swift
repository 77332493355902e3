import Foundation
import Logging

/// Writes each log event as one line on standard error: `time level message key=value …`, keys in order, times in UTC.
///
/// Values that hold spaces, quotes, line breaks or control characters are quoted and escaped, so that one event stays one
/// line whatever a path or a server's answer contains.
struct StderrLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    private let write: @Sendable (String) -> Void
    private let now: @Sendable () -> Date

    init(level: Logger.Level) {
        self.init(
            level: level,
            write: { line in
                do {
                    // On a terminal a progress bar may stand where the line goes.
                    try Output.error.write(line: Output.error.isTerminal ? ProgressBar.wipe + line : line)
                } catch {
                    // Standard error is closed: there is no place left to report that to, and losing log lines is no reason
                    // to stop shipping.
                }
            },
            now: { Date() })
    }

    init(level: Logger.Level, write: @escaping @Sendable (String) -> Void, now: @escaping @Sendable () -> Date) {
        self.logLevel = level
        self.write = write
        self.now = now
    }

    /// A logger that writes here.
    static func logger(level: Logger.Level) -> Logger {
        Logger(label: "walshipd") { _ in StderrLogHandler(level: level) }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line = now().formatted(Self.timeStyle)
        line += " \(event.level.rawValue) \(Self.oneLine(event.message.description))"
        var all = metadata
        if let more = event.metadata { all.merge(more) { _, new in new } }
        if let error = event.error { all["error"] = "\(error)" }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) {
            line += " \(key)=\(Self.quoted(value.description))"
        }
        write(line)
    }

    private static let timeStyle = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

    /// The text with line breaks and control characters escaped.
    static func oneLine(_ text: String) -> String {
        var line = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": line += "\\n"
            case "\r": line += "\\r"
            case "\t": line += "\\t"
            case _ where scalar.properties.generalCategory == .control || scalar == "\u{2028}" || scalar == "\u{2029}":
                line += "\\u{\(String(scalar.value, radix: 16))}"
            default: line.unicodeScalars.append(scalar)
            }
        }
        return line
    }

    /// The value as it stands after `key=`.
    static func quoted(_ value: String) -> String {
        let needsQuotes =
            value.isEmpty
            || value.unicodeScalars.contains {
                $0 == " " || $0 == "\"" || $0 == "\\" || $0 == "=" || $0.properties.generalCategory == .control
            }
        guard needsQuotes else { return oneLine(value) }
        let escaped = value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        return "\"\(oneLine(escaped))\""
    }
}
