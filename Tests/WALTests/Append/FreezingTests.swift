import Synchronization
import Testing
import TestSupport
@testable import WAL

/// A tail that is frozen, moved back and given another epoch while threads append and look at the watermark.
@Suite(.serialized) struct FreezingTests {
    private static func checksum(_ epoch: UInt64) -> FrameChecksum {
        FrameChecksum(logID: LogID(high: 1, low: 2), epoch: EpochID(rawValue: epoch))
    }

    /// Frames from `start` on, each of the epoch that it was placed in: what was reserved after a change is never of the one before.
    @Test(arguments: [true, false]) func whatIsPlacedAfterAChangeIsOfTheNewEpoch(_ movesBack: Bool) throws {
        let segmentSize = 1 << 25
        let store = MemoryStore(segmentSize: segmentSize)
        let core = try LogCore(store: store, opening: try store.open(.init()))
        let isOver = Atomic(false)
        let payload = [UInt8](repeating: 9, count: 24)
        _ = try payload.withUnsafeBytes { try core.append($0) }
        let errors = Mutex<[String]>([])
        let appenders = try (0..<2).map { _ in
            try NamedThread(name: "appender") {
                while !isOver.load(ordering: .relaxed) {
                    do { _ = try payload.withUnsafeBytes { try core.append($0) } } catch {
                        errors.withLock { $0.append("\(error)") }
                        return
                    }
                }
            }
        }
        let watcher = try NamedThread(name: "watcher") {
            while !isOver.load(ordering: .relaxed) { _ = core.written() }
        }
        var starts: [(at: LSN, epoch: UInt64)] = []
        for epoch in 1...100 as ClosedRange<UInt64> {
            if core.endLSN.rawValue > UInt64(segmentSize) * 3 / 4 { break }
            let at = try core.withFrozenTail { tail throws(WALError) -> LSN in
                let back = movesBack ? min(tail.end.rawValue - 32, UInt64(32 * (epoch % 5))) : 0
                let end = LSN(tail.end.rawValue - back)
                #expect(core.written() <= tail.end)
                tail.goOn(at: end, with: Self.checksum(epoch))
                return end
            }
            #expect(core.endLSN >= at)
            starts.removeAll { $0.at >= at }
            starts.append((at, epoch))
            var backoff = Backoff()
            while core.endLSN < at.advanced(by: 64) && errors.withLock({ $0.isEmpty }) { backoff.pause() }
        }
        isOver.store(true, ordering: .relaxed)
        appenders.forEach { $0.join() }
        watcher.join()
        #expect(errors.withLock { $0 } == [])
        let end = core.endLSN
        #expect(core.written() == end, "the watermark is neither stuck nor past the end")
        #expect(starts.count > 10)
        // The first frames are of the log's own epoch.
        var position = try #require(starts.first).at.rawValue
        let base = core.active.base(0)
        while position < end.rawValue {
            let epoch = starts.last { $0.at.rawValue <= position }?.epoch ?? 0
            let header = FrameHeader(load: UnsafeRawBufferPointer(start: base + Int(position), count: 8))
            guard header.payloadCount == 24 else {
                Issue.record("no frame at \(position)")
                return
            }
            let bytes = UnsafeRawBufferPointer(start: base + Int(position) + 8, count: 24)
            #expect(Self.checksum(epoch).verifies(header, payload: bytes, lsn: LSN(position)), "epoch \(epoch) at \(position)")
            position += 32
        }
    }

    @Test func aBodyThatThrowsChangesNothingAndAppendsGoOn() throws {
        let store = MemoryStore(segmentSize: 1 << 20)
        let core = try LogCore(store: store, opening: try store.open(.init()))
        let before = core.checksum.state
        _ = try [1, 2, 3].withUnsafeBytes { try core.append($0) }
        let end = core.endLSN
        #expect(throws: WALError.cancelled) {
            try core.withFrozenTail { _ throws(WALError) in throw .cancelled }
        }
        #expect(core.endLSN == end && core.checksum.state == before && core.written() == end)
        let next = try [4].withUnsafeBytes { try core.append($0) }
        #expect(next == end)
        core.closeTail()
        #expect(throws: WALError.self) { try core.withFrozenTail { _ in } }
    }

    /// A process may be given a filter of system calls at any time.
    @Test func aBarrierThatIsNotToBeHadAnyMoreRefusesOrStopsAndTrapsNobody() throws {
        let payload = [UInt8](repeating: 9, count: 24)
        for nth in 1...3 {
            let calls = Atomic(0)
            let store = MemoryStore(segmentSize: 1 << 20)
            let core = try LogCore(
                store: store, opening: try store.open(.init()), barrier: ProcessBarrier { calls.add(1, ordering: .relaxed).newValue == nth ? 1 : 0 })
            _ = try payload.withUnsafeBytes { try core.append($0) }
            let failure = WALError.io(operation: "membarrier", path: "the threads of this process", errno: 1)
            let stopped = WALError.stopped(cause: StopCause(failure))
            if nth == 1 {
                // Before anything was changed.
                #expect(throws: failure) { try core.withFrozenTail { _ in Issue.record("the tail is not frozen") } }
                #expect(!core.isFrozen)
                #expect(try payload.withUnsafeBytes { try core.append($0) } == LSN(32))
                let end = try core.withFrozenTail { $0.end }
                #expect(end == LSN(64))
            } else if nth == 2 {
                // After it.
                try core.withFrozenTail { $0.goOn(at: .zero, with: Self.checksum(2)) }
                #expect(throws: stopped) { try payload.withUnsafeBytes { try core.append($0) } }
                #expect(throws: stopped) { try core.withFrozenTail { _ in } }
                #expect(core.endLSN == .zero && core.written() == .zero && !core.isFrozen)
            } else {
                try core.withFrozenTail { _ in }
                #expect(throws: failure) { try core.withFrozenTail { _ in } }
            }
        }
    }
}
