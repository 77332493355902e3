package import WAL
import Glibc
import Synchronization

/// A machine in memory behind the file system seam: page cache beside stable storage, unsynced names beside synced ones.
///
/// What is durable: a file's bytes and length as of its last `sync()`, names as of their directory's last
/// `syncDirectory(_:)`, and nothing else (a sync of a new file does not make its name durable).
///
/// `crash` and `kill` do not change this machine: they return the one that would be found afterwards, with nothing open,
/// locked, mapped or injected. So one state can be crashed many times, and threads and objects that still use this one
/// disturb nobody. Threads should be at rest meanwhile if the outcome is to be repeatable.
///
/// One mutex; safe from any thread.
package final class SimulatedFileSystem: FileSystem {
    private let state: Mutex<State>

    private struct State {
        var disk: SimulatedDisk
        var faults: [SimulatedFault] = []
        var counters = SimulatedCounters()
        var observer: (@Sendable (SimulatedCall, String) -> Void)?
        var lastDescription: UInt64 = 0
    }

    /// An empty machine: a durable root directory. Files can be `maximumFileSize` bytes long, a multiple of 65536.
    package convenience init(maximumFileSize: Int = 64 << 20) {
        self.init(SimulatedDisk(maximumFileSize: maximumFileSize))
    }

    private init(_ disk: SimulatedDisk) { state = Mutex(State(disk: disk)) }

    // MARK: The machine

    /// The machine after power failed now and came back. Every unsynced 4096-byte page is kept, dropped or torn at sectors;
    /// every unsynced directory change is kept or dropped; the boot id is another.
    package func crash(
        choosing chooser: some CrashChooser, directories order: DirectoryOrder = .ordered
    ) -> SimulatedFileSystem {
        var chooser = chooser
        return SimulatedFileSystem(state.withLock { $0.disk.afterCrash(&chooser, order) })
    }

    /// The same with fates that follow from `seed`.
    package func crash(seed: UInt64, directories order: DirectoryOrder = .ordered) -> SimulatedFileSystem {
        crash(choosing: SeededCrash(seed: seed), directories: order)
    }

    /// The machine after every process on it died now: page cache kept, also what a failed sync lost; same boot id.
    package func kill() -> SimulatedFileSystem { SimulatedFileSystem(state.withLock { $0.disk.afterKill() }) }

    /// Follows from everything on the machine: two that have the same are the same. Of this process only.
    package func fingerprint() -> Int { state.withLock { $0.disk.contentHash() } }

    /// Adds a fault; see `SimulatedFault`.
    package func inject(_ fault: SimulatedFault) { state.withLock { $0.faults.append(fault) } }

    package func removeFaults() { state.withLock { $0.faults = [] } }

    /// Sets how many more bytes (in whole pages) files can take: fallocate and writes past it fail with ENOSPC after doing
    /// the part that fits. nil, the initial value, is without limit. Writes through a mapping of a hole are not counted.
    /// What a removed file had comes back when nothing holds it open and the removal is synced.
    package func setFreeSpace(_ bytes: Int?) { state.withLock { $0.disk.space = bytes } }

    package var freeSpace: Int? { state.withLock { $0.disk.space } }

    /// Clean pages of the files whose path matches the glob leave memory: what a failed sync lost now shows.
    package func evict(_ pattern: String = "*") {
        state.withLock { state in state.disk.evict { Glob.matches(pattern, $0) } }
    }

    /// Changes a byte of a file on disk and in memory, as rot would.
    package func damage(_ path: String, at offset: Int, xor mask: UInt8) throws(WALError) {
        try onMachine(path) { disk, inode throws(SimulatedErrno) in
            try disk.withFile(inode) { file, cache, _ in file.damage(at: offset, xor: mask, cache) }
        }
    }

    /// The bytes of a file that are on stable storage, whatever its name is there.
    package func syncedBytes(_ path: String) throws(WALError) -> [UInt8] {
        try onMachine(path) { disk, inode throws(SimulatedErrno) in
            try disk.withFile(inode) { file, _, _ in file.synced }
        }
    }

    /// Calls, open files and mappings so far.
    package var counters: SimulatedCounters { state.withLock { $0.counters } }

    /// Starts counting calls and peaks anew.
    package func resetCounters() {
        state.withLock { state in
            state.counters.calls = [:]
            state.counters.openFilesPeak = state.counters.openFiles
            state.counters.mappingsPeak = state.counters.mappings
        }
    }

    /// Has `observer` called with each call and its path before it is carried out, on the calling thread and without the
    /// mutex: it may crash the machine, or block. It must not make calls of the seam on this machine.
    package func observe(_ observer: (@Sendable (SimulatedCall, String) -> Void)?) {
        state.withLock { $0.observer = observer }
    }

    // MARK: FileSystem

    package func open(_ path: String, _ mode: OpenMode) throws(WALError) -> any File {
        let (inode, description) = try perform(.open, path) { state throws(SimulatedErrno) in
            let inode = try state.disk.open(path, mode)
            state.lastDescription += 1
            state.counters.openFiles += 1
            state.counters.openFilesPeak = max(state.counters.openFilesPeak, state.counters.openFiles)
            return (inode, state.lastDescription)
        }
        return SimulatedFile(on: self, path: path, inode: inode, description: description, writable: mode != .read)
    }

    package func status(_ path: String) throws(WALError) -> FileStatus? {
        try perform(.status, path) { state throws(SimulatedErrno) in
            do throws(SimulatedErrno) {
                return state.disk.status(of: try state.disk.inode(at: path))
            } catch {
                guard error.code == ENOENT || error.code == ENOTDIR else { throw error }
                return nil
            }
        }
    }

    package func list(_ directory: String) throws(WALError) -> [String] {
        try perform(.list, directory) { state throws(SimulatedErrno) in try state.disk.list(directory) }
    }

    package func makeDirectory(_ path: String) throws(WALError) {
        try perform(.makeDirectory, path) { state throws(SimulatedErrno) in try state.disk.makeDirectory(path) }
    }

    package func rename(_ from: String, to: String) throws(WALError) {
        try perform(.rename, from, to) { state throws(SimulatedErrno) in try state.disk.rename(from, to: to) }
    }

    package func unlink(_ path: String) throws(WALError) {
        try perform(.unlink, path) { state throws(SimulatedErrno) in try state.disk.unlink(path) }
    }

    package func syncDirectory(_ path: String) throws(WALError) {
        try perform(.syncDirectory, path) { state throws(SimulatedErrno) in try state.disk.syncDirectory(path) }
    }

    package func bootID() throws(WALError) -> BootID {
        try perform(.bootID, "/proc/sys/kernel/random/boot_id") { state in state.disk.bootID }
    }

    // MARK: For files and mappings

    /// Carries out a call on an open file, unless a fault meets it.
    func call<Result: Sendable>(
        _ call: SimulatedCall, on file: SimulatedFile,
        _ body: (inout SimulatedFileNode, SimulatedPageCache, inout Int?) throws(SimulatedErrno) -> Result
    ) throws(WALError) -> Result {
        try perform(call, file.path, inode: file.inode) { state throws(SimulatedErrno) in
            try state.disk.withFile(file.inode, body)
        }
    }

    func countMapping() {
        state.withLock { state in
            state.counters.mappings += 1
            state.counters.mappingsPeak = max(state.counters.mappingsPeak, state.counters.mappings)
        }
    }

    func letGo(ofMapping inode: UInt64, endingAt end: Int) {
        state.withLock { state in
            state.counters.mappings -= 1
            state.disk.letGo(inode) { file in
                file.mappings -= 1
                if let index = file.mappedEnds.firstIndex(of: end) { file.mappedEnds.remove(at: index) }
            }
        }
    }

    func letGo(ofDescription description: UInt64, _ inode: UInt64) {
        state.withLock { state in
            state.counters.openFiles -= 1
            state.disk.letGo(inode) { file in
                file.descriptions -= 1
                for byte in file.locks.keys { file.locks[byte]![description] = nil }
            }
        }
    }

    private func perform<Result: Sendable>(
        _ call: SimulatedCall, _ paths: String..., inode: UInt64? = nil,
        _ body: (inout State) throws(SimulatedErrno) -> Result
    ) throws(WALError) -> Result {
        state.withLock(\.observer)?(call, paths[0])
        let outcome = state.withLock { state -> Swift.Result<Result, SimulatedErrno> in
            state.counters.calls[call, default: 0] += 1
            // Every fault counts the call; the first that meets it names the error.
            var failure: Int32?
            for index in state.faults.indices where state.faults[index].meets(call, paths) {
                failure = failure ?? state.faults[index].errno
            }
            return Swift.Result { () throws(SimulatedErrno) in
                guard let failure else { return try body(&state) }
                if call == .sync, let inode { try state.disk.withFile(inode) { file, cache, _ in file.failSync(cache) } }
                throw SimulatedErrno(failure)
            }
        }
        switch outcome {
        case .success(let result): return result
        case .failure(let error): throw .system(operation: call.cName, path: paths[0], errno: error.code)
        }
    }

    /// Reaches behind the seam: no call is counted, no fault met.
    private func onMachine<Result: Sendable>(
        _ path: String, _ body: (inout SimulatedDisk, UInt64) throws(SimulatedErrno) -> Result
    ) throws(WALError) -> Result {
        let outcome = state.withLock { state in
            Swift.Result { () throws(SimulatedErrno) in
                let inode = try state.disk.inode(at: path)
                guard state.disk.files[inode] != nil else { throw SimulatedErrno(EISDIR) }
                return try body(&state.disk, inode)
            }
        }
        switch outcome {
        case .success(let result): return result
        case .failure(let error): throw .system(operation: "open", path: path, errno: error.code)
        }
    }
}
