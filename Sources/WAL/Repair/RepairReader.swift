/// Reads a log's bytes whatever its feet say, with some segments replaced in memory. One thread at a time.
final class RepairReader: LogBytesReader, @unchecked Sendable {
    // Used by one thread at a time, as LogBytesReader demands.
    private let directory: SegmentDirectory
    /// All bytes of each replaced segment.
    private let contents: [UInt64: [UInt8]]
    private var current: (index: UInt64, file: any File)?

    init(directory: SegmentDirectory, contents: [UInt64: [UInt8]] = [:]) {
        self.directory = directory
        self.contents = contents
    }

    deinit { current?.file.close() }

    func read(into buffer: UnsafeMutableRawBufferPointer, at lsn: LSN) throws(WALError) -> Int {
        unsafe try WindowWalk.fill(buffer, at: lsn, windowSize: directory.windowSize) { index, offset, part throws(WALError) in
            if let bytes = contents[index] {
                unsafe bytes.withUnsafeBytes { all in
                    unsafe part.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[Int(offset)..<Int(offset) + part.count]))
                }
                return part.count
            }
            guard let file = try open(index) else { return 0 }
            return unsafe try file.read(into: part, at: offset)
        }
    }

    /// What the feet of intact files say; nothing of the others, nor of those that are replaced.
    func firstFrame(inSegment index: UInt64) throws(WALError) -> LSN? {
        guard contents[index] == nil else { return nil }
        do throws(WALError) {
            guard case .success(let cell) = try directory.foot(index).firstFrame else { return nil }
            return cell?.lsn
        } catch where error.isMissingFile {
            return nil
        } catch .corruption {
            return nil
        }
    }

    private func open(_ index: UInt64) throws(WALError) -> (any File)? {
        if let current, current.index == index { return current.file }
        current?.file.close()
        current = nil
        do throws(WALError) {
            let file = try directory.fileSystem.open(directory.paths.segment(index), .read)
            current = (index, file)
            return file
        } catch where error.isMissingFile {
            return nil
        }
    }
}
