import Glibc

/// The file system of the running Linux kernel. Holds nothing: every value is the same. Safe from any thread; every call
/// blocks for as long as the kernel takes.
package struct LinuxFileSystem: FileSystem {
    package init() {}

    /// open(2). Follows links. Never waits for the other end of a FIFO: what the path holds is for the caller to find out.
    package func open(_ path: String, _ mode: OpenMode) throws(WALError) -> any File {
        let access: Int32 =
            switch mode {
            case .read: O_RDONLY
            case .readWrite: O_RDWR
            case .createIfAbsent: O_RDWR | O_CREAT
            case .createNew: O_RDWR | O_CREAT | O_EXCL
            }
        // O_NONBLOCK has no effect on regular files and directories (open(2)).
        let flags = access | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
        let descriptor = try SystemCall.run("open", on: path) { unsafe Glibc.open(path, flags, 0o644) }
        return LinuxFile(owning: descriptor, path: path)
    }

    package func status(_ path: String) throws(WALError) -> FileStatus? {
        var status = stat()
        let code = try SystemCall.check("lstat", on: path, allowing: [ENOENT, ENOTDIR]) {
            unsafe lstat(path, &status) == 0 ? 0 : errno
        }
        return code == 0 ? FileStatus(status) : nil
    }

    /// opendir(3), readdir(3). A name that is not UTF-8 comes with replacement characters: it is nobody's of ours.
    package func list(_ directory: String) throws(WALError) -> [String] {
        var opened: OpaquePointer?
        try SystemCall.check("opendir", on: directory) {
            unsafe opened = opendir(directory)
            return unsafe opened == nil ? errno : 0
        }
        guard let stream = unsafe opened else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while true {
            // The end and an error are both a null pointer; only an error sets errno.
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                let code = errno
                if code == 0 { return names }
                throw SystemCall.error(code, in: "readdir", on: directory)
            }
            let name = unsafe LinuxFileSystem.name(of: entry)
            if name != ".", name != ".." { names.append(name) }
        }
    }

    package func makeDirectory(_ path: String) throws(WALError) {
        try SystemCall.run("mkdir", on: path) { unsafe mkdir(path, 0o755) }
    }

    package func rename(_ from: String, to: String) throws(WALError) {
        try SystemCall.run("rename", on: from) { unsafe Glibc.rename(from, to) }
    }

    package func unlink(_ path: String) throws(WALError) {
        try SystemCall.check("unlink", on: path, allowing: [ENOENT]) { unsafe Glibc.unlink(path) == 0 ? 0 : errno }
    }

    package func syncDirectory(_ path: String) throws(WALError) {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
        let descriptor = try SystemCall.run("open", on: path) { unsafe Glibc.open(path, flags) }
        defer { Glibc.close(descriptor) }
        try SystemCall.run("fsync", on: path) { fsync(descriptor) }
    }

    /// Reads /proc/sys/kernel/random/boot_id (random(4)): a UUID made at boot. EINVAL when it is not one.
    package func bootID() throws(WALError) -> BootID {
        let path = "/proc/sys/kernel/random/boot_id"
        let file = try open(path, .read)
        defer { file.close() }
        // 36 characters and a newline.
        let bytes = try file.bytes(at: 0, count: 37)
        let text = String(decoding: bytes.prefix(36), as: UTF8.self)
        guard let id = LogID(text) else { throw .io(operation: "read", path: path, errno: EINVAL) }
        return BootID(high: id.high, low: id.low)
    }

    private static func name(of entry: UnsafeMutablePointer<dirent>) -> String {
        // SAFETY: d_name ends with a zero byte (readdir(3)). It is read in place, because an entry in the stream's buffer
        // may be shorter than the C structure, which a copy would read past.
        let offset = MemoryLayout<dirent>.offset(of: \.d_name)!
        let name = unsafe UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: CChar.self)
        return unsafe String(cString: name)
    }
}

extension FileStatus {
    init(_ status: stat) {
        let kind: Kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .directory
            default: .other
            }
        self.init(kind: kind, size: UInt64(status.st_size), inode: UInt64(status.st_ino))
    }
}
