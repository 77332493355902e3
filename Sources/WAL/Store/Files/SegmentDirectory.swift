/// The medium of `SegmentedStore`: one preallocated file per segment, each with its foot.
struct SegmentDirectory: LogMedium {
    let paths: LogPaths
    let fileSystem: any FileSystem
    let logID: LogID
    let windowSize: UInt64
    /// Nil while the log is being made.
    private let control: ControlFile?

    /// The segments of a log that was opened.
    init(paths: LogPaths, fileSystem: any FileSystem, control: ControlFile) {
        self.paths = paths
        self.fileSystem = fileSystem
        logID = control.identity.logID
        windowSize = control.identity.segmentSize
        self.control = control
    }

    /// The segments of a log that has no control file yet.
    init(paths: LogPaths, fileSystem: any FileSystem, logID: LogID, windowSize: UInt64) {
        self.paths = paths
        self.fileSystem = fileSystem
        self.logID = logID
        self.windowSize = windowSize
        control = nil
    }

    /// Throws where the directory is not the one any more that was opened.
    fileprivate func requireStillThere() throws(WALError) { try control?.requireStillThere() }

    private func header(_ index: UInt64) -> SegmentFoot.Header {
        SegmentFoot.Header(logID: logID, index: index, segmentSize: windowSize)
    }

    private func footWriter(_ index: UInt64, _ file: any File) -> FootWriter {
        FootWriter(file: file, offset: windowSize, header: header(index), keepsFirstFrame: true)
    }

    func windows() throws(WALError) -> [UInt64] {
        try fileSystem.list(paths.directory).compactMap { SegmentName(fileName: $0)?.index }.sorted()
    }

    func feet(_ indices: [UInt64]) throws(WALError) -> [SegmentFoot] {
        var feet: [SegmentFoot] = []
        for index in indices { feet.append(try foot(index)) }
        return feet
    }

    /// The foot of one segment; for those who look at a single one.
    func foot(_ index: UInt64) throws(WALError) -> SegmentFoot {
        let file = try fileSystem.open(paths.segment(index), .read)
        defer { file.close() }
        return try foot(index, in: file)
    }

    /// Size, identity and place of a segment file, before any of its bytes is believed.
    private func foot(_ index: UInt64, in file: any File) throws(WALError) -> SegmentFoot {
        let size = try file.status().size
        let expected = windowSize + UInt64(SegmentFoot.size)
        guard size == expected else {
            throw try damage(index, "\(file.path) has \(size) bytes where \(expected) belong")
        }
        let bytes = try file.bytes(at: windowSize, count: SegmentFoot.size)
        let foot: SegmentFoot
        do throws(FormatError) {
            foot = try SegmentFoot.decode(bytes)
        } catch {
            throw try damage(index, "\(file.path): \(error)")
        }
        guard foot.header == header(index) else {
            let what =
                foot.header.logID != logID
                ? "another log (\(foot.header.logID))"
                : "segment \(foot.header.index) of segment size \(foot.header.segmentSize)"
            throw try damage(index, "\(file.path) belongs to \(what)")
        }
        return foot
    }

    /// What is wrong with a segment's file, where it is a file of the log that was opened.
    private func damage(_ index: UInt64, _ reason: String) throws(WALError) -> WALError {
        try requireStillThere()
        return .corruption(lsn: LSN(index * windowSize), reason: reason)
    }

    func make(_ index: UInt64, _ filling: SegmentFilling, onRelease: @escaping @Sendable (UInt64) -> Void)
        throws(WALError) -> SegmentFile
    {
        try makeEmpty(index, zeroPiece: filling == .written ? filling.zeroPiece : nil)
        let file = try fileSystem.open(paths.segment(index), .readWrite)
        do throws(WALError) {
            // Not synced: the flush that writes the records writes these, too, where no record has taken their place.
            if filling.isCached, let piece = filling.zeroPiece { try ZeroFill.write(to: file, 0..<windowSize, piece: piece) }
            let segment = try map(index, file, isBare: filling == .bare, onRelease: onRelease)
            if filling.isPopulated { segment.populate(forWriting: filling.isCached) }
            return segment
        } catch {
            file.close()
            throw error
        }
    }

    /// A segment of zeros, durably: never a part of one, whatever is lost. Replaces one that is there.
    func makeEmpty(_ index: UInt64, zeroPiece: Int? = nil) throws(WALError) {
        try requireStillThere()
        do throws(WALError) {
            try createFresh(temporary(index), index, zeroPiece: zeroPiece)
            try fileSystem.rename(temporary(index), to: paths.segment(index))
            try fileSystem.syncDirectory(paths.directory)
        } catch {
            // Best effort: the next opening removes what is left.
            try? fileSystem.unlink(temporary(index))
            throw error
        }
    }

    /// A file of zeros with its foot, synced; the zeros are on the disk where a piece is given, else space for them is.
    private func createFresh(_ path: String, _ index: UInt64, zeroPiece: Int? = nil) throws(WALError) {
        try fileSystem.unlink(path)
        let file = try fileSystem.open(path, .createNew)
        defer { file.close() }
        try file.allocate(offset: 0, length: windowSize + UInt64(SegmentFoot.size))
        if let zeroPiece { try ZeroFill.write(to: file, 0..<windowSize, piece: zeroPiece) }
        try file.write(SegmentFoot.encodeFresh(header(index)), at: windowSize)
        try file.sync()
    }

    func open(_ index: UInt64, onRelease: @escaping @Sendable (UInt64) -> Void) throws(WALError) -> SegmentFile {
        let file = try fileSystem.open(paths.segment(index), .readWrite)
        do throws(WALError) {
            // How it was made is not known.
            return try map(index, file, isBare: true, onRelease: onRelease)
        } catch {
            file.close()
            throw error
        }
    }

    private func map(_ index: UInt64, _ file: any File, isBare: Bool, onRelease: @escaping @Sendable (UInt64) -> Void)
        throws(WALError) -> SegmentFile
    {
        let mapping = try file.map(offset: 0, length: Int(windowSize), writable: true)
        return SegmentFile(
            index: index, mapping: mapping, foot: footWriter(index, file), isBare: isBare,
            flushBytes: { () throws(WALError) in try file.sync() }, closeFile: { file.close() }, onRelease: onRelease)
    }

    func makeReader(head: @escaping @Sendable () -> LSN) -> any LogBytesReader {
        SegmentReader(directory: self, head: head)
    }

    /// Opens a segment for reading, its foot checked; nil where the file is not there.
    fileprivate func openForReading(_ index: UInt64) throws(WALError) -> (any File, SegmentFoot)? {
        let file: any File
        do throws(WALError) {
            file = try fileSystem.open(paths.segment(index), .read)
        } catch where error.isMissingFile {
            return nil
        }
        do throws(WALError) {
            return (file, try foot(index, in: file))
        } catch {
            file.close()
            throw error
        }
    }

    func prepareCut(from start: LSN, to end: LSN, firstFrames: [UInt64: LSN]) throws(WALError) -> PreparedCut {
        precondition(start <= end, "what is kept ends where it begins, or after")
        let first = start.rawValue / windowSize
        let behind = max(first, (end.rawValue + windowSize - 1) / windowSize)
        let windows = Array(first..<behind)
        do throws(WALError) {
            for index in windows {
                let keep = min(windowSize, end.rawValue - index * windowSize)
                try copy(index, upTo: keep, firstFrame: firstFrames[index])
            }
        } catch {
            discard(PreparedCut(end: end, windows: windows))
            throw error
        }
        return PreparedCut(end: end, windows: windows)
    }

    func discard(_ cut: PreparedCut) {
        // Best effort: the next opening removes what is left.
        for index in cut.windows { try? fileSystem.unlink(temporary(index)) }
    }

    private func temporary(_ index: UInt64) -> String { paths.segment(index) + ".tmp" }

    /// A synced copy of a segment's first bytes, under a temporary name.
    private func copy(_ index: UInt64, upTo count: UInt64, firstFrame: LSN?) throws(WALError) {
        try createFresh(temporary(index), index)
        let source = try fileSystem.open(paths.segment(index), .read)
        defer { source.close() }
        let target = try fileSystem.open(temporary(index), .readWrite)
        defer { target.close() }
        try FileCopy.copy(from: source, to: target, 0..<count)
        // Where the first frame begins was said in the old foot, or has just been read.
        let known = firstFrame.map { SegmentFoot.FirstFrameCell(lsn: $0) }
        if let cell = known ?? (try? foot(index, in: source).firstFrame.get()) {
            try footWriter(index, target).writeFirstFrame(cell.lsn)
        }
        try target.sync()
    }

    func finish(_ cut: PreparedCut) throws(WALError) {
        try requireStillThere()
        try removeWindows(from: (cut.end.rawValue + windowSize - 1) / windowSize)
        for index in cut.windows { try fileSystem.rename(temporary(index), to: paths.segment(index)) }
        if !cut.windows.isEmpty { try fileSystem.syncDirectory(paths.directory) }
        try TimeIndexWriter.cut(paths, fileSystem, logID: logID, windowSize: windowSize, to: cut.end)
    }

    func removeWindows(below head: LSN) throws(WALError) {
        try remove(try windows().filter { ($0 + 1) * windowSize <= head.rawValue })
    }

    func removeWindows(from index: UInt64) throws(WALError) {
        try remove(try windows().filter { $0 >= index }.reversed())
    }

    /// Through a descriptor of its own, because the segment may be closed. Where there is none, the log begins at `index`: the facts say that.
    func keep(_ cell: SegmentFoot.DurableCell, below index: UInt64) throws(WALError) {
        precondition(cell.durable.rawValue <= index * windowSize, "what is removed holds nothing durable")
        try requireStillThere()
        guard index > 0 else { return }
        let file: any File
        do throws(WALError) { file = try fileSystem.open(paths.segment(index - 1), .readWrite) } catch where error.isMissingFile { return }
        defer { file.close() }
        let foot = footWriter(index - 1, file)
        try foot.writeCell(cell)
        try foot.sync()
    }

    private func remove(_ indices: [UInt64]) throws(WALError) {
        if !indices.isEmpty { try requireStillThere() }
        for index in indices {
            try fileSystem.unlink(paths.segment(index))
            try fileSystem.unlink(paths.times(index))
        }
        if !indices.isEmpty { try fileSystem.syncDirectory(paths.directory) }
    }

    func removeLeftovers() throws(WALError) {
        for name in try fileSystem.list(paths.directory) where name.hasSuffix(".tmp") {
            try fileSystem.unlink(paths.directory + "/" + name)
        }
    }
}

/// Reads across segment files, with at most one descriptor open.
final class SegmentReader: LogBytesReader, @unchecked Sendable {
    // Used by one thread at a time, as LogBytesReader demands.
    private let directory: SegmentDirectory
    private let head: @Sendable () -> LSN
    private var current: (index: UInt64, file: any File, foot: SegmentFoot)?

    init(directory: SegmentDirectory, head: @escaping @Sendable () -> LSN) {
        self.directory = directory
        self.head = head
    }

    deinit { current?.file.close() }

    func read(into buffer: UnsafeMutableRawBufferPointer, at lsn: LSN) throws(WALError) -> Int {
        unsafe try WindowWalk.fill(buffer, at: lsn, windowSize: directory.windowSize) { index, offset, part throws(WALError) in
            if let file = try open(index)?.file { return unsafe try file.read(into: part, at: offset) }
            let head = head()
            if index * directory.windowSize + offset < head.rawValue { throw .positionLost(head: head) }
            try directory.requireStillThere()
            return 0
        }
    }

    func firstFrame(inSegment index: UInt64) throws(WALError) -> LSN? {
        guard let foot = try open(index)?.foot, case .success(let cell) = foot.firstFrame else { return nil }
        return cell?.lsn
    }

    /// Descriptors may be stale: whoever reads beside a writer looks at the incarnation.
    func forget() {
        current?.file.close()
        current = nil
    }

    private func open(_ index: UInt64) throws(WALError) -> (file: any File, foot: SegmentFoot)? {
        if let current, current.index == index { return (current.file, current.foot) }
        forget()
        guard let (file, foot) = try directory.openForReading(index) else { return nil }
        current = (index, file, foot)
        return (file, foot)
    }
}

/// Reads of a log's bytes that go from window to window.
enum WindowWalk {
    /// Fills `buffer` with the bytes from `lsn` on: `read` is asked for the part in each window and says how much of it there was. Ends where that is
    /// less than all. Returns how much was filled.
    static func fill(
        _ buffer: UnsafeMutableRawBufferPointer, at lsn: LSN, windowSize: UInt64,
        _ read: (_ index: UInt64, _ offset: UInt64, _ part: UnsafeMutableRawBufferPointer) throws(WALError) -> Int
    ) throws(WALError) -> Int {
        var filled = 0
        while filled < buffer.count {
            let position = lsn.rawValue + UInt64(filled)
            let offset = position % windowSize
            let count = min(buffer.count - filled, Int(windowSize - offset))
            // SAFETY: a part of the caller's buffer, which lives through the call.
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + count])
            let got = unsafe try read(position / windowSize, offset, part)
            filled += got
            if got < count { break }
        }
        return filled
    }
}

enum ZeroFill {
    /// Writes zeros in pieces of that many bytes.
    static func write(to file: any File, _ range: Range<UInt64>, piece: Int) throws(WALError) {
        let zeros = [UInt8](repeating: 0, count: min(piece, Int(range.upperBound - range.lowerBound)))
        var position = range.lowerBound
        while position < range.upperBound {
            let count = Int(min(UInt64(zeros.count), range.upperBound - position))
            unsafe try zeros.withBytes { bytes throws(WALError) in
                unsafe try file.write(UnsafeRawBufferPointer(rebasing: bytes[..<count]), at: position)
            }
            position += UInt64(count)
        }
    }
}

enum FileCopy {
    /// Copies a range of bytes to the same place of another file.
    static func copy(from source: any File, to target: any File, _ range: Range<UInt64>) throws(WALError) {
        var buffer = [UInt8](repeating: 0, count: LogLimits.readSize)
        var position = range.lowerBound
        while position < range.upperBound {
            let count = Int(min(UInt64(buffer.count), range.upperBound - position))
            let got = unsafe try buffer.withMutableBytes { bytes throws(WALError) in
                unsafe try source.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]), at: position)
            }
            guard got == count else {
                throw .io(operation: "pread", path: source.path, errno: 5)
            }
            unsafe try buffer.withBytes { bytes throws(WALError) in
                unsafe try target.write(UnsafeRawBufferPointer(rebasing: bytes[..<count]), at: position)
            }
            position += UInt64(count)
        }
    }
}
