import Archive
import ArgumentParser
import Foundation
import WAL

/// `walshipd key`: makes a key, or says which one a file holds.
struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key",
        abstract: "Makes a key for encrypted archives, or says the id of the one in a file.",
        discussion: """
            A key is 32 random bytes, kept as 64 hex digits on one line in a file that only its owner can read. Its id, which is printed, is no secret: archives name the \
            keys that they need by it. Whoever has lost a key has lost what is encrypted with it: keep a copy where neither the machine nor its archive is.
            """)

    @Argument(help: ArgumentHelp("The file with the key.", valueName: "file"))
    var file: String

    @Flag(help: "Make a new key in this file, which must not exist yet.")
    var new = false

    mutating func run() throws {
        if new {
            var generator = SystemRandomNumberGenerator()
            let key = MasterKey.random(using: &generator)
            guard !FileManager.default.fileExists(atPath: file) else { throw CommandError(.failed, "\(file) is there already, and a key is never written over; name another file") }
            try SecretFile.create(file, Array("\(key.secretText)\n".utf8))
        }
        let key = try KeySource.key(inFile: file, "the key", .file(file, line: nil))
        try Output.standard.write(line: "\(key.id)")
    }
}
