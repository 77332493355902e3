import WAL

/// Where the program writes: data to `standard`, words to `error`. Unbuffered: what was written is out when the call returns.
///
/// Short writes are completed. When the reader of a pipe has gone, `write` throws a `WALError` with `isBrokenPipe`, which ends
/// a command quietly.
struct Output: Sendable {
    static let standard = Output(stream: .output)
    static let error = Output(stream: .error)

    private let stream: StandardStream?
    private let pipe: OutputPipe?

    private init(stream: StandardStream) {
        self.stream = stream
        pipe = nil
    }

    /// The standard input of another program, at the other end of a descriptor.
    init(to descriptor: Int32, of command: String) {
        stream = nil
        pipe = OutputPipe(descriptor: descriptor, name: "the standard input of \(command)")
    }

    /// Somebody watches: the only place for progress.
    var isTerminal: Bool { stream?.isTerminal ?? false }

    /// Characters in a line of it, where that is known.
    var columns: Int? { stream?.columns }

    func write(_ bytes: [UInt8]) throws(WALError) { try write(bytes.span) }

    func write(_ bytes: Span<UInt8>) throws(WALError) {
        try stream?.write(bytes)
        try pipe?.write(bytes)
    }

    /// The text and a newline in one write, so that lines of several writers do not mix.
    func write(line: String) throws(WALError) {
        try write(Array(line.utf8) + [UInt8(ascii: "\n")])
    }
}
