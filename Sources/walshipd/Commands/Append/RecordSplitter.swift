import WAL

/// Finds the records in a stream of bytes that comes in pieces. A value: it is given the bytes that are there and says what they
/// are; somebody else owns them.
struct RecordSplitter {
    enum Step: Equatable {
        /// A record, and where the next one begins.
        case record(Range<Int>, next: Int)
        /// No whole record is there; it needs at least so many bytes from its beginning on.
        case incomplete(atLeast: Int)
        /// The record has so many bytes, or more, and the log takes fewer.
        case tooLong(Int)
        /// At the end of the input: nothing is left.
        case end
        /// At the end of the input: a frame claims more bytes than are there.
        case cut(present: Int, claimed: Int?)
    }

    private static let lengthSize = 4

    let format: RecordFormat
    let maxRecordSize: Int
    /// Bytes of the record at hand that are known to hold no newline.
    private var searched = 0

    init(format: RecordFormat, maxRecordSize: Int) {
        precondition(RecordFormat.readable.contains(format), "a format that records are read in")
        self.format = format
        self.maxRecordSize = maxRecordSize
    }

    /// The record that begins at `start`. `isEnd`: no more bytes follow. When bytes are added after `.incomplete` they may have been
    /// moved, as long as `start` moves with them.
    mutating func next(in bytes: Span<UInt8>, from start: Int, isEnd: Bool) -> Step {
        format == .lines ? nextLine(bytes, start, isEnd) : nextFrame(bytes, start, isEnd)
    }

    private mutating func nextLine(_ bytes: Span<UInt8>, _ start: Int, _ isEnd: Bool) -> Step {
        let newline = bytes.firstIndex(of: UInt8(ascii: "\n"), from: start + searched)
        let end = newline ?? bytes.count
        let count = end - start
        if count > maxRecordSize { return .tooLong(count) }
        if let newline {
            searched = 0
            return .record(start..<newline, next: newline + 1)
        }
        searched = count
        if !isEnd { return .incomplete(atLeast: count + 1) }
        // A last line without its newline is a record.
        searched = 0
        return count == 0 ? .end : .record(start..<end, next: end)
    }

    private func nextFrame(_ bytes: Span<UInt8>, _ start: Int, _ isEnd: Bool) -> Step {
        let present = bytes.count - start
        guard present >= Self.lengthSize else {
            if !isEnd { return .incomplete(atLeast: Self.lengthSize) }
            return present == 0 ? .end : .cut(present: present, claimed: nil)
        }
        var length: UInt32 = 0
        for index in 0..<Self.lengthSize { length |= UInt32(bytes[start + index]) << UInt32(8 * index) }
        // Compared before anything is allocated for it.
        guard length <= maxRecordSize else { return .tooLong(Int(length)) }
        let end = start + Self.lengthSize + Int(length)
        guard end <= bytes.count else {
            if !isEnd { return .incomplete(atLeast: end - start) }
            return .cut(present: present - Self.lengthSize, claimed: Int(length))
        }
        return .record(start + Self.lengthSize..<end, next: end)
    }
}
