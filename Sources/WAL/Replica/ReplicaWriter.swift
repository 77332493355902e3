/// Builds a log from archived bytes: a replica, which becomes a log only when `finish` has written its control file.
///
/// Owns the directory's writer lock, one open segment file, and what waits to be synced. Bytes come in order, without a hole; each frame is verified
/// before it is written, as far as it has come. A file `restoring` says what is made here, and how far it is on stable storage: whoever begins again with the same log goes on there,
/// whatever had ended the attempt before. Not for two threads at once.
package final class ReplicaWriter {
    private let paths: LogPaths
    private let fileSystem: any FileSystem
    private let time: any TimeSource
    private let mark: ReplicaMark
    private let epochs: EpochTable
    private let lock: any File
    private let flusher: ReplicaFlusher
    private var stream: ReplicaStream
    private var current: (index: UInt64, file: any File)?
    /// The directory was not there before.
    private let madeDirectory: Bool
    private var isClosed = false
    /// Bytes of log that an attempt before had brought to stable storage, and that verify.
    package private(set) var resumed: UInt64 = 0

    package enum Beginning {
        case writer(ReplicaWriter)
        /// It was complete, but for the word that it is: this log is what was asked for.
        case complete
    }

    /// Begins a replica in `directory`, which must be missing (its parent exists), empty, or hold an unfinished one of the same log from the same head on:
    /// then what was synced is verified again, and the rest of it removed.
    ///
    /// `mark.head` is a record boundary; `epochs` is the history that the archive tells. Throws `.notALog` for a directory that holds anything else,
    /// `.locked` where somebody else restores into it; nothing is changed then.
    package static func begin(
        directory: String, _ mark: ReplicaMark, epochs: EpochTable, fileSystem: any FileSystem = LinuxFileSystem(),
        time: any TimeSource = LinuxTimeSource(), flushing: HelperMode = .background
    ) throws(WALError) -> Beginning {
        guard LogParameters.isValid(segmentSize: Int(mark.segmentSize)) else {
            throw .parameterMismatch(
                parameter: "segment size", stored: "a multiple of 4096 from 4096 to 1073741824", requested: "\(mark.segmentSize)")
        }
        let paths = LogPaths(directory: directory)
        let found = try fileSystem.status(paths.directory)
        if let status = found, status.kind != .directory { throw .notALog(path: directory, reason: "it is no directory") }
        let existing = found == nil ? [] : try fileSystem.list(paths.directory)
        // Before anything is written, not even a lock.
        try refuseStrangers(existing, paths, fileSystem, mark)
        if found == nil { try fileSystem.makeDirectory(paths.directory) }
        // Also where it was there, and empty: its entry may be as new as if it had been made here.
        try fileSystem.syncEntry(ofDirectory: paths.directory)
        let lock = try LogLock.takeWriter(paths, fileSystem)
        do throws(WALError) {
            // Somebody may have come between.
            let now = try fileSystem.list(paths.directory)
            let old = try refuseStrangers(now, paths, fileSystem, mark)
            if now.contains("control") {
                let control = try ControlFile.open(paths, fileSystem, writable: false)
                defer { control.close() }
                guard try control.requireFacts().isReplica else {
                    throw .notALog(path: directory, reason: "it must be empty to be restored into, and holds a log that was promoted")
                }
                try fileSystem.syncDirectory(paths.directory)
                try fileSystem.unlink(paths.replicaMark)
                try fileSystem.syncDirectory(paths.directory)
                lock.close()
                return .complete
            }
            let writer = ReplicaWriter(
                paths, fileSystem, time, mark, epochs: epochs, lock: lock, flushing: flushing, madeDirectory: found == nil)
            try writer.goOn(from: old?.synced ?? .zero)
            return .writer(writer)
        } catch {
            lock.close()
            throw error
        }
    }

    private init(
        _ paths: LogPaths, _ fileSystem: any FileSystem, _ time: any TimeSource, _ mark: ReplicaMark, epochs: EpochTable, lock: any File,
        flushing: HelperMode, madeDirectory: Bool
    ) {
        self.paths = paths
        self.fileSystem = fileSystem
        self.time = time
        self.mark = mark
        self.epochs = epochs
        self.lock = lock
        self.madeDirectory = madeDirectory
        flusher = ReplicaFlusher(paths, fileSystem, mark, mode: flushing)
        stream = ReplicaStream(logID: mark.logID, epochs: epochs, segmentSize: mark.segmentSize, start: mark.head, end: mark.end)
    }

    deinit { close() }

    /// The mark in a directory that is being restored, or was; nil for one that is empty. Throws `.notALog` for anything else.
    @discardableResult
    private static func refuseStrangers(
        _ names: [String], _ paths: LogPaths, _ fileSystem: any FileSystem, _ mark: ReplicaMark
    ) throws(WALError) -> ReplicaMark? {
        let strangers = names.filter { !["lock", "maintenance"].contains($0) && !isTemporary($0) }.sorted()
        guard let first = strangers.first else { return nil }
        guard strangers.contains(ReplicaMark.fileName) else {
            throw .notALog(path: paths.directory, reason: "it must be empty to be restored into, and holds \(first)")
        }
        let found: ReplicaMark
        do throws(FormatError) {
            found = try ReplicaMark.decode(try readMark(paths, fileSystem).get())
        } catch {
            throw .notALog(path: paths.directory, reason: "\(ReplicaMark.fileName) cannot be read: \(error)")
        }
        guard found.logID == mark.logID, found.segmentSize == mark.segmentSize, found.head == mark.head else {
            throw .notALog(
                path: paths.directory,
                reason: "it holds an unfinished restore of log \(found.logID) from LSN \(found.head); remove it, or restore that one into it")
        }
        guard !names.contains("control") || found.end == mark.end else {
            throw .notALog(path: paths.directory, reason: "it holds a restore that is complete, to another target")
        }
        return found
    }

    /// What a log, or a restore of one, may have left on its way to a name. Another program's is somebody's data.
    private static func isTemporary(_ name: String) -> Bool {
        guard name.hasSuffix(".tmp") else { return false }
        let wanted = String(name.dropLast(4))
        return ["control", "follower", ReplicaMark.fileName].contains(wanted) || SegmentName(fileName: wanted) != nil || EpochFile.generation(ofName: wanted) != nil
    }

    private static func readMark(_ paths: LogPaths, _ fileSystem: any FileSystem) -> Result<[UInt8], FormatError> {
        do throws(WALError) {
            let file = try fileSystem.open(paths.replicaMark, .read)
            defer { file.close() }
            return .success(try file.bytes(at: 0, count: ReplicaMark.size))
        } catch {
            return .failure(
                FormatError(.size, structure: "restore mark", field: "file", offset: 0, found: "\(error)", expected: "a file that can be read"))
        }
    }

    /// Takes up what whole segments below `synced` hold, as far as it verifies; removes the rest, and says in the directory what is made here.
    private func goOn(from synced: LSN) throws(WALError) {
        let directory = SegmentDirectory(paths: paths, fileSystem: fileSystem, logID: mark.logID, windowSize: mark.segmentSize)
        var trusted = synced
        while stream.position < trusted {
            let before = stream
            let index = stream.position.rawValue / mark.segmentSize
            guard let bad = try take(directory, segment: index) else { continue }
            // A frame that began in a segment before shows only here that it is not what it should be.
            trusted = max(mark.head, LSN(min(index, bad.rawValue / mark.segmentSize) * mark.segmentSize))
            stream = trusted < before.position ? fresh : before
        }
        resumed = stream.position.distance(from: mark.head)
        // What is not known to be on stable storage may look as if it were, and not be.
        let next = (stream.position.rawValue + mark.segmentSize - 1) / mark.segmentSize
        try directory.removeWindows(from: stream.position == mark.head ? mark.head.rawValue / mark.segmentSize : next)
        try directory.removeLeftovers()
        var mark = mark
        mark.synced = stream.position
        let temporary = paths.replicaMark + ".tmp"
        let file = try fileSystem.open(temporary, .createNew)
        defer { file.close() }
        try file.write(mark.encode(), at: 0)
        try file.sync()
        try fileSystem.rename(temporary, to: paths.replicaMark)
        try fileSystem.syncDirectory(paths.directory)
        try flusher.begin()
    }

    private var fresh: ReplicaStream {
        ReplicaStream(logID: mark.logID, epochs: epochs, segmentSize: mark.segmentSize, start: mark.head, end: mark.end)
    }

    /// Verifies a segment from the position on; from where on nothing is to be believed, where it is not what it should be.
    private func take(_ directory: SegmentDirectory, segment index: UInt64) throws(WALError) -> LSN? {
        let start = LSN(index * mark.segmentSize)
        do throws(WALError) {
            _ = try directory.foot(index)
            let file = try fileSystem.open(paths.segment(index), .read)
            defer { file.close() }
            let end = LSN((index + 1) * mark.segmentSize)
            while stream.position < end {
                let count = Int(min(UInt64(LogLimits.readSize), end.distance(from: stream.position)))
                let bytes = try file.bytes(at: stream.position.rawValue % mark.segmentSize, count: count)
                guard bytes.count == count else { return start }
                try stream.add(bytes, 0..<count)
            }
            return nil
        } catch .corruption(let lsn, _) {
            return lsn
        } catch where error.isMissingFile {
            return start
        }
    }

    /// Where the next bytes go.
    package var position: LSN { stream.position }
    /// Records of the log so far.
    package var recordCount: UInt64 { stream.recordCount }

    /// Writes the log's raw bytes at the position. Each frame is verified first, as far as it has come: `.corruption` for one that is not intact; the position is then
    /// the end of the last segment that was written whole, or where it was. Not durable before `finish` returns.
    package func write(_ bytes: [UInt8]) throws(WALError) {
        precondition(!isClosed, "a writer that is closed")
        var offset = 0
        while offset < bytes.count {
            let (index, inSegment) = (position.rawValue / mark.segmentSize, position.rawValue % mark.segmentSize)
            let count = min(bytes.count - offset, Int(mark.segmentSize - inSegment))
            var next = stream
            do throws(WALError) {
                try next.add(bytes, offset..<offset + count)
            } catch .corruption(let lsn, let reason) {
                // Of a frame that began before, what is written already is as bad: whoever goes on fetches it again.
                flusher.distrust(from: LSN(lsn.rawValue / mark.segmentSize * mark.segmentSize))
                throw .corruption(lsn: lsn, reason: reason)
            }
            let file = try open(index)
            unsafe try bytes.withBytes { buffer throws(WALError) in
                try unsafe file.write(UnsafeRawBufferPointer(rebasing: buffer[offset..<offset + count]), at: inSegment)
            }
            stream = next
            offset += count
            if inSegment + UInt64(count) == mark.segmentSize { try endSegment() }
        }
    }

    private func open(_ index: UInt64) throws(WALError) -> any File {
        if let current, current.index == index { return current.file }
        precondition(current == nil, "one segment after the other")
        let file = try fileSystem.open(paths.segment(index), .createNew)
        do throws(WALError) {
            try file.allocate(offset: 0, length: mark.segmentSize + UInt64(SegmentFoot.size))
            let header = SegmentFoot.Header(logID: mark.logID, index: index, segmentSize: mark.segmentSize)
            try file.write(SegmentFoot.encodeFresh(header), at: mark.segmentSize)
        } catch {
            // So that the same bytes can be written when there is space again.
            file.close()
            try? fileSystem.unlink(paths.segment(index))
            throw error
        }
        current = (index, file)
        return file
    }

    /// Its bytes go to stable storage beside what follows.
    private func endSegment() throws(WALError) {
        guard let current else { return }
        if let first = stream.firstFrame, first.segment == current.index {
            let header = SegmentFoot.Header(logID: mark.logID, index: current.index, segmentSize: mark.segmentSize)
            try FootWriter(file: current.file, offset: mark.segmentSize, header: header, keepsFirstFrame: true).writeFirstFrame(first.lsn)
        }
        self.current = nil
        try flusher.add(current.file, end: position)
    }

    /// Cuts the log at its last whole record or batch that is wanted, and makes it a log: a replica, durable on return. The log's maximum record size
    /// becomes `maxRecordSize`, or the size of the longest record where that is more. On an error the directory is no log, and can be gone on with.
    /// - Returns: where the log ends.
    package func finish(maxRecordSize: Int = LogLimits.maxRecordSizeDefault) throws(WALError) -> LSN {
        precondition(!isClosed, "a writer that is closed")
        let (end, head) = (stream.boundary, mark.head)
        // The segment that a head lies inside of belongs to the log even while it is empty.
        if position == head && head.rawValue % mark.segmentSize != 0 { _ = try open(head.rawValue / mark.segmentSize) }
        try endSegment()
        try flusher.finish()
        // What lies past the end is not part of the log: the copy that is made drops it.
        if position > end {
            let directory = SegmentDirectory(paths: paths, fileSystem: fileSystem, logID: mark.logID, windowSize: mark.segmentSize)
            try directory.finish(try directory.prepareCut(from: end, to: end, firstFrames: [:]))
        }
        try fileSystem.open(paths.maintenance, .createIfAbsent).close()
        try fileSystem.syncDirectory(paths.directory)
        // An epoch that begins past the end is not part of this log's history.
        let kept = EpochTable(epochs.epochs.filter { $0.start <= end }) ?? epochs
        try ControlFile.create(
            paths, fileSystem, identity: IdentityPage(logID: mark.logID, segmentSize: mark.segmentSize, created: time.now()),
            facts: Facts(
                generation: 0, logID: mark.logID, head: head, floor: end,
                maxRecordSize: max(maxRecordSize, stream.longestRecord), isReplica: true, controlInode: 0, epochs: kept.epochs),
            epochs: kept)
        try fileSystem.unlink(paths.replicaMark)
        try fileSystem.syncDirectory(paths.directory)
        close()
        return end
    }

    /// Lets go of the directory, which holds what was written: to be gone on with. After it, or after `finish`, the writer does nothing more.
    package func close() {
        guard !isClosed else { return }
        isClosed = true
        flusher.stop()
        current?.file.close()
        current = nil
        lock.close()
    }

    /// Brings what was written whole to stable storage: up to where an attempt after this one would not have to fetch anything again; nil: from the beginning.
    package func keep() -> LSN? {
        let synced = flusher.settle()
        return synced > mark.head ? synced : nil
    }

    /// Closes, and removes what was written: there is no log on return, nor an unfinished one. The directory itself goes if it was made here.
    package func abandon() throws(WALError) {
        defer { close() }
        flusher.stop()
        current?.file.close()
        current = nil
        // First, so that nothing that is no longer whole is taken for a log.
        try fileSystem.unlink(paths.control)
        for name in try fileSystem.list(paths.directory)
        where SegmentName(fileName: name) != nil || EpochFile.generation(ofName: name) != nil || name.hasSuffix(".tmp") {
            try fileSystem.unlink(paths.directory + "/" + name)
        }
        for path in [paths.replicaMark, paths.maintenance, paths.lock] { try fileSystem.unlink(path) }
        try fileSystem.syncDirectory(paths.directory)
        if madeDirectory, let removal = fileSystem as? any DirectoryRemoval, try removal.removeDirectory(paths.directory) {
            try fileSystem.syncDirectory(LogPaths.parent(of: paths.directory))
        }
    }
}

extension LogPaths {
    /// In a directory of segments only.
    var replicaMark: String { directory + "/" + ReplicaMark.fileName }
}
