import Synchronization

/// A log in memory: nothing survives the process; a sync makes nothing durable but keeps its order. For tests and caches.
///
/// Reopening a log over the same store continues it. Any thread.
public final class MemoryStore: LogStore {
    private struct State {
        var segments: [UInt64: MemorySegment] = [:]
        var pins: [String: LSN] = [:]
        var head = LSN.zero
        var durable = LSN.zero
        var isOpen = false
        var maxRecordSize: Int?
        var epochs: EpochTable
    }

    private let logID: LogID
    private let segmentSize: Int
    private let segmentsMax: Int
    private let state: Mutex<State>

    /// `segmentSize` in bytes, a multiple of 4096, at most 1 GiB. The segments together take at most `byteLimit` bytes, at least one segment: appends that
    /// need more throw `.noSpace`, until `truncateBefore` has let go of some. Without it the log grows as long as the process gets memory.
    public init(segmentSize: Int = 1 << 20, byteLimit: Int? = nil) {
        precondition(LogParameters.isValid(segmentSize: segmentSize), "a segment size is a multiple of 4096, 4 KiB to 1 GiB")
        var generator = SystemRandomNumberGenerator()
        logID = .random(using: &generator)
        let epoch = Epoch(number: 1, id: .random(using: &generator), start: .zero)
        guard let epochs = EpochTable([epoch]) else { preconditionFailure("one epoch is a history") }
        state = Mutex(State(epochs: epochs))
        self.segmentSize = segmentSize
        segmentsMax = byteLimit.map { max(1, $0 / segmentSize) } ?? .max
    }

    public func open(_ configuration: LogConfiguration) throws(WALError) -> StoreOpening {
        try state.withLock { state throws(WALError) in
            guard !state.isOpen else { throw .locked(holder: "another log over this store") }
            let maxRecordSize = try configuration.maxRecordSize(stored: state.maxRecordSize)
            state.maxRecordSize = maxRecordSize
            state.isOpen = true
            // What was written but not synced is gone, as it is on a machine that lost its power.
            let end = state.durable
            let last = end.rawValue / UInt64(segmentSize)
            state.segments = state.segments.filter { $0.key <= last }
            if let segment = state.segments[last] { segment.zero(from: Int(end.rawValue % UInt64(segmentSize))) }
            return StoreOpening(
                logID: logID, epochs: state.epochs, segmentSize: segmentSize, maxRecordSize: maxRecordSize,
                end: end, lastSegment: state.segments[last], isReplica: false,
                report: RecoveryReport(floor: end, end: end))
        }
    }

    public func makeSegment(_ index: UInt64) throws(WALError) -> any LogSegment {
        try state.withLock { state throws(WALError) in
            guard state.segments[index] != nil || state.segments.count < segmentsMax else { throw .noSpace(path: "the log in memory") }
            let segment = MemorySegment(size: segmentSize)
            state.segments[index] = segment
            return segment
        }
    }

    /// Of a limited store every segment is for those who need it.
    public func prepareSegment(_ index: UInt64) throws(WALError) -> (any LogSegment)? {
        segmentsMax == .max ? try makeSegment(index) : nil
    }

    public func discardSegments(from index: UInt64) {
        state.withLock { state in state.segments = state.segments.filter { $0.key < index } }
    }

    public func makeReader() -> any LogBytesReader { Reader(store: self) }

    public func noteDurable(_ durable: LSN, written: LSN) { state.withLock { $0.durable = durable } }
    public func noteIdle() {}
    public func noteStopped() {}

    public var headLSN: LSN { state.withLock { $0.head } }

    public func truncateBefore(_ lsn: LSN, durable: LSN) throws(WALError) -> LSN {
        let (head, held, epochs) = state.withLock { state in
            (state.head, min(lsn, state.pins.values.min() ?? lsn), state.epochs)
        }
        guard held > head else { return head }
        let boundary = try makeReader().boundary(
            atOrBelow: held, head: head, durable: durable, logID: logID, epochs: epochs, segmentSize: segmentSize)
        return state.withLock { state in
            state.head = max(state.head, boundary)
            let first = state.head.rawValue / UInt64(segmentSize)
            state.segments = state.segments.filter { $0.key >= first }
            return state.head
        }
    }

    public func truncateAfter(_ kept: Range<LSN>, letGo: () throws(WALError) -> Void) throws(WALError) -> StoreTruncation {
        let end = kept.upperBound
        var generator = SystemRandomNumberGenerator()
        let id = EpochID.random(using: &generator)
        try state.withLock { state throws(WALError) in
            guard kept.lowerBound >= state.head else { throw .positionLost(head: state.head) }
            if let pin = state.pins.first(where: { $0.value > end }) {
                throw .locked(holder: "the pin \(pin.key), which is at LSN \(pin.value)")
            }
        }
        try letGo()
        return state.withLock { state in
            let last = end.rawValue / UInt64(segmentSize)
            let segment = state.segments[last]?.copy(upTo: Int(end.rawValue % UInt64(segmentSize)))
            state.segments = state.segments.filter { $0.key < last }
            // A segment that only begins where the log ends is made when it is needed.
            if end.rawValue % UInt64(segmentSize) != 0 { state.segments[last] = segment }
            state.durable = end
            state.epochs.begin(Epoch(number: state.epochs.current.number + 1, id: id, start: end))
            return StoreTruncation(epochs: state.epochs, lastSegment: state.segments[last])
        }
    }

    public func pin(_ name: String, at lsn: LSN, durable: LSN) throws(WALError) {
        try SlotName.requireUsable(name)
        try state.withLock { state throws(WALError) in
            guard lsn >= state.head else { throw .positionLost(head: state.head) }
            guard lsn <= durable else { throw .pinAboveDurable(lsn, durable) }
            state.pins[name] = lsn
        }
    }

    public func unpin(_ name: String) { state.withLock { $0.pins[name] = nil } }

    public func close(durable: LSN, clean: Bool) { state.withLock { $0.isOpen = false } }

    private final class Reader: LogBytesReader {
        private let store: MemoryStore
        init(store: MemoryStore) { self.store = store }

        func read(into buffer: UnsafeMutableRawBufferPointer, at lsn: LSN) throws(WALError) -> Int {
            let size = UInt64(store.segmentSize)
            return unsafe try WindowWalk.fill(buffer, at: lsn, windowSize: size) { index, offset, part throws(WALError) in
                let (segment, head) = store.state.withLock { ($0.segments[index], $0.head) }
                guard let segment else {
                    if index * size + offset < head.rawValue { throw .positionLost(head: head) }
                    return 0
                }
                // SAFETY: the part lies in one segment; bytes above the written watermark are never interpreted.
                unsafe part.copyMemory(from: UnsafeRawBufferPointer(start: segment.base + Int(offset), count: part.count))
                return part.count
            }
        }

        func firstFrame(inSegment index: UInt64) -> LSN? {
            store.state.withLock { $0.segments[index] }?.firstFrame
        }
    }
}

/// One segment's memory.
@safe private final class MemorySegment: LogSegment {
    // SAFETY: allocated here, freed in deinit; the log gives each appender a range of its own.
    nonisolated(unsafe) let base: UnsafeMutableRawPointer
    private let size: Int
    private let first = Mutex<LSN?>(nil)

    init(size: Int) {
        self.size = size
        unsafe base = .allocate(byteCount: size, alignment: LogLimits.pageSize)
        unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: size)
    }

    deinit { unsafe base.deallocate() }

    var firstFrame: LSN? { first.withLock { $0 } }

    func zero(from offset: Int) {
        unsafe (base + offset).initializeMemory(as: UInt8.self, repeating: 0, count: size - offset)
    }

    /// A new segment with the first `count` bytes: whoever still reads this one is not disturbed.
    func copy(upTo count: Int) -> MemorySegment {
        let copy = MemorySegment(size: size)
        // SAFETY: `count` is less than the size of both.
        unsafe copy.base.copyMemory(from: base, byteCount: count)
        copy.noteFirstFrame(firstFrame)
        return copy
    }

    func flush() {}
    func noteFirstFrame(_ lsn: LSN?) { first.withLock { $0 = lsn } }
    func release() {}
}
