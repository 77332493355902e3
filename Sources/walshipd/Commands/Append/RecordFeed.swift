import WAL

/// Standard input as records: owns the buffer that they are read into and lends each one out.
///
/// Memory: `readSize`, or one record and `readSize` where records are longer.
struct RecordFeed {
    enum Event {
        /// No more whole records lie in what was read: the moment to make them durable, before waiting for more.
        case paused
        case ended
        /// SIGTERM or SIGINT; so many bytes of a record that was not whole are left out.
        case stopped(unfinished: Int)
    }

    /// Bytes of one read: what one sync of `--sync batch` is shared by.
    static let readSize = 4 << 20

    private let input: StandardInput
    private var buffer = [UInt8](repeating: 0, count: RecordFeed.readSize)
    fileprivate var progress: Progress

    /// How far the input has been handed out.
    fileprivate struct Progress {
        var splitter: RecordSplitter
        /// What of the buffer was read and not yet handed out.
        var filled = 0..<0
        var isEnd = false
        /// Which record of the input comes next, from 1.
        var number: UInt64 = 1
    }

    init(input: StandardInput, format: RecordFormat, maxRecordSize: Int) {
        self.input = input
        progress = Progress(splitter: RecordSplitter(format: format, maxRecordSize: maxRecordSize))
    }

    /// What the next record of the input is called, with its number.
    var place: String { progress.place }

    /// Waits for input and hands out the whole records in it. Throws what `take` throws, `place` being the record's; and where the input is not what it
    /// should be, after all that came before was handed out.
    mutating func next(_ take: (Span<UInt8>) throws -> Void) throws -> Event {
        if !progress.isEnd {
            switch try input.read(into: &buffer, from: progress.filled.upperBound) {
            case .bytes(let count): progress.filled = progress.filled.lowerBound..<progress.filled.upperBound + count
            case .end: progress.isEnd = true
            case .stopRequested: return .stopped(unfinished: progress.filled.count)
            }
        }
        // Worked on outside of `self`, which the span borrows as a whole.
        var progress = progress
        defer { self.progress = progress }
        guard let needed = try progress.handOut(buffer.span, take) else { return .ended }
        makeRoom(for: needed, &progress.filled)
        return .paused
    }

    /// Makes it possible to read on: what is left moves to the front, and the buffer grows where a record needs it.
    private mutating func makeRoom(for needed: Int, _ filled: inout Range<Int>) {
        buffer.moveToFront(filled)
        filled = 0..<filled.count
        guard needed > buffer.count || filled.upperBound == buffer.count else { return }
        // Twice the size, so that a long line is not moved for every piece of it; not more than the longest record needs.
        let most = max(needed, progress.splitter.maxRecordSize + RecordFeed.readSize)
        let size = min(max(needed, 2 * buffer.count), most)
        buffer.append(contentsOf: [UInt8](repeating: 0, count: size - buffer.count))
    }
}

extension RecordFeed.Progress {
    fileprivate var place: String { "\(splitter.format == .lines ? "line" : "frame") \(number) of standard input" }

    /// Hands out the whole records; returns how many bytes the one at hand needs at least, nil at the end of the input.
    fileprivate mutating func handOut(_ buffer: Span<UInt8>, _ take: (Span<UInt8>) throws -> Void) throws -> Int? {
        let bytes = buffer.extracting(..<filled.upperBound)
        while true {
            switch splitter.next(in: bytes, from: filled.lowerBound, isEnd: isEnd) {
            case .record(let range, let next):
                try take(bytes.extracting(range))
                number += 1
                filled = next..<filled.upperBound
            case .incomplete(let needed): return needed
            case .end: return nil
            case .tooLong(let count):
                let size = splitter.format == .lines ? "\(count) bytes or more" : "\(count) bytes"
                throw CommandError(
                    .failed, "\(place) has \(size), and this log takes records of at most \(splitter.maxRecordSize); everything before it was appended")
            case .cut(let present, let claimed):
                let what = claimed.map { "it claims \($0) bytes and \(present) are there" } ?? "\(present) of the 4 bytes of its length are there"
                throw CommandError(.failed, "\(place) is cut short: \(what); everything before it was appended")
            }
        }
    }
}
