import Glibc

/// Files that hold a secret: for the program. Beside `FileSystem`, not in it.
package enum SecretFile {
    package enum Found: Hashable, Sendable {
        case bytes([UInt8])
        /// It belongs to the user who runs this program, and others may read or write it. Its mode, as chmod(1) takes it.
        case open(mode: UInt32)
    }

    /// Reads at most `limit` bytes, and one more where there are more. A file of another user (an administrator's, a mounted secret) is not judged: its mode is theirs,
    /// as ssh(1) has it for private keys.
    package static func read(_ path: String, limit: Int) throws(WALError) -> Found {
        let descriptor = try SystemCall.run("open", on: path) { unsafe open(path, O_RDONLY | O_CLOEXEC) }
        defer { close(descriptor) }
        var status = stat()
        try SystemCall.run("fstat", on: path) { unsafe fstat(descriptor, &status) }
        if status.st_uid == getuid(), status.st_mode & 0o077 != 0, status.st_mode & S_IFMT == S_IFREG {
            return .open(mode: UInt32(status.st_mode & 0o7777))
        }
        var bytes = [UInt8](repeating: 0, count: limit + 1)
        var count = 0
        while count < bytes.count {
            let filled = count
            let more = try SystemCall.run("read", on: path) {
                // SAFETY: the kernel writes at most as many bytes as the rest of the buffer has.
                unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress! + filled, $0.count - filled) }
            }
            if more == 0 { break }
            count += more
        }
        return .bytes(Array(bytes.prefix(count)))
    }

    /// Makes a file that only its owner can read, where nothing is yet (EEXIST otherwise), and syncs it.
    package static func create(_ path: String, _ bytes: [UInt8]) throws(WALError) {
        let descriptor = try SystemCall.run("open", on: path) { unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600) }
        defer { close(descriptor) }
        var count = 0
        while count < bytes.count {
            let written = count
            count += try SystemCall.run("write", on: path) {
                // SAFETY: the kernel reads no more than the rest of the buffer.
                unsafe bytes.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress! + written, $0.count - written) }
            }
        }
        try SystemCall.run("fsync", on: path) { fsync(descriptor) }
    }
}
