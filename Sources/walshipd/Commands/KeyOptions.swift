import ArgumentParser

/// The keys of an archive whose objects are encrypted. Paths only: a key is never given on the command line.
struct KeyOptions: ParsableArguments {
    @Option(help: ArgumentHelp(
        "A file with a key of the archive's encrypted objects; repeat it for each. Overrides encryption.key-file and encryption.old-key-files.", valueName: "file"))
    var keyFile: [String] = []

    var flags: [SettingKey: String] {
        var flags: [SettingKey: String] = [:]
        flags[.encryptionKeyFile] = keyFile.first
        if keyFile.count > 1 { flags[.encryptionOldKeyFiles] = keyFile.dropFirst().joined(separator: "\n") }
        return flags
    }
}
