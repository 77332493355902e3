import Archive
import Foundation
import TestSupport
import Testing
import WAL

@testable import walshipd

/// Keys from files and commands, and the program with them.
@Suite struct EncryptionTests {
    static let one = MasterKey(bytes: [UInt8](repeating: 1, count: 32))
    static let two = MasterKey(bytes: [UInt8](repeating: 2, count: 32))

    private func write(_ path: String, _ text: String, mode: Int = 0o600) throws {
        try Data(text.utf8).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    private func settings(_ yaml: String, environment: [String: String] = [:], flags: [SettingKey: String] = [:]) throws -> RunSettings {
        let file = try ConfigurationFile.parse("logs: [{path: /l}]\n" + yaml, path: "c.yaml")
        return try RunSettings.load(file: file, environment: environment, flags: flags).settings
    }

    private func refusal(_ yaml: String, environment: [String: String] = [:]) -> String? {
        do {
            _ = try settings(yaml, environment: environment)
            return nil
        } catch {
            return "\(error)"
        }
    }

    private static let target = "destinations: [{url: file:///a}]\n"

    @Test func keysComeFromFilesCommandsAndEveryPlaceOfASetting() async throws {
        try await withScratch { scratch async throws in
            try write("\(scratch)/one", Self.one.secretText + "\n")
            try write("\(scratch)/two", Self.two.secretText)
            let ring = KeyRing(current: Self.one, others: [Self.two])
            #expect(try await settings(Self.target).destinations[0].encryption.keys() == .none)
            let yaml = try settings(Self.target + "encryption: {key-file: \(scratch)/one, old-key-files: [\(scratch)/two]}")
            #expect(try await yaml.destinations[0].encryption.keys() == ring)
            let environment = [
                "WALSHIPD_ENCRYPTION_KEY_COMMAND": "printf %s \(Self.one.secretText)", "WALSHIPD_ENCRYPTION_OLD_KEY_FILES": "\(scratch)/two\n\(scratch)/one",
            ]
            #expect(try await settings(Self.target, environment: environment).destinations[0].encryption.keys() == ring)
            let flags = [SettingKey.encryptionKeyFile: "\(scratch)/two"]
            #expect(try await settings(Self.target, flags: flags).destinations[0].encryption.keys().current == Self.two)
            // Each destination by its own; what goes together is not mixed.
            let several = try settings(
                "destinations:\n  - {url: file:///a}\n  - {url: file:///b, encryption: {key-file: \(scratch)/two}}\nencryption: {key-file: \(scratch)/one, old-key-files: [\(scratch)/two]}")
            #expect(try await several.destinations[0].encryption.keys() == ring)
            #expect(try await several.destinations[1].encryption.keys() == KeyRing(current: Self.two))
        }
    }

    @Test func whatIsNoKeyIsRefusedWithItsPlaceAndNotRepeated() async throws {
        try await withScratch { scratch async throws in
            let file = Self.target + "encryption: {key-file: \(scratch)/key}"
            #expect(refusal(file)?.contains("c.yaml:3: encryption.key-file: '\(scratch)/key': the file cannot be read") == true, "\(refusal(file) ?? "")")
            for text in ["", "hunter2", Self.one.secretText + "ff", "hunter2" + Self.one.secretText.dropFirst(7)] {
                try write("\(scratch)/key", text)
                let said = refusal(file)
                #expect(said?.contains("64 hex digits") == true && said?.contains("hunter2") == false && said?.contains("0101") == false, "\(said ?? "")")
            }
            for mode in [0o604, 0o640, 0o620, 0o666] {
                try write("\(scratch)/key", Self.one.secretText, mode: mode)
                let said = refusal(file)
                #expect(said?.contains("mode \(String(mode, radix: 8))") == true && said?.contains("chmod 600") == true, "\(said ?? "")")
            }
            for mode in [0o600, 0o400] {
                try write("\(scratch)/key", Self.one.secretText, mode: mode)
                #expect(refusal(file) == nil)
            }
            try write("\(scratch)/key", Self.one.secretText)
            #expect(refusal(file + "\n", environment: ["WALSHIPD_ENCRYPTION_KEY_COMMAND": "cat secret"])?.contains("not both") == true)
            #expect(refusal(Self.target + "encryption: {old-key-files: [\(scratch)/key]}")?.contains("without a key-file") == true)
            #expect(refusal(Self.target + "encryption: {old-key-files: \(scratch)/key}")?.contains("expected a list of paths") == true)
        }
    }

    @Test(arguments: [("exit 3", "ended with"), ("echo hunter2", "64 hex digits"), ("head -c 100000 /dev/zero", "cannot be run"), ("kill -9 $$", "ended with")])
    func aCommandThatGivesNoKeyIsRefusedAndNotShown(command: String, said: String) async throws {
        let encryption = try settings(Self.target, environment: ["WALSHIPD_ENCRYPTION_KEY_COMMAND": command]).destinations[0].encryption
        let error = await #expect(throws: ConfigurationError.self) { try await encryption.keys() }
        #expect(error?.description.contains(said) == true && error?.description.contains(command) == false, "\(String(describing: error))")
        #expect(error?.description.contains("hunter2") == false)
    }

    private func run(_ scratch: String, _ arguments: [String], environment: [String: String] = [:]) async throws -> Program.Ended {
        try await Program.run(Program.walshipd, arguments, in: scratch, environment: environment)
    }

    private func append(_ scratch: String, _ lines: Range<Int>) throws {
        let log = try SegmentedLog.open(directory: "\(scratch)/log", segmentSize: 4096)
        for number in lines { try log.append(Array("record \(number)".utf8)) }
        try log.close()
    }

    @Test func aKeyIsMadeOnceForItsOwnerAndNamed() async throws {
        try await withScratch { scratch async throws in
            let made = try await run(scratch, ["key", "\(scratch)/key", "--new"])
            #expect(made.code == 0 && KeyID(hex: made.output.trimmingCharacters(in: .newlines)) != nil, "\(made)")
            let text = try String(contentsOfFile: "\(scratch)/key", encoding: .utf8)
            #expect(try MasterKey(text: Array(text.utf8)).id.description + "\n" == made.output && !made.error.contains(text.prefix(8)))
            let mode = try FileManager.default.attributesOfItem(atPath: "\(scratch)/key")[.posixPermissions] as? Int
            #expect(mode == 0o600)
            let again = try await run(scratch, ["key", "--new", "\(scratch)/key"])
            #expect(again.code != 0)
            #expect(try String(contentsOfFile: "\(scratch)/key", encoding: .utf8) == text, "a key is never written over")
            let named = try await run(scratch, ["key", "\(scratch)/key"])
            #expect(named.code == 0 && named.output == made.output)
            let missing = try await run(scratch, ["key", "\(scratch)/none"])
            #expect(missing.code == 2, "\(missing)")
        }
    }

    /// Lesson 16 of shipping: nobody goes without encryption, or stops being encrypted, without a word.
    @Test func theProgramSaysWhetherItEncryptsAndWhichKeyIsMissing() async throws {
        try await withScratch { scratch async throws in
            let url = "file://\(scratch)/archive/orders"
            let once = ["run", "--log", "\(scratch)/log", "--once", "--ship-claim-settle", "10ms", "--archive", url]
            for (name, key) in [("one", Self.one), ("two", Self.two)] { try write("\(scratch)/\(name)", key.secretText) }
            try append(scratch, 0..<300)
            let plain = try await run(scratch, once)
            #expect(plain.code == 0 && plain.error.contains("objects are not encrypted"), "\(plain)")
            let off = try await run(scratch, ["status", "--archive", url])
            #expect(off.output.contains("encryption    off"), "\(off)")

            try append(scratch, 300..<600)
            let first = try await run(scratch, once + ["--key-file", "\(scratch)/one"])
            #expect(first.code == 0 && first.error.contains("objects are encrypted") && first.error.contains("\(Self.one.id)"), "\(first)")
            try append(scratch, 600..<900)
            let turned = try await run(scratch, once + ["--key-file", "\(scratch)/two", "--key-file", "\(scratch)/one"])
            #expect(turned.code == 0, "\(turned)")
            let forgotten = try await run(scratch, once)
            #expect(forgotten.code == 2 && forgotten.error.contains("no key was given"), "\(forgotten)")

            let on = try await run(scratch, ["status", "--archive", url, "--json"])
            #expect(on.output.contains("\"encryption_key\":\"\(Self.one.id)\""), "\(on)")
            let plan = try await run(scratch, ["restore", "--archive", url, "--plan"])
            #expect(plan.code == 0 && plan.output.contains("key \(Self.one.id)\n") && plan.output.contains("key \(Self.two.id)\n"), "\(plan)")
            let restored = try await run(scratch, ["restore", "--archive", url, "--to", "\(scratch)/restored", "--key-file", "\(scratch)/one"])
            #expect(restored.code == 2 && restored.error.contains("encrypted with key \(Self.two.id), which is not among the keys given"), "\(restored)")
            #expect(!FileManager.default.fileExists(atPath: "\(scratch)/restored"))
            let environment = ["WALSHIPD_ENCRYPTION_KEY_COMMAND": "cat \(scratch)/two", "WALSHIPD_ENCRYPTION_OLD_KEY_FILES": "\(scratch)/one"]
            let whole = try await run(scratch, ["restore", "--archive", url, "--to", "\(scratch)/restored"], environment: environment)
            #expect(whole.code == 0 && whole.error.contains("restored 900 records"), "\(whole)")
            let records = try await run(scratch, ["cat", "--archive", url], environment: environment)
            #expect(records.code == 0 && records.output == (0..<900).map { "record \($0)\n" }.joined())
            let promoted = try await run(scratch, ["promote", "--log", "\(scratch)/restored", "--archive", url], environment: environment)
            #expect(promoted.code == 0, "\(promoted)")
            for ended in [first, turned, forgotten, plan, restored, whole, promoted] {
                #expect(!(ended.output + ended.error).contains(Self.one.secretText.prefix(16)) && !(ended.output + ended.error).contains(Self.two.secretText.prefix(16)))
            }
        }
    }
}
