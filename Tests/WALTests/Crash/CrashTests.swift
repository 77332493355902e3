import Testing
import TestSupport
import WAL

@Suite(.serialized) struct CrashTests {
    private func replay(_ seed: UInt64) -> Comment { "seed \(seed): swift test --filter 'WALTests.CrashTests' with that seed in the arguments" }

    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func acknowledgedRecordsSurviveACrashAtAnyCall(_ seed: UInt64) throws {
        let (problems, crashes) = try CrashSimulation.run(.init(seed: seed, stride: 7))
        #expect(problems.isEmpty, "\(replay(seed)): \(problems.prefix(3))")
        #expect(crashes > 20)
    }

    @Test(arguments: [11, 12] as [UInt64])
    func acknowledgedRecordsOfAGrowingFileSurviveACrashAtAnyCall(_ seed: UInt64) throws {
        let (problems, crashes) = try CrashSimulation.run(.init(seed: seed, steps: 25, stride: 23, kind: .file))
        #expect(problems.isEmpty, "\(replay(seed)): \(problems.prefix(3))")
        #expect(crashes > 3)
    }

    /// The simulation would notice: a store whose flush does nothing.
    @Test func aStoreThatDoesNotFlushIsCaught() throws {
        let (problems, _) = try CrashSimulation.run(
            .init(
                seed: 1, stride: 7,
                makeStore: { machine, time in
                    AnyStore(
                        ForgetfulStore(
                            SegmentedStore(directory: "/log", segmentSize: 4096, fileSystem: machine, time: time)))
                }))
        #expect(!problems.isEmpty)
    }
}

/// Acknowledges without flushing: the planted bug.
private final class ForgetfulStore: LogStore {
    private let base: SegmentedStore
    init(_ base: SegmentedStore) { self.base = base }

    func open(_ configuration: LogConfiguration) throws(WALError) -> StoreOpening {
        var opening = try base.open(configuration)
        opening.lastSegment = opening.lastSegment.map { Forgetful($0) }
        return opening
    }
    func makeSegment(_ index: UInt64) throws(WALError) -> any LogSegment { Forgetful(try base.makeSegment(index)) }
    func discardSegments(from index: UInt64) throws(WALError) { try base.discardSegments(from: index) }
    func makeReader() -> any LogBytesReader { base.makeReader() }
    func noteDurable(_ durable: LSN, written: LSN) throws(WALError) { try base.noteDurable(durable, written: written) }
    func noteIdle() {}
    func noteStopped() { base.noteStopped() }
    var headLSN: LSN { base.headLSN }
    func truncateBefore(_ lsn: LSN, durable: LSN) throws(WALError) -> LSN { try base.truncateBefore(lsn, durable: durable) }
    func pin(_ name: String, at lsn: LSN, durable: LSN) throws(WALError) { try base.pin(name, at: lsn, durable: durable) }
    func unpin(_ name: String) throws(WALError) { try base.unpin(name) }
    func close(durable: LSN, clean: Bool) throws(WALError) { try base.close(durable: durable, clean: clean) }
}

private final class Forgetful: LogSegment {
    private let segment: any LogSegment
    init(_ segment: any LogSegment) { self.segment = segment }
    var base: UnsafeMutableRawPointer { segment.base }
    func flush() {}
    func noteFirstFrame(_ lsn: LSN?) throws(WALError) { try segment.noteFirstFrame(lsn) }
    func release() throws(WALError) { try segment.release() }
}
