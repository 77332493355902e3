import Glibc

/// A file that a limit reads or writes: a descriptor that is closed with its owner. One thread at a time.
final class File: Sendable {
    let descriptor: Int32
    let path: String

    /// A new, empty file.
    static func make(_ path: String) throws -> File {
        File(try check("open", path) { Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600) }, path)
    }

    static func open(toRead path: String) throws -> File {
        File(try check("open", path) { Glibc.open(path, O_RDONLY | O_CLOEXEC) }, path)
    }

    private init(_ descriptor: Int32, _ path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    /// Writes `size` zeros from the start on and makes them durable.
    func fillWithZeros(size: Int) throws {
        let piece = [UInt8](repeating: 0, count: 1 << 20)
        var at = 0
        while at < size {
            let want = min(piece.count, size - at)
            let done = piece.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, want, off_t(at)) }
            guard done == want else { throw BenchmarkError.system(call: "pwrite", path: path, errno: done < 0 ? errno : EIO) }
            at += want
        }
        try sync()
    }

    /// fsync.
    func sync() throws { _ = try File.check("fsync", path) { fsync(descriptor) } }

    /// The result of a system call, or its error.
    static func check(_ call: String, _ path: String, _ body: () -> Int32) throws -> Int32 {
        let result = body()
        if result < 0 { throw BenchmarkError.system(call: call, path: path, errno: errno) }
        return result
    }

    /// What a loop in C returned: 0, or errno.
    func check(_ call: String, code: Int32) throws {
        if code != 0 { throw BenchmarkError.system(call: call, path: path, errno: code) }
    }
}
