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
        if let status = try fileSystem.status(paths.directory) {
            guard status.kind == .directory else { throw .notALog(path: directory, reason: "it is no directory") }
            if let name = try fileSystem.list(paths.directory).sorted().first {
                throw .notALog(path: directory, reason: "it must be empty to be restored into, and holds \(name)")
            }
        } else {
            try fileSystem.makeDirectory(paths.directory)
            try fileSystem.syncDirectory(LogPaths.parent(of: paths.directory))
        }
        return ReplicaWriter(
            paths: paths, fileSystem: fileSystem, time: time, logID: logID, segmentSize: UInt64(segmentSize), start: start)
    }

    private init(
        paths: LogPaths, fileSystem: any FileSystem, time: any TimeSource, logID: LogID, segmentSize: UInt64, start: LSN
    ) {
        self.paths = paths
        self.fileSystem = fileSystem
        self.time = time
        self.logID = logID
        self.segmentSize = segmentSize
        self.start = start
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
        current = (index, file)
        try file.allocate(offset: 0, length: segmentSize + UInt64(SegmentFoot.size))
        let header = SegmentFoot.Header(logID: logID, index: index, segmentSize: segmentSize)
        try file.write(SegmentFoot.encodeFresh(header), at: segmentSize)
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
    /// `head` is a record boundary at or above `start`; `epochs` is the history that the archive tells. Throws `.corruption` where a frame below
    /// the end does not verify and is not merely cut short; then the directory is no log.
    /// - Returns: where the log ends.
    public func finish(
        head: LSN, epochs: EpochTable, maxRecordSize: Int = LogLimits.maxRecordSizeDefault, limit: LSN? = nil
    ) throws(WALError) -> LSN {
        precondition(head >= start, "the head lies in what was written")
        try endSegment()
        let directory = SegmentDirectory(paths: paths, fileSystem: fileSystem, logID: logID, windowSize: segmentSize)
        let firstFrames = FirstFrames()
        let end = try verify(directory, head: head, epochs: epochs, limit: limit, maxRecordSize: maxRecordSize, firstFrames)
        // What lies past the end is not part of the log: the copy that recovery makes drops it.
        if position > end {
            let cut = try directory.prepareCut(from: end, to: end, firstFrames: [:])
            try directory.finish(cut)
        }
        try firstFrames.write(directory, upTo: end)
        try fileSystem.syncDirectory(paths.directory)
        let identity = IdentityPage(logID: logID, segmentSize: segmentSize, created: time.now())
        let needed = epochs.entries(neededFor: head)
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

    private func verify(
        _ directory: SegmentDirectory, head: LSN, epochs: EpochTable, limit: LSN?, maxRecordSize: Int, _ firstFrames: FirstFrames
    ) throws(WALError) -> LSN {
        let reader = directory.makeReader(head: { head })
        let cursor = FrameCursor(
            reader: reader, checksums: FrameChecksums(logID: logID, epochs: epochs), maxRecordSize: maxRecordSize,
            position: head, limit: position)
        var end = head
        while cursor.position < min(limit ?? position, position) {
            switch try cursor.next() {
            case .record(let record):
                firstFrames.note(record.lsn, segmentSize: segmentSize)
                if let limit, record.endLSN > limit { return end }
                if !record.continuesBatch { end = record.endLSN }
            case .end, .fault(.beyondEnd): return end
            case .fault(let fault): throw .corruption(lsn: cursor.position, reason: fault.reason)
            }
        }
        return end
    }

    /// Removes what was written so far. The directory itself stays.
    public func abandon() throws(WALError) {
        current?.file.close()
        current = nil
        for name in try fileSystem.list(paths.directory)
        where SegmentName(fileName: name) != nil || name.hasSuffix(".tmp") {
            try fileSystem.unlink(paths.directory + "/" + name)
        }
        try fileSystem.syncDirectory(paths.directory)
    }
}

/// Where the first frame of each segment begins, as it was come across.
private final class FirstFrames {
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
