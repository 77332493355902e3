/// Builds a log from archived bytes: a replica, which becomes a log only when `finish` has written its control file.
///
/// Owns one segment file at a time. Bytes come in order, without a gap, each segment synced before the next is begun. Not for two threads at once.
public final class ReplicaWriter {
    private let paths: LogPaths
    private let fileSystem: any FileSystem
    private let time: any TimeSource
    private let logID: LogID
    private let segmentSize: UInt64
    private let start: LSN
    private var position: LSN
    private var current: (index: UInt64, file: any File)?
    /// The directory was not there before.
    private let madeDirectory: Bool
    /// Records of the log that `finish` has made.
    public private(set) var recordCount: UInt64 = 0

    /// Begins a replica in `directory`, which must be missing or empty (its parent exists). `start` is where the archived bytes begin.
    public static func create(directory: String, logID: LogID, segmentSize: Int, start: LSN) throws(WALError) -> ReplicaWriter {
        try create(
            directory: directory, logID: logID, segmentSize: segmentSize, start: start, fileSystem: LinuxFileSystem(),
            time: LinuxTimeSource())
    }

    package static func create(
        directory: String, logID: LogID, segmentSize: Int, start: LSN, fileSystem: any FileSystem, time: any TimeSource
    ) throws(WALError) -> ReplicaWriter {
        guard LogParameters.isValid(segmentSize: segmentSize) else {
            throw .parameterMismatch(
                parameter: "segment size", stored: "a multiple of 4096 from 4096 to 1073741824", requested: "\(segmentSize)")
        }
        let paths = LogPaths(directory: directory)
        let found = try fileSystem.status(paths.directory)
        if let status = found {
            guard status.kind == .directory else { throw .notALog(path: directory, reason: "it is no directory") }
            if let name = try fileSystem.list(paths.directory).sorted().first {
                throw .notALog(path: directory, reason: "it must be empty to be restored into, and holds \(name)")
            }
        } else {
            try fileSystem.makeDirectory(paths.directory)
        }
        // Also where it was there, and empty: its entry may be as new as if it had been made here.
        try fileSystem.syncEntry(ofDirectory: paths.directory)
        return ReplicaWriter(
            paths: paths, fileSystem: fileSystem, time: time, logID: logID, segmentSize: UInt64(segmentSize), start: start,
            madeDirectory: found == nil)
    }

    private init(
        paths: LogPaths, fileSystem: any FileSystem, time: any TimeSource, logID: LogID, segmentSize: UInt64, start: LSN,
        madeDirectory: Bool
    ) {
        self.paths = paths
        self.fileSystem = fileSystem
        self.time = time
        self.logID = logID
        self.segmentSize = segmentSize
        self.start = start
        self.madeDirectory = madeDirectory
        position = start
    }

    deinit { current?.file.close() }

    /// Where the next bytes go.
    public var endLSN: LSN { position }

    /// Writes the log's raw bytes at `lsn`, which is where the bytes before ended. Not durable before the segment is full or `finish` returns.
    public func write(_ bytes: [UInt8], at lsn: LSN) throws(WALError) {
        precondition(lsn == position, "archived bytes are written in order: \(lsn) is not \(position)")
        var offset = 0
        while offset < bytes.count {
            let index = position.rawValue / segmentSize
            let file = try open(index)
            let inSegment = position.rawValue % segmentSize
            let count = min(bytes.count - offset, Int(segmentSize - inSegment))
            unsafe try bytes.withBytes { buffer throws(WALError) in
                try unsafe file.write(UnsafeRawBufferPointer(rebasing: buffer[offset..<offset + count]), at: inSegment)
            }
            offset += count
            position = position.advanced(by: UInt64(count))
        }
    }

    private func open(_ index: UInt64) throws(WALError) -> any File {
        if let current, current.index == index { return current.file }
        try endSegment()
        let file = try fileSystem.open(paths.segment(index), .createNew)
        do throws(WALError) {
            try file.allocate(offset: 0, length: segmentSize + UInt64(SegmentFoot.size))
            let header = SegmentFoot.Header(logID: logID, index: index, segmentSize: segmentSize)
            try file.write(SegmentFoot.encodeFresh(header), at: segmentSize)
        } catch {
            // So that the same bytes can be written when there is space again.
            file.close()
            try? fileSystem.unlink(paths.segment(index))
            throw error
        }
        current = (index, file)
        return file
    }

    private func endSegment() throws(WALError) {
        guard let current else { return }
        try current.file.sync()
        current.file.close()
        self.current = nil
    }

    /// Cuts the log at its last whole record or batch at or below `limit`, verifying every frame, and makes it a log: a replica, durable on return.
    ///
    /// `limit` is an end: what ends past it is left out. `through` is a record's LSN: what begins past it is left out. The log's maximum record size
    /// becomes `maxRecordSize`, or the size of the longest record where that is more. `head` is a record boundary at or above `start`; `epochs` is the history that the archive tells. Throws `.corruption` where a frame below
    /// the end does not verify and is not merely cut short; then the directory is no log.
    /// - Returns: where the log ends.
    public func finish(
        head: LSN, epochs: EpochTable, maxRecordSize: Int = LogLimits.maxRecordSizeDefault, limit: LSN? = nil, through: LSN? = nil
    ) throws(WALError) -> LSN {
        precondition(head >= start, "the head lies in what was written")
        // The segment that a head lies inside of belongs to the log even while it is empty.
        if position == start && start.rawValue % segmentSize != 0 { _ = try open(start.rawValue / segmentSize) }
        try endSegment()
        let directory = SegmentDirectory(paths: paths, fileSystem: fileSystem, logID: logID, windowSize: segmentSize)
        let firstFrames = FirstFrames()
        let verified = try verify(directory, head: head, epochs: epochs, limit: limit, through: through, firstFrames)
        let end = verified.end
        let maxRecordSize = max(maxRecordSize, verified.longest)
        recordCount = verified.count
        // What lies past the end is not part of the log: the copy that recovery makes drops it.
        if position > end {
            let cut = try directory.prepareCut(from: end, to: end, firstFrames: [:])
            try directory.finish(cut)
        }
        try firstFrames.write(directory, upTo: end)
        for path in [paths.lock, paths.maintenance] { try fileSystem.open(path, .createIfAbsent).close() }
        try fileSystem.syncDirectory(paths.directory)
        let identity = IdentityPage(logID: logID, segmentSize: segmentSize, created: time.now())
        // An epoch that begins past the end is not part of this log's history.
        let kept = EpochTable(epochs.epochs.filter { $0.start <= end }) ?? epochs
        let needed = kept.entries(neededFor: head)
        guard needed.count <= FormatLimits.epochsInPlace else {
            throw .encoding(reason: "\(needed.count) epochs above the head, more than \(FormatLimits.epochsInPlace)")
        }
        try ControlFile.create(
            paths, fileSystem, identity: identity,
            facts: Facts(
                generation: 0, logID: logID, head: head, floor: end, maxRecordSize: maxRecordSize, isReplica: true,
                controlInode: 0, epochs: needed))
        return end
    }

    private struct Verified {
        var end: LSN
        var count: UInt64 = 0
        /// Bytes of the longest record.
        var longest = 0
    }

    private func verify(
        _ directory: SegmentDirectory, head: LSN, epochs: EpochTable, limit: LSN?, through: LSN?, _ firstFrames: FirstFrames
    ) throws(WALError) -> Verified {
        let reader = directory.makeReader(head: { head })
        // The archive does not say what the log's own maximum was.
        let cursor = FrameCursor(
            reader: reader, checksums: FrameChecksums(logID: logID, epochs: epochs), maxRecordSize: LogLimits.maxRecordSizeMax,
            position: head, limit: position)
        var verified = Verified(end: head)
        // Records since the last boundary between batches.
        var pending = Verified(end: head)
        while cursor.position < min(limit ?? position, position) {
            switch try cursor.next() {
            case .record(let record):
                firstFrames.note(record.lsn, segmentSize: segmentSize)
                if let limit, record.endLSN > limit { return verified }
                if let through, record.lsn > through { return verified }
                pending = Verified(end: record.endLSN, count: pending.count + 1, longest: max(pending.longest, record.count))
                if !record.continuesBatch { verified = pending }
            case .end, .fault(.beyondEnd): return verified
            case .fault(let fault): throw .corruption(lsn: cursor.position, reason: fault.reason)
            }
        }
        return verified
    }

    /// Removes what was written so far, also after `finish` failed: there is no log on return. The directory itself goes if it was made here.
    public func abandon() throws(WALError) {
        current?.file.close()
        current = nil
        // First, so that nothing that is no longer whole is taken for a log.
        try fileSystem.unlink(paths.control)
        for name in try fileSystem.list(paths.directory)
        where SegmentName(fileName: name) != nil || name.hasSuffix(".tmp") {
            try fileSystem.unlink(paths.directory + "/" + name)
        }
        for path in [paths.lock, paths.maintenance] { try fileSystem.unlink(path) }
        try fileSystem.syncDirectory(paths.directory)
        if madeDirectory, let removal = fileSystem as? any DirectoryRemoval, try removal.removeDirectory(paths.directory) {
            try fileSystem.syncDirectory(LogPaths.parent(of: paths.directory))
        }
    }
}

/// Where the first frame of each segment begins, as it was come across.
final class FirstFrames {
    private var found: [UInt64: LSN] = [:]

    func note(_ lsn: LSN, segmentSize: UInt64) {
        let index = lsn.rawValue / segmentSize
        if found[index] == nil { found[index] = lsn }
    }

    func write(_ directory: SegmentDirectory, upTo end: LSN) throws(WALError) {
        for (index, lsn) in found where lsn < end {
            let segment = try directory.fileSystem.open(directory.paths.segment(index), .readWrite)
            defer { segment.close() }
            let header = SegmentFoot.Header(logID: directory.logID, index: index, segmentSize: directory.windowSize)
            try FootWriter(file: segment, offset: directory.windowSize, header: header, keepsFirstFrame: true).writeFirstFrame(lsn)
            try segment.sync()
        }
    }
}
