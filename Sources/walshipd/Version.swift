/// The version that `--version` prints. It names the program; file and archive formats carry versions of their own.
enum Version {
    static let current = "0.1.0"
}
