/// Reads a log from a boundary to the first thing that is not an intact frame.
struct TailScan: Sendable {
    /// Where the last intact frame without the batch flag ends.
    var end: LSN
    var records: UInt64 = 0
    var stop: TailEvidence.Stop = .endOfData
    var fault: FrameFault?
    var readError: WALError?
    /// Bytes from `end` to the last one that is not zero.
    var strayBytes: UInt64 = 0
    /// The first frame that begins in a window, where the scan came across it.
    var firstFrames: [UInt64: LSN] = [:]

    /// `limit` is where the windows that follow `start` without a gap end.
    static func run(from start: LSN, limit: LSN, source: RecordSource, storageEnd: LSN) -> TailScan {
        var scan = TailScan(end: start)
        do throws(WALError) {
            try scan.walk(from: start, limit: limit, source: source)
            try scan.countStrayBytes(upTo: storageEnd, source: source)
        } catch {
            scan.stop = .readError
            scan.readError = error
        }
        return scan
    }

    private mutating func walk(from start: LSN, limit: LSN, source: RecordSource) throws(WALError) {
        let cursor = FrameCursor(
            reader: try source.makeReader(), checksums: source.checksums, maxRecordSize: source.maxRecordSize,
            position: start, limit: max(start, limit))
        var pending: UInt64 = 0
        var window = start.rawValue / source.segmentSize
        walk: while true {
            let position = cursor.position
            switch try cursor.next() {
            case .record(let record):
                if position.rawValue / source.segmentSize > window || position.rawValue % source.segmentSize == 0 {
                    window = position.rawValue / source.segmentSize
                    firstFrames[window] = position
                }
                pending += 1
                if !record.continuesBatch {
                    records += pending
                    pending = 0
                    end = record.endLSN
                }
            case .end:
                stop = .endOfData
                break walk
            case .fault(let fault):
                self.fault = fault
                stop = fault == .zeros ? .endOfData : .badFrame
                break walk
            }
        }
        if pending > 0 { stop = .incompleteBatch }
        // A frame that begins exactly where the log ends is still to be written, but begins its window all the same.
        let last = end.rawValue / source.segmentSize
        if last > window { firstFrames[last] = end }
        // Frames of a batch that was not completed are cut off.
        firstFrames = firstFrames.filter { $0.value <= end }
    }

    private mutating func countStrayBytes(upTo storageEnd: LSN, source: RecordSource) throws(WALError) {
        let reader = try source.makeReader()
        var buffer = [UInt8](repeating: 0, count: LogLimits.frameReadSize)
        var position = end
        while position < storageEnd {
            let count = Int(min(UInt64(buffer.count), storageEnd.distance(from: position)))
            let got = unsafe try buffer.withMutableBytes { bytes throws(WALError) in
                unsafe try reader.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]), at: position)
            }
            if got == 0 {
                // A window that is missing in between: go on behind it.
                position = LSN((position.rawValue / source.segmentSize + 1) * source.segmentSize)
                continue
            }
            if let last = buffer[..<got].lastNonZero {
                strayBytes = position.advanced(by: UInt64(last + 1)).distance(from: end)
            }
            position = position.advanced(by: UInt64(got))
        }
    }
}

extension ArraySlice<UInt8> {
    /// The index of the last byte that is not zero, from this slice's start.
    fileprivate var lastNonZero: Int? {
        unsafe withUnsafeBytes { bytes in
            var end = bytes.count
            // Words at a time: most of what is read here are zeros.
            while end >= 8 {
                if unsafe bytes.loadUnaligned(fromByteOffset: end - 8, as: UInt64.self) != 0 { break }
                end -= 8
            }
            while end > 0 {
                if unsafe bytes[end - 1] != 0 { return end - 1 }
                end -= 1
            }
            return nil
        }
    }
}
