import Synchronization

/// The medium of `FileStore`: one file that grows by windows; its foot lies in the control file.
///
/// The descriptor is opened once, before the first byte, and shared by all windows. It changes when a cut replaces the file.
final class GrowingFile: LogMedium, @unchecked Sendable {
    // `file` is set by `finish` only: while the log opens, before any other thread knows of this object, or while nobody appends, makes windows or
    // flushes.
    /// Bytes by which the file grows.
    static let windowBytes: UInt64 = 1 << 20

    private let paths: LogPaths
    private let path: String
    private let fileSystem: any FileSystem
    private let control: ControlFile
    private var file: any File
    /// The space below was returned since the file was opened. Moved by one truncation at a time.
    private let returnedEnd = Atomic<UInt64>(0)
    /// The kernel reports a lost write once for each descriptor: the first failure of this one is that of every later flush.
    private let flushFailure = Mutex<WALError?>(nil)

    let windowSize = GrowingFile.windowBytes

    init(paths: LogPaths, path: String, fileSystem: any FileSystem, control: ControlFile, writable: Bool) throws(WALError) {
        self.paths = paths
        self.path = path
        self.fileSystem = fileSystem
        self.control = control
        file = try fileSystem.open(path, writable ? .readWrite : .read)
    }

    private var header: SegmentFoot.Header { SegmentFoot.Header(logID: control.identity.logID, index: 0, segmentSize: 0) }

    func windows() throws(WALError) -> [UInt64] {
        let size = try file.status().size
        return Array(0..<(size + windowSize - 1) / windowSize)
    }

    /// One foot, in the control file: it says how far the log was durable even where the file has been cut to nothing.
    func feet(_ indices: [UInt64]) throws(WALError) -> [SegmentFoot] {
        let bytes = try control.file.bytes(at: ControlFile.footOffset, count: SegmentFoot.size)
        do throws(FormatError) {
            return [try SegmentFoot.decode(bytes)]
        } catch {
            throw .corruption(lsn: .zero, reason: "\(paths.control): \(error)")
        }
    }

    func make(_ index: UInt64, _ filling: SegmentFilling, onRelease: @escaping @Sendable (UInt64) -> Void)
        throws(WALError) -> SegmentFile
    {
        // A record that was given up, or a window for which there was no space, may have left bytes.
        try removeWindows(from: index)
        do throws(WALError) {
            try file.allocate(offset: index * windowSize, length: windowSize)
            if filling == .written, let piece = filling.zeroPiece {
                try ZeroFill.write(to: file, index * windowSize..<(index + 1) * windowSize, piece: piece)
            }
        } catch {
            try removeWindows(from: index)
            throw error
        }
        try flush()
        let segment = try map(index, isBare: filling == .bare, onRelease: onRelease)
        if filling != .bare { segment.populate(forWriting: filling.isCached) }
        return segment
    }

    private func flush() throws(WALError) {
        try flushFailure.withLock { failure throws(WALError) in
            if let failure { throw failure }
            do throws(WALError) {
                try file.sync()
            } catch {
                failure = error
                throw error
            }
        }
    }

    func open(_ index: UInt64, onRelease: @escaping @Sendable (UInt64) -> Void) throws(WALError) -> SegmentFile {
        // A cut may have left less than a window.
        if try file.status().size < (index + 1) * windowSize {
            try file.allocate(offset: index * windowSize, length: windowSize)
            try flush()
        }
        return try map(index, isBare: true, onRelease: onRelease)
    }

    private func map(_ index: UInt64, isBare: Bool, onRelease: @escaping @Sendable (UInt64) -> Void) throws(WALError) -> SegmentFile {
        let mapping = try file.map(offset: index * windowSize, length: Int(windowSize), writable: true)
        let foot = FootWriter(file: control.file, offset: ControlFile.footOffset, header: header, keepsFirstFrame: false)
        return SegmentFile(
            index: index, mapping: mapping, foot: foot, isBare: isBare,
            flushBytes: { [self] () throws(WALError) in try flush() }, closeFile: {}, onRelease: onRelease)
    }

    func makeReader(head: @escaping @Sendable () -> LSN) -> any LogBytesReader { Reader(path: path, fileSystem: fileSystem, control: control, head: head) }

    func prepareCut(from start: LSN, to end: LSN, firstFrames: [UInt64: LSN]) throws(WALError) -> PreparedCut {
        let temporary = path + ".tmp"
        do throws(WALError) {
            try fileSystem.unlink(temporary)
            let target = try fileSystem.open(temporary, .createNew)
            defer { target.close() }
            // What lies below the head is not read any more: its space was returned, and is not taken again.
            let first = try control.requireFacts().head.rawValue / windowSize * windowSize
            let behind = (end.rawValue + windowSize - 1) / windowSize * windowSize
            if behind > first { try target.allocate(offset: first, length: behind - first) } else { try target.truncate(to: behind) }
            try FileCopy.copy(from: file, to: target, first..<end.rawValue)
            try target.sync()
        } catch {
            try? fileSystem.unlink(temporary)
            throw error
        }
        return PreparedCut(end: end, windows: Array(0..<(end.rawValue + windowSize - 1) / windowSize))
    }

    func finish(_ cut: PreparedCut) throws(WALError) {
        try fileSystem.rename(path + ".tmp", to: path)
        try fileSystem.syncDirectory(paths.directory)
        file.close()
        file = try fileSystem.open(path, .readWrite)
        try forgetCells(above: cut.end)
    }

    /// The one foot outlives what is cut off: a cell that says how far that was durable would name, once the head has passed the cut and its epoch is
    /// forgotten, an epoch that nobody knows. Until this is done the facts say what is being discarded, so it is done again after a crash.
    private func forgetCells(above end: LSN) throws(WALError) {
        var isChanged = false
        for foot in try feet([]) {
            for case .success(let cell?) in foot.cells where cell.durable > end {
                let place = ControlFile.footOffset + UInt64(SegmentFoot.durableOffset(ofSequence: cell.sequence))
                try control.file.write([UInt8](repeating: 0, count: SegmentFoot.DurableCell.size), at: place)
                isChanged = true
            }
        }
        if isChanged { try control.file.sync() }
    }

    func discard(_ cut: PreparedCut) {
        // Best effort: the next opening removes what is left.
        try? fileSystem.unlink(path + ".tmp")
    }

    /// LSNs are offsets in the one file, so its size stays; the space of whole windows is returned.
    func removeWindows(below head: LSN) throws(WALError) {
        let end = head.rawValue / windowSize * windowSize
        let known = returnedEnd.load(ordering: .relaxed)
        guard end > known else { return }
        do throws(WALError) {
            try file.returnSpace(known..<min(end, max(known, try file.status().size)))
            returnedEnd.store(end, ordering: .relaxed)
        } catch {
            // The space stays taken, and is asked back next time: no reason not to open a log, or to truncate it.
        }
    }

    func removeWindows(from index: UInt64) throws(WALError) {
        if try file.status().size > index * windowSize {
            try file.truncate(to: index * windowSize)
            try flush()
        }
    }

    /// The one foot stays.
    func keep(_ cell: SegmentFoot.DurableCell, below index: UInt64) {}

    func removeLeftovers() throws(WALError) { try fileSystem.unlink(path + ".tmp") }

    private final class Reader: LogBytesReader, @unchecked Sendable {
        // Used by one thread at a time, as LogBytesReader demands.
        private let path: String
        private let fileSystem: any FileSystem
        private let control: ControlFile
        private let head: @Sendable () -> LSN
        private var file: (any File)?

        init(path: String, fileSystem: any FileSystem, control: ControlFile, head: @escaping @Sendable () -> LSN) {
            self.head = head
            self.path = path
            self.fileSystem = fileSystem
            self.control = control
        }

        deinit { file?.close() }

        func read(into buffer: UnsafeMutableRawBufferPointer, at lsn: LSN) throws(WALError) -> Int {
            let file = try openFile()
            let count = unsafe try file.read(into: buffer, at: lsn.rawValue)
            // Asked afterwards: what lies below the head may be a hole by now.
            let head = head()
            if lsn < head { throw .positionLost(head: head) }
            return count
        }

        private func openFile() throws(WALError) -> any File {
            if let file { return file }
            try control.requireStillThere()
            let opened = try fileSystem.open(path, .read)
            file = opened
            return opened
        }

        func firstFrame(inSegment index: UInt64) -> LSN? { nil }
    }
}
