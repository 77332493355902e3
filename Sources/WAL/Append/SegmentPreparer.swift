import Synchronization

/// Makes segments before they are needed, so that an append finds the next one ready.
///
/// `take`, `want` and `withdraw` are called by one thread at a time (the holder of `LogCore.allocation`); the store is asked for one segment
/// at a time, by that thread or by the preparer's own. An error in the background is nobody's: the append that needs the segment
/// makes it itself, and meets the error. Owns the prepared segments until they are taken.
final class SegmentPreparer: Sendable {
    private let store: any LogStore
    private let queue: Mutex<PreparationQueue<any LogSegment>>
    private let helper: HelperThread
    /// The holder of the allocation lock waits here for a segment that is being made.
    private let arrival = Parker()

    init(store: any LogStore, segmentSize: UInt64, mode: HelperMode) {
        self.store = store
        let aheadMax = min(LogLimits.preparedSegmentsMax, max(1, LogLimits.preparedBytesMax / Int(segmentSize)))
        queue = Mutex(PreparationQueue(aheadMax: aheadMax))
        helper = HelperThread(name: "wal-preparer", mode: mode)
    }

    /// Segments from `index` on, the first that was not taken, are going to be needed soon.
    func want(from index: UInt64) {
        guard helper.isOn else { return }
        queue.withLock { $0.want(from: index) }
        helper.ask { [self] in prepareNext() }
    }

    /// Segment `index`: prepared, or made now. Waits for one that is being made.
    func take(_ index: UInt64) throws(WALError) -> any LogSegment {
        while true {
            switch queue.withLock({ $0.take(index) }) {
            case .ready(let segment): return segment
            // The preparer tells whoever waits however its attempt ends.
            case .wait: arrival.park()
            case .make:
                do throws(WALError) {
                    let segment = try store.makeSegment(index)
                    queue.withLock { $0.made(index, succeeded: true) }
                    return segment
                } catch {
                    queue.withLock { $0.made(index, succeeded: false) }
                    throw error
                }
            }
        }
    }

    /// Lets go of everything that is prepared, and prepares nothing until it is wanted again. Returns the first index let go of, which is for the
    /// store to discard; nil where there was none. Called between flushes: a note of durability may lie in the foot of a segment that is only prepared.
    @discardableResult
    func withdraw() throws(WALError) -> UInt64? {
        while true {
            guard let prepared = queue.withLock({ $0.withdraw() }) else {
                arrival.park()
                continue
            }
            for entry in prepared { try entry.segment.release() }
            return prepared.first?.index
        }
    }

    /// Ends the preparer's thread. What is prepared stays, to be withdrawn.
    func stop() {
        queue.withLock { $0.stop() }
        helper.stop()
    }

    /// Makes one segment; whether to come back for another.
    private func prepareNext() -> Bool {
        guard let index = queue.withLock({ $0.beginPreparing() }) else { return false }
        var segment: (any LogSegment)?
        // The append that needs this segment asks for it again, and is told.
        do throws(WALError) { segment = try store.prepareSegment(index) } catch {}
        let made = segment
        let isAwaited = queue.withLock { $0.prepared(index, made) }
        if isAwaited { arrival.unpark() }
        return made != nil
    }
}
