import Synchronization

/// Brings whole segments of a replica to stable storage beside the writing of the next ones, in order, and notes in the mark how far.
///
/// An error is final: nothing is synced after it, so nothing that a later flush would call durable is taken for it. Safe from any thread.
final class ReplicaFlusher: Sendable {
    private struct Progress {
        var mark: ReplicaMark
        var markFile: (any File)?
        var failure: WALError?
    }

    private struct Full {
        let file: any File
        /// Where its bytes end.
        let end: LSN
    }

    private let paths: LogPaths
    private let fileSystem: any FileSystem
    private let waiting = Mutex<[Full]>([])
    /// Held while a segment is synced: one after the other.
    private let progress: Mutex<Progress>
    private let helper: HelperThread

    /// Segments that wait; who writes faster than the disk takes them waits with them.
    private static let waitingMax = 2

    init(_ paths: LogPaths, _ fileSystem: any FileSystem, _ mark: ReplicaMark, mode: HelperMode) {
        self.paths = paths
        self.fileSystem = fileSystem
        progress = Mutex(Progress(mark: mark))
        helper = HelperThread(name: "walship-replica", mode: mode)
    }

    /// The mark is there.
    func begin() throws(WALError) {
        let file = try fileSystem.open(paths.replicaMark, .readWrite)
        let bytes = try file.bytes(at: 0, count: ReplicaMark.size)
        progress.withLock {
            $0.markFile = file
            if let mark = try? ReplicaMark.decode(bytes) { $0.mark.synced = mark.synced }
        }
    }

    /// Nothing at or past `lsn` counts as synced any more, nor what is synced from now on. What cannot be written down is noticed by whoever goes on.
    func distrust(from lsn: LSN) {
        while flushNext() {}
        progress.withLock { progress in
            guard lsn < progress.mark.synced else { return }
            progress.mark.synced = lsn
            try? progress.markFile?.write(progress.mark.cell, at: UInt64(ReplicaMark.cellOffset))
        }
    }

    /// Up to where whole segments are on stable storage, once what waits has been synced, as far as it can be.
    func settle() -> LSN {
        while flushNext() {}
        return progress.withLock { $0.mark.synced }
    }

    /// Takes the file over. Throws what an earlier one had failed with.
    func add(_ file: any File, end: LSN) throws(WALError) {
        let count = waiting.withLock {
            $0.append(Full(file: file, end: end))
            return $0.count
        }
        helper.ask { [self] in flushNext() }
        if count > Self.waitingMax { while flushNext() {} }
        if let failure = progress.withLock({ $0.failure }) { throw failure }
    }

    /// All that was added is on stable storage on return, its directory entries included.
    func finish() throws(WALError) {
        while flushNext() {}
        helper.stop()
        if let failure = progress.withLock({ $0.failure }) { throw failure }
    }

    /// False where nothing waits, or where nothing may be synced any more.
    private func flushNext() -> Bool {
        progress.withLock { progress in
            guard progress.failure == nil else { return false }
            guard let next = waiting.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else { return false }
            defer { next.file.close() }
            do throws(WALError) {
                try next.file.sync()
                try fileSystem.syncDirectory(paths.directory)
                // Only what fills its segment counts: what follows is written to a file of its own.
                guard next.end.rawValue % progress.mark.segmentSize == 0 else { return true }
                progress.mark.synced = next.end
                try progress.markFile?.write(progress.mark.cell, at: UInt64(ReplicaMark.cellOffset))
            } catch {
                progress.failure = error
                return false
            }
            return true
        }
    }

    /// What waits is not synced any more.
    func stop() {
        helper.stop()
        for full in waiting.withLock({ waiting in
            defer { waiting = [] }
            return waiting
        }) { full.file.close() }
        progress.withLock {
            $0.markFile?.close()
            $0.markFile = nil
        }
    }
}
