import TestSupport
@testable import WAL

/// What a log held over two epochs, the second of which begins inside a segment: the raw bytes of the line that goes on, and what the first writer had
/// past the fork.
struct SampleHistory {
    static let segmentSize = 4096

    let logID: LogID
    /// With the second epoch.
    let epochs: EpochTable
    let fork: LSN
    /// Of the line that goes on, from LSN 0.
    let line: [UInt8]
    /// Of the first epoch alone, longer than the fork.
    let parent: [UInt8]
    /// Boundaries between batches of the line, the end included.
    let boundaries: Set<LSN>
    /// The machine with the first writer's log in `/log`, as it was before the fork.
    let machine: SimulatedFileSystem

    init() throws {
        let machine = SimulatedFileSystem()
        let time = SimulatedTimeSource()
        let log = try Self.open("/log", machine, time)
        try Self.fill(log, 0..<24)
        let kept = try log.append([1, 2, 3])
        let fork = log.endLSN
        try Self.fill(log, 24..<34)
        try log.sync()
        parent = try Self.bytes(log)
        try log.close()
        self.machine = machine.kill()
        let again = try Self.open("/log", machine, time)
        try again.truncateAfter(kept)
        try Self.fill(again, 40..<60)
        try again.sync()
        line = try Self.bytes(again)
        logID = again.logID
        epochs = again.epochs
        boundaries = Set(try again.iter().map { try $0.get() }.filter { !$0.continuesBatch }.map(\.endLSN)).union([.zero])
        try again.close()
        self.fork = fork
        precondition(fork.rawValue % 4096 != 0 && epochs.current.start == fork, "a fork inside a segment")
    }

    var firstEpoch: EpochTable { EpochTable([epochs.epochs[0]])! }
    var end: LSN { LSN(UInt64(line.count)) }
    var inherited: [Epoch] { [epochs.current] }

    static func open(_ directory: String, _ machine: any FileSystem, _ time: any TimeSource = SimulatedTimeSource()) throws -> SegmentedLog {
        try SegmentedLog(
            store: SegmentedStore(directory: directory, segmentSize: nil == (try machine.status(directory)) ? segmentSize : nil, fileSystem: machine, time: time),
            configuration: .deterministic)
    }

    /// Single records, batches, and one that is longer than two segments.
    private static func fill(_ log: SegmentedLog, _ numbers: Range<Int>) throws {
        for number in numbers {
            switch number % 6 {
            case 2:
                var batch = RecordBatch()
                for part in 0..<5 { batch.append([UInt8](repeating: UInt8(number), count: 90 * part)) }
                try log.append(batch: batch)
            case 4 where number % 4 == 2: try log.append([UInt8](repeating: UInt8(number), count: 9000))
            default: try log.append([UInt8](repeating: UInt8(number), count: 17 * number % 400))
            }
        }
    }

    private static func bytes(_ log: SegmentedLog) throws -> [UInt8] {
        let reader = log.store.makeReader()
        var bytes = [UInt8](repeating: 0, count: Int(log.endLSN.rawValue))
        let count = try bytes.withUnsafeMutableBytes { try reader.read(into: $0, at: .zero) }
        precondition(count == bytes.count, "all of it was read")
        return bytes
    }

    /// A replica of the line up to `end`, or the boundary before.
    func makeReplica(_ directory: String, _ machine: any FileSystem, upTo end: Int = 0) throws {
        let mark = ReplicaMark(logID: logID, segmentSize: UInt64(Self.segmentSize), head: .zero, end: .everything, synced: .zero)
        let beginning = try ReplicaWriter.begin(
            directory: directory, mark, epochs: UInt64(end) > fork.rawValue ? epochs : firstEpoch, fileSystem: machine,
            time: SimulatedTimeSource(), flushing: .synchronous)
        guard case .writer(let writer) = beginning else { preconditionFailure("nothing was there") }
        try writer.write(Array(line[..<end]))
        _ = try writer.finish()
    }

    /// Applies the line from the replica's position on, in pieces of `size` bytes that end where segments do; a piece never lies on both sides of the fork.
    func grow(_ replica: ReplicaLog, pieces size: Int, _ note: (ReplicaLog) throws -> Void = { _ in }) throws {
        while replica.position < end {
            let from = Int(replica.position.rawValue)
            var to = min(from + size, (from / Self.segmentSize + 1) * Self.segmentSize, line.count)
            if replica.position < fork { to = min(to, Int(fork.rawValue)) }
            try replica.apply(Array(line[from..<to]), at: replica.position)
            try note(replica)
            try replica.takeIn(inherited)
            try note(replica)
        }
    }

    /// The bytes of a log from its head to its durable LSN.
    static func bytes(_ directory: String, _ machine: any FileSystem) throws -> (head: LSN, bytes: [UInt8], epochs: EpochTable) {
        let reader = try LogReader.open(directory: directory, fileSystem: machine, time: SimulatedTimeSource())
        defer { reader.close() }
        let head = try reader.headLSN
        for record in reader.iter() { _ = try record.get() }
        let range = head..<(try reader.durableLSN)
        return (head, range.isEmpty ? [] : try reader.verifiedRange(range).bytes, try reader.epochs)
    }
}
