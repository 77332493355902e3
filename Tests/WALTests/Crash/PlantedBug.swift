import Synchronization
import TestSupport
import WAL

/// A file system that does one thing wrong, as a program above it could: what the simulation must notice.
final class PlantedBug: FileSystem {
    enum Bug: CaseIterable {
        /// Segments are not flushed.
        case noFlush
        /// Only the newest segment is.
        case flushOfTheLastSegmentOnly
        /// Names are not made durable.
        case noDirectorySync
        /// A new file is named first and synced afterwards.
        case renameBeforeSync
        /// The new head is written after the segments below it are gone.
        case factsAfterUnlink
        /// A slot's position is not synced before it counts.
        case noSlotSync
        /// Identity and facts are not synced.
        case noControlSync
        /// The records of a batch are appended one by one: the workload's doing, not the file system's.
        case batchesInPieces
    }

    private let bug: Bug
    private let base: SimulatedFileSystem
    private let state = Mutex(State())

    private struct State {
        var newestSegment = ""
        var late: [Late] = []
    }

    /// A sync, and perhaps a write before it, that comes later than it should.
    private struct Late {
        var file: any File
        var bytes: [UInt8]?
        var offset: UInt64 = 0
    }

    init(_ bug: Bug, _ base: SimulatedFileSystem) {
        self.bug = bug
        self.base = base
    }

    func open(_ path: String, _ mode: OpenMode) throws(WALError) -> any File {
        try catchUp()
        if path.hasSuffix(".wal") { state.withLock { $0.newestSegment = max($0.newestSegment, path) } }
        return PlantedFile(try base.open(path, mode), self)
    }
    func status(_ path: String) throws(WALError) -> FileStatus? { try base.status(path) }
    func list(_ directory: String) throws(WALError) -> [String] { try base.list(directory) }
    func makeDirectory(_ path: String) throws(WALError) { try base.makeDirectory(path) }
    func rename(_ from: String, to: String) throws(WALError) {
        try base.rename(from, to: to)
        if bug == .renameBeforeSync { try catchUp() }
    }
    func unlink(_ path: String) throws(WALError) {
        try base.unlink(path)
        if path.hasSuffix(".wal") { try catchUp() }
    }
    func syncDirectory(_ path: String) throws(WALError) {
        try catchUp()
        if bug != .noDirectorySync { try base.syncDirectory(path) }
    }
    func bootID() throws(WALError) -> BootID { try base.bootID() }

    private func catchUp() throws(WALError) {
        let late = state.withLock { state in
            defer { state.late = [] }
            return state.late
        }
        for step in late {
            if let bytes = step.bytes { try step.file.write(bytes, at: step.offset) }
            try step.file.sync()
        }
    }

    fileprivate func sync(_ file: any File) throws(WALError) {
        let path = file.path
        let isSegment = path.contains(".wal") || path == "/log"
        switch bug {
        case .noFlush where isSegment && !path.hasSuffix(".tmp"): return
        case .flushOfTheLastSegmentOnly where path.hasSuffix(".wal") && path != state.withLock({ $0.newestSegment }): return
        case .renameBeforeSync where path.hasSuffix(".tmp"):
            state.withLock { $0.late.append(Late(file: file)) }
        case .factsAfterUnlink where path.hasSuffix("control") && !state.withLock({ $0.late.isEmpty }): return
        case .noSlotSync where path.contains("slots/"): return
        case .noControlSync where path.hasSuffix("control"): return
        default: try file.sync()
        }
    }

    fileprivate func write(_ file: any File, _ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(WALError) {
        guard bug == .factsAfterUnlink, file.path.hasSuffix("control"), 4096..<3 * 4096 ~= offset else {
            return try file.write(bytes, at: offset)
        }
        let copy = Array(bytes)
        state.withLock { $0.late.append(Late(file: file, bytes: copy, offset: offset)) }
    }
}

private final class PlantedFile: File {
    private let base: any File
    private let bug: PlantedBug
    init(_ base: any File, _ bug: PlantedBug) {
        self.base = base
        self.bug = bug
    }

    var path: String { base.path }
    func status() throws(WALError) -> FileStatus { try base.status() }
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(WALError) -> Int { try base.read(into: buffer, at: offset) }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(WALError) { try bug.write(base, bytes, at: offset) }
    func allocate(offset: UInt64, length: UInt64) throws(WALError) { try base.allocate(offset: offset, length: length) }
    func truncate(to size: UInt64) throws(WALError) { try base.truncate(to: size) }
    func sync() throws(WALError) { try bug.sync(base) }
    func map(offset: UInt64, length: Int, writable: Bool) throws(WALError) -> any Mapping { try base.map(offset: offset, length: length, writable: writable) }
    func tryLock(byte: UInt64, _ kind: LockKind) throws(WALError) -> Bool { try base.tryLock(byte: byte, kind) }
    func unlock(byte: UInt64) throws(WALError) { try base.unlock(byte: byte) }
    func isLockedByOther(byte: UInt64) throws(WALError) -> Bool { try base.isLockedByOther(byte: byte) }
    // A file that is synced too late has to be open still; the machine closes it when the last reference goes.
    func close() { if !path.hasSuffix(".tmp") && !path.hasSuffix("control") { base.close() } }
}
