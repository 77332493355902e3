import Archive
import Subprocess
import SystemPackage
import WAL

/// Where the keys of a destination's archives come from: section `encryption`. Holds no key.
struct EncryptionSettings: Equatable, Sendable {
    /// What new objects are encrypted with; nil: they are not encrypted.
    var current: KeySource?
    /// Older keys, which only open what is there.
    var old: [KeySource] = []
    /// The id of the current key, where a file gives it.
    private var id: KeyID?

    init() {}

    /// Reads the key files, to see that they can be used; a command is not run before its key is needed.
    init(from reader: SettingReader) throws(ConfigurationError) {
        let file = try reader.text(.encryptionKeyFile).map { KeySource.file(path: $0.text, name: $0.name, origin: $0.origin) }
        let command = try reader.text(.encryptionKeyCommand).map { KeySource.command($0.text, name: $0.name, origin: $0.origin) }
        if file != nil, command != nil { throw reader.error(groupOf: .encryptionKeyFile, "a key-file or a key-command, not both; remove one") }
        current = file ?? command
        if let found = try reader.text(.encryptionOldKeyFiles) {
            old = found.text.split(separator: "\n").map { .file(path: String($0), name: found.name, origin: found.origin) }
        }
        for case .file(let path, let name, let origin) in old { _ = try KeySource.key(inFile: path, name, origin) }
        if case .file(let path, let name, let origin)? = current { id = try KeySource.key(inFile: path, name, origin).id }
    }

    /// For what ships: old keys without a current one would end encryption where one line is forgotten.
    func requireCurrent(_ reader: SettingReader) throws(ConfigurationError) {
        if current == nil, !old.isEmpty { throw reader.error(groupOf: .encryptionKeyFile, "old-key-files without a key-file or key-command; name the key for new objects") }
    }

    /// For `run --check`.
    var words: String {
        switch current {
        case nil: "off: whoever can read the store can read the log"
        case .file(let path, _, _): "aes-256-gcm, key \(id.map(\.description) ?? "") from \(path)\(old.isEmpty ? "" : ", and \(old.count) older")"
        case .command: "aes-256-gcm, key from the command\(old.isEmpty ? "" : ", and \(old.count) older")"
        }
    }

    /// The keys, as files and command give them now.
    func keys() async throws(ConfigurationError) -> KeyRing {
        var others: [MasterKey] = []
        for source in old { others.append(try await source.read()) }
        return KeyRing(current: try await current?.read(), others: others)
    }
}

/// A file or a command that gives one key: 64 hex digits on a line.
enum KeySource: Equatable, Sendable {
    case file(path: String, name: String, origin: SettingOrigin)
    /// Run by sh.
    case command(String, name: String, origin: SettingOrigin)

    /// Longer than a key in any form that somebody may try, so that the message can say what is wrong.
    private static let sizeMax = 4096
    /// A command that asks a service over the network, and a person who confirms it.
    private static let commandTimeout: Duration = .seconds(60)

    func read() async throws(ConfigurationError) -> MasterKey {
        switch self {
        case .file(let path, let name, let origin): try Self.key(inFile: path, name, origin)
        case .command(let text, let name, let origin): try await Self.key(ofCommand: text, name, origin)
        }
    }

    static func key(inFile path: String, _ name: String, _ origin: SettingOrigin) throws(ConfigurationError) -> MasterKey {
        func refused(_ problem: String) -> ConfigurationError { ConfigurationError(origin: origin, key: name, value: path, problem: problem) }
        let found: SecretFile.Found
        do throws(WALError) {
            found = try SecretFile.read(path, limit: sizeMax)
        } catch {
            throw refused("the file cannot be read: \(error)")
        }
        switch found {
        case .open(let mode): throw refused("others may read or write this file (mode \(String(mode, radix: 8))); run: chmod 600 \(path)")
        case .bytes(let bytes): return try key(bytes, refused)
        }
    }

    private static func key(_ text: [UInt8], _ refused: (String) -> ConfigurationError) throws(ConfigurationError) -> MasterKey {
        do throws(ArchiveError) {
            return try MasterKey(text: text)
        } catch {
            throw refused(error.description)
        }
    }

    /// The command's words go to standard error; its output is never shown.
    private static func key(ofCommand text: String, _ name: String, _ origin: SettingOrigin) async throws(ConfigurationError) -> MasterKey {
        func refused(_ problem: String) -> ConfigurationError { ConfigurationError(origin: origin, key: name, value: nil, problem: problem) }
        let bytes: [UInt8]
        do {
            let printed = try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
                group.addTask {
                    let result = try await run(
                        .path("/bin/sh"), arguments: ["-c", text], output: .bytes(limit: sizeMax), error: .currentStandardError)
                    guard result.terminationStatus == .exited(0) else { throw refused("the command ended with \(result.terminationStatus)") }
                    return result.standardOutput
                }
                group.addTask {
                    try await Task.sleep(for: commandTimeout)
                    return nil
                }
                defer { group.cancelAll() }
                return try await group.next() ?? nil
            }
            guard let printed else { throw refused("the command did not end within \(commandTimeout)") }
            bytes = printed
        } catch let error as ConfigurationError {
            throw error
        } catch {
            throw refused("the command cannot be run: \(error)")
        }
        return try key(bytes) { refused("the command's output: \($0)") }
    }
}
