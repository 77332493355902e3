import Glibc
import WAL

/// The system calls of `DirectoryStore`, each wrapped once. They block, never return EINTR, and follow no symbolic link
/// below the root.
enum DirectoryFiles {
    /// One open descriptor, closed when it goes.
    @safe struct Descriptor: ~Copyable {
        let number: Int32

        init(_ number: Int32) {
            self.number = number
        }

        deinit {
            // A failed close of a descriptor whose data was synced, or only read, loses nothing; there is nobody to tell.
            _ = close(number)
        }
    }

    /// A call that failed: its C name and errno.
    struct Failure: Error, Hashable {
        let operation: String
        let errno: Int32
    }

    /// open(2) of a directory given by the user: links in it are the user's choice.
    static func openRoot(_ path: String) throws(Failure) -> Descriptor {
        try Descriptor(retrying("open") { unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) })
    }

    /// openat(2) of one directory name, links refused.
    static func openDirectory(_ name: String, in parent: borrowing Descriptor) throws(Failure) -> Descriptor {
        let number = parent.number
        return try Descriptor(retrying("openat") { unsafe openat(number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) })
    }

    /// openat(2) of one file name for reading, links refused. O_NONBLOCK: a pipe that somebody put there must not hang us.
    static func openFile(_ name: String, in parent: borrowing Descriptor) throws(Failure) -> Descriptor {
        let number = parent.number
        return try Descriptor(retrying("openat") { unsafe openat(number, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK) })
    }

    /// openat(2) of a new file, mode 0o644.
    static func createFile(_ name: String, in parent: borrowing Descriptor) throws(Failure) -> Descriptor {
        let number = parent.number
        return try Descriptor(retrying("openat") { unsafe openat(number, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644) })
    }

    /// mkdirat(2), mode 0o755; false where something has that name.
    static func makeDirectory(_ name: String, in parent: borrowing Descriptor) throws(Failure) -> Bool {
        let number = parent.number
        do throws(Failure) {
            _ = try retrying("mkdirat") { unsafe mkdirat(number, name, 0o755) }
            return true
        } catch where error.errno == EEXIST {
            return false
        }
    }

    /// linkat(2): an exclusive second name for a file; false where something has that name.
    static func link(_ name: String, in from: borrowing Descriptor, as target: String, in to: borrowing Descriptor) throws(Failure) -> Bool {
        let (source, destination) = (from.number, to.number)
        do throws(Failure) {
            _ = try retrying("linkat") { unsafe linkat(source, name, destination, target, 0) }
            return true
        } catch where error.errno == EEXIST {
            return false
        }
    }

    /// renameat(2): replaces what has that name.
    static func rename(_ name: String, in from: borrowing Descriptor, to target: String, in to: borrowing Descriptor) throws(Failure) {
        let (source, destination) = (from.number, to.number)
        _ = try retrying("renameat") { unsafe renameat(source, name, destination, target) }
    }

    /// unlinkat(2); false where nothing has that name.
    static func unlink(_ name: String, in parent: borrowing Descriptor) throws(Failure) -> Bool {
        let number = parent.number
        do throws(Failure) {
            _ = try retrying("unlinkat") { unsafe unlinkat(number, name, 0) }
            return true
        } catch where error.errno == ENOENT {
            return false
        }
    }

    /// fsync(2) on a file or a directory.
    static func sync(_ descriptor: borrowing Descriptor) throws(Failure) {
        let number = descriptor.number
        _ = try retrying("fsync") { fsync(number) }
    }

    /// fstat(2).
    static func status(_ descriptor: borrowing Descriptor) throws(Failure) -> stat {
        let number = descriptor.number
        var status = stat()
        _ = try retrying("fstat") { unsafe fstat(number, &status) }
        return status
    }

    /// fstatat(2), links not followed; nil where nothing has that name.
    static func status(_ name: String, in parent: borrowing Descriptor) throws(Failure) -> stat? {
        let number = parent.number
        var status = stat()
        do throws(Failure) {
            _ = try retrying("fstatat") { unsafe fstatat(number, name, &status, AT_SYMLINK_NOFOLLOW) }
            return status
        } catch where error.errno == ENOENT {
            return nil
        }
    }

    /// write(2) until all of `bytes` is written.
    static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: borrowing Descriptor) throws(Failure) {
        let number = descriptor.number
        var written = 0
        while written < bytes.count {
            // SAFETY: the range [written, count) lies inside the buffer.
            written += try retrying("write") {
                unsafe Glibc.write(number, bytes.baseAddress.map { unsafe $0 + written }, bytes.count - written)
            }
        }
    }

    /// pread(2) until `buffer` is full or the file ends; returns the bytes read.
    static func read(into buffer: UnsafeMutableRawBufferPointer, from descriptor: borrowing Descriptor, at offset: UInt64) throws(Failure) -> Int {
        let number = descriptor.number
        var done = 0
        while done < buffer.count {
            // SAFETY: the range [done, count) lies inside the buffer.
            let count = try retrying("pread") {
                unsafe pread(number, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done, off_t(offset) + off_t(done))
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// The names in a directory, without `.` and `..`, in no order.
    static func names(in directory: borrowing Descriptor) throws(Failure) -> [String] {
        // fdopendir(3) takes the descriptor over, so it gets one of its own, with an offset of its own.
        let number = directory.number
        let own = try retrying("openat") { unsafe openat(number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard let stream = unsafe fdopendir(own) else {
            let failure = Failure(operation: "fdopendir", errno: errno)
            _ = close(own)
            throw failure
        }
        defer { _ = unsafe closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                if errno != 0 { throw Failure(operation: "readdir", errno: errno) }
                return names
            }
            // SAFETY: d_name is NUL-terminated and valid until the next readdir on this stream.
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
    }

    /// Calls until it is not interrupted; throws for -1.
    private static func retrying<Result: SignedInteger>(_ operation: String, _ call: () -> Result) throws(Failure) -> Result {
        while true {
            let result = call()
            if result != -1 { return result }
            let number = errno
            if number != EINTR { throw Failure(operation: operation, errno: number) }
        }
    }
}

extension DirectoryFiles.Failure {
    /// The archive's words for it. `outcome` is whether the operation that it was part of may have taken effect.
    func archiveError(key: ObjectKey?, path: String, outcome: ArchiveError.Outcome = .notDone) -> ArchiveError {
        let what = "\(operation) failed below \(path): \(ErrorText.describe(errno: errno))"
        switch errno {
        case ENOSPC, EDQUOT:
            return ArchiveError(.outOfSpace, what, outcome: outcome, key: key, hint: "make room there")
        case EACCES, EPERM:
            return ArchiveError(
                .unauthorized(status: 0), what, outcome: outcome, key: key,
                hint: "let this user read and write the directory, on a file system that has hard links")
        case EROFS:
            return ArchiveError(.refused(status: 0), what, outcome: outcome, key: key, hint: "mount it for writing")
        case EFBIG:
            return ArchiveError(.tooLarge, what, outcome: outcome, key: key)
        case ENOENT:
            return ArchiveError(.notFound, what, outcome: outcome, key: key)
        case ENOTDIR, ELOOP, EISDIR:
            return ArchiveError(
                .invalid, what, outcome: outcome, key: key, hint: "something that is no plain file or directory stands in its path")
        case EXDEV, EOPNOTSUPP, EMLINK:
            return ArchiveError(
                .unsupported, what, outcome: outcome, key: key, hint: "the whole directory must be one file system that has hard links")
        case EIO, EMFILE, ENFILE, ENOMEM, ESTALE, ETIMEDOUT, EAGAIN, ENODEV, ENXIO, EHOSTDOWN, ENETUNREACH, EREMOTEIO, ENOTCONN:
            return ArchiveError(.unreachable, what, outcome: outcome, key: key)
        default:
            return ArchiveError(.refused(status: 0), what, outcome: outcome, key: key)
        }
    }
}
