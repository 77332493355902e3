import Glibc
import Synchronization
import WAL

/// The real file system, which writes down the calls that change or flush something, and fails those it is told to.
final class RecordingFileSystem: FileSystem, DirectoryRemoval {
    private let real = LinuxFileSystem()
    private let state = Mutex(State())

    private struct State {
        var calls: [String] = []
        var failing: String?
    }

    /// The calls since the last time this was asked, paths relative to `root`.
    func calls(below root: String) -> [String] {
        state.withLock { state in
            defer { state.calls = [] }
            return state.calls.map { $0.replacing(root, with: "") }
        }
    }

    /// From now on, `call` (operation and path, as recorded) fails with EIO.
    func fail(_ call: String?) { state.withLock { $0.failing = call } }

    fileprivate func note(_ operation: String, _ path: String) throws(WALError) {
        let call = "\(operation) \(path)"
        let fails = state.withLock { state in
            state.calls.append(call)
            return state.failing == call
        }
        if fails { throw .io(operation: operation, path: path, errno: EIO) }
    }

    func open(_ path: String, _ mode: OpenMode) throws(WALError) -> any File {
        RecordingFile(try real.open(path, mode), self)
    }
    func status(_ path: String) throws(WALError) -> FileStatus? { try real.status(path) }
    func list(_ directory: String) throws(WALError) -> [String] { try real.list(directory) }
    func makeDirectory(_ path: String) throws(WALError) {
        try note("mkdir", path)
        try real.makeDirectory(path)
    }
    func rename(_ from: String, to: String) throws(WALError) {
        try note("rename", to)
        try real.rename(from, to: to)
    }
    func unlink(_ path: String) throws(WALError) {
        try note("unlink", path)
        try real.unlink(path)
    }
    func syncDirectory(_ path: String) throws(WALError) {
        try note("fsync", path)
        try real.syncDirectory(path)
    }
    func removeDirectory(_ path: String) throws(WALError) -> Bool {
        try note("rmdir", path)
        return try real.removeDirectory(path)
    }
    func bootID() throws(WALError) -> BootID { try real.bootID() }
}

private final class RecordingFile: File {
    private let real: any File
    private let system: RecordingFileSystem

    init(_ real: any File, _ system: RecordingFileSystem) {
        self.real = real
        self.system = system
    }

    var path: String { real.path }
    func status() throws(WALError) -> FileStatus { try real.status() }
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(WALError) -> Int {
        try real.read(into: buffer, at: offset)
    }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(WALError) {
        try system.note("write", path)
        try real.write(bytes, at: offset)
    }
    func allocate(offset: UInt64, length: UInt64) throws(WALError) { try real.allocate(offset: offset, length: length) }
    func truncate(to size: UInt64) throws(WALError) { try real.truncate(to: size) }
    func sync() throws(WALError) {
        try system.note("fdatasync", path)
        try real.sync()
    }
    func map(offset: UInt64, length: Int, writable: Bool) throws(WALError) -> any Mapping {
        try real.map(offset: offset, length: length, writable: writable)
    }
    func tryLock(byte: UInt64, _ kind: LockKind) throws(WALError) -> Bool { try real.tryLock(byte: byte, kind) }
    func unlock(byte: UInt64) throws(WALError) { try real.unlock(byte: byte) }
    func isLockedByOther(byte: UInt64) throws(WALError) -> Bool { try real.isLockedByOther(byte: byte) }
    func close() { real.close() }
}
