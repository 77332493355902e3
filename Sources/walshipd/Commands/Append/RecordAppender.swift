import WAL

/// Appends records, makes them durable as often as was asked, and acknowledges them: never before.
struct RecordAppender {
    enum SyncPolicy: String, CaseIterable, Sendable {
        /// After every record.
        case each
        /// After every read of input.
        case batch
        /// When the input ends.
        case end
    }

    /// Bytes of acknowledgements that may wait for a sync: past it, one is made earlier than asked.
    static let waitingAcksMax = 1 << 20

    private let log: SegmentedLog
    private let policy: SyncPolicy
    private let output: Output?
    /// Lines of LSNs that are not durable yet.
    private var waiting: [UInt8] = []
    /// Records appended.
    private(set) var count: UInt64 = 0
    private(set) var last: LSN?

    /// `output` takes the acknowledgements; nil where none are wanted.
    init(log: SegmentedLog, policy: SyncPolicy, output: Output?) {
        self.log = log
        self.policy = policy
        self.output = output
    }

    mutating func append(_ record: Span<UInt8>) throws(WALError) {
        let lsn = try log.append(record.bytes)
        count += 1
        last = lsn
        if output != nil {
            waiting.append(decimal: lsn.rawValue)
            waiting.append(UInt8(ascii: "\n"))
        }
        if policy == .each || waiting.count >= RecordAppender.waitingAcksMax { try settle() }
    }

    /// The input has paused.
    mutating func pause() throws(WALError) {
        if policy == .batch { try settle() }
    }

    /// Makes durable what was appended, then acknowledges it.
    mutating func settle() throws(WALError) {
        try log.sync()
        guard let output, !waiting.isEmpty else { return }
        try output.write(waiting)
        waiting.removeAll(keepingCapacity: true)
    }
}

extension [UInt8] {
    /// Appends the decimal digits of a number, without making a text of it first.
    mutating func append(decimal number: UInt64) {
        let start = count
        var rest = number
        repeat {
            append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        self[start...].reverse()
    }
}
