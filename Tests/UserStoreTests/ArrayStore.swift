import Synchronization
import WAL

/// A store as a user of the library writes one: what is synced is kept in plain arrays, and outlives the log.
final class ArrayStore: LogStore {
    struct State {
        /// What a crash leaves: the synced bytes of each segment, and where its first frame begins.
        var stable: [UInt64: [UInt8]] = [:]
        var firstFrames: [UInt64: LSN] = [:]
        var active: [UInt64: ArraySegment] = [:]
        var head = LSN(0)
        var durable = LSN(0)
        var epochs: EpochTable
        var pins: [String: LSN] = [:]
        var maxRecordSize: Int?
        var isOpen = false
        /// Segments that there is room for.
        var room = Int.max
        var flushesFail = false
    }

    let segmentSize = 4096
    let logID: LogID
    let state: Mutex<State>

    init() {
        var generator = SystemRandomNumberGenerator()
        logID = .random(using: &generator)
        guard let epochs = EpochTable([Epoch(number: 1, id: .random(using: &generator), start: LSN(0))]) else {
            preconditionFailure("one epoch is a history")
        }
        state = Mutex(State(epochs: epochs))
    }

    func open(_ configuration: LogConfiguration) throws(WALError) -> StoreOpening {
        try state.withLock { state throws(WALError) in
            guard !state.isOpen else { throw .locked(holder: "another log over these arrays") }
            let maxRecordSize = try configuration.maxRecordSize(stored: state.maxRecordSize)
            state.maxRecordSize = maxRecordSize
            state.isOpen = true
            state.active = [:]
            let end = state.durable
            let last = reopen(end, &state)
            return StoreOpening(
                logID: logID, epochs: state.epochs, segmentSize: segmentSize, maxRecordSize: maxRecordSize, end: end, lastSegment: last,
                isReplica: false, report: RecoveryReport(floor: end, end: end))
        }
    }

    /// Ends what is kept at `end`, and opens the segment that holds it. What lies above is gone.
    private func reopen(_ end: LSN, _ state: inout State) -> ArraySegment? {
        let (index, used) = end.rawValue.quotientAndRemainder(dividingBy: UInt64(segmentSize))
        state.stable = state.stable.filter { $0.key < index || $0.key == index && used > 0 }
        state.firstFrames = state.firstFrames.filter { $0.value <= end && $0.key <= index }
        guard used > 0, let bytes = state.stable[index] else { return nil }
        let segment = ArraySegment(self, index, Array(bytes.prefix(Int(used))))
        state.active[index] = segment
        return segment
    }

    func makeSegment(_ index: UInt64) throws(WALError) -> any LogSegment {
        try state.withLock { state throws(WALError) in
            guard state.active.count < state.room else { throw .noSpace(path: "the arrays") }
            let segment = ArraySegment(self, index, [])
            state.active[index] = segment
            return segment
        }
    }

    func discardSegments(from index: UInt64) {
        state.withLock { state in
            state.active = state.active.filter { $0.key < index }
            state.stable = state.stable.filter { $0.key < index }
        }
    }

    func makeReader() -> any LogBytesReader { ArrayReader(self) }

    func noteDurable(_ durable: LSN, written: LSN) { state.withLock { $0.durable = durable } }
    func noteIdle() {}
    func noteStopped() {}

    var headLSN: LSN { state.withLock { $0.head } }

    func truncateBefore(_ lsn: LSN, durable: LSN) throws(WALError) -> LSN {
        let (head, held, epochs) = state.withLock { ($0.head, min(lsn, $0.pins.values.min() ?? lsn), $0.epochs) }
        guard held > head else { return head }
        let boundary = try makeReader().boundary(
            atOrBelow: held, head: head, durable: durable, logID: logID, epochs: epochs, segmentSize: segmentSize)
        state.withLock { state in
            state.head = boundary
            state.stable = state.stable.filter { $0.key >= boundary.rawValue / UInt64(segmentSize) }
        }
        return boundary
    }

    func truncateAfter(_ kept: Range<LSN>, letGo: () throws(WALError) -> Void) throws(WALError) -> StoreTruncation {
        try state.withLock { state throws(WALError) in
            guard kept.lowerBound >= state.head else { throw .positionLost(head: state.head) }
            if let pin = state.pins.first(where: { $0.value > kept.upperBound }) { throw .locked(holder: "the pin \(pin.key)") }
        }
        try letGo()
        return state.withLock { state in
            var generator = SystemRandomNumberGenerator()
            state.epochs.begin(Epoch(number: state.epochs.current.number + 1, id: .random(using: &generator), start: kept.upperBound))
            state.durable = kept.upperBound
            return StoreTruncation(epochs: state.epochs, lastSegment: reopen(kept.upperBound, &state))
        }
    }

    func pin(_ name: String, at lsn: LSN, durable: LSN) throws(WALError) {
        try state.withLock { state throws(WALError) in
            guard lsn >= state.head else { throw .positionLost(head: state.head) }
            state.pins[name] = lsn
        }
    }

    func unpin(_ name: String) { state.withLock { $0.pins[name] = nil } }

    func close(durable: LSN, clean: Bool) { state.withLock { $0.isOpen = false } }
}

/// One segment while it is appended to.
final class ArraySegment: LogSegment {
    nonisolated(unsafe) let base: UnsafeMutableRawPointer
    private let store: ArrayStore
    private let index: UInt64

    init(_ store: ArrayStore, _ index: UInt64, _ bytes: [UInt8]) {
        self.store = store
        self.index = index
        base = .allocate(byteCount: store.segmentSize, alignment: 16)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: store.segmentSize)
        bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(start: base, count: store.segmentSize).copyMemory(from: $0) }
    }

    deinit { base.deallocate() }

    func flush() throws(WALError) {
        let bytes = Array(UnsafeRawBufferPointer(start: base, count: store.segmentSize))
        try store.state.withLock { state throws(WALError) in
            if state.flushesFail { throw .io(operation: "flush", path: "the arrays", errno: 5) }
            state.stable[index] = bytes
        }
    }

    func noteFirstFrame(_ lsn: LSN?) { store.state.withLock { $0.firstFrames[index] = lsn } }

    func release() {
        store.state.withLock { state in
            if state.active[index] === self { state.active[index] = nil }
        }
    }
}

/// Reads active segments where they are, and else what was kept of them.
final class ArrayReader: LogBytesReader {
    private let store: ArrayStore
    init(_ store: ArrayStore) { self.store = store }

    func read(into buffer: UnsafeMutableRawBufferPointer, at lsn: LSN) throws(WALError) -> Int {
        var filled = 0
        while filled < buffer.count {
            let (index, offset) = lsn.advanced(by: UInt64(filled)).rawValue.quotientAndRemainder(dividingBy: UInt64(store.segmentSize))
            let count = min(buffer.count - filled, store.segmentSize - Int(offset))
            let target = UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + count])
            let found = try store.state.withLock { state throws(WALError) in
                guard lsn >= state.head else { throw .positionLost(head: state.head) }
                if let segment = state.active[index] {
                    target.copyMemory(from: UnsafeRawBufferPointer(start: segment.base + Int(offset), count: count))
                } else if let bytes = state.stable[index] {
                    target.copyBytes(from: bytes[Int(offset)..<Int(offset) + count])
                } else {
                    return false
                }
                return true
            }
            guard found else { break }
            filled += count
        }
        return filled
    }

    func firstFrame(inSegment index: UInt64) -> LSN? { store.state.withLock { $0.firstFrames[index] } }
}
