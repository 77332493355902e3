import Synchronization
import Testing
import TestSupport
@testable import WAL

/// Segments made ahead of their use: who makes which, how many, and what becomes of them.
@Suite struct PreparationTests {
    // MARK: The decisions

    /// All orders of eight calls, each made where it is allowed, against what has to hold after each.
    @Test func everyOrderOfEightCallsKeepsTheInvariant() {
        var orders = 0
        func explore(_ queue: PreparationQueue<UInt64>, next: UInt64, making: UInt64?, isMine: Bool, depth: Int) {
            orders += 1
            #expect(queue.prepared.map(\.index) == Array(next..<next + UInt64(queue.prepared.count)))
            #expect(queue.isMaking == (making != nil))
            #expect(queue.prepared.count <= queue.ahead && queue.ahead <= queue.aheadMax)
            guard depth < 8 else { return }
            if let making {
                for succeeds in [true, false] {
                    var after = queue
                    if isMine {
                        after.made(making, succeeded: succeeds)
                    } else {
                        _ = after.prepared(making, succeeds ? making : nil)
                    }
                    explore(after, next: isMine && succeeds ? next + 1 : next, making: nil, isMine: false, depth: depth + 1)
                }
                if isMine { return }
            }
            var wanting = queue
            wanting.want(from: next)
            if let index = wanting.beginPreparing() {
                #expect(making == nil && index == next + UInt64(queue.prepared.count))
                explore(wanting, next: next, making: index, isMine: false, depth: depth + 1)
            }
            var taking = queue
            switch taking.take(next) {
            case .ready(let segment):
                #expect(segment == next)
                explore(taking, next: next + 1, making: making, isMine: false, depth: depth + 1)
            case .wait:
                #expect(making == next)
                // Whatever comes of it, the waiter is told, once.
                for outcome in [making, nil] {
                    var told = taking
                    let isTold = told.prepared(next, outcome)
                    #expect(isTold)
                    if let index = told.beginPreparing() {
                        let isToldAgain = told.prepared(index, nil)
                        #expect(!isToldAgain)
                    }
                }
            case .make:
                #expect(making == nil && queue.prepared.isEmpty)
                explore(taking, next: next, making: next, isMine: true, depth: depth + 1)
            }
            var withdrawing = queue
            if let gone = withdrawing.withdraw() {
                #expect(making == nil && gone.map(\.index) == queue.prepared.map(\.index))
                let begun = withdrawing.beginPreparing()
                #expect(withdrawing.prepared.isEmpty && begun == nil)
                explore(withdrawing, next: next, making: nil, isMine: false, depth: depth + 1)
            } else {
                guard let making, !isMine else { return #expect(Bool(false), "waits for itself") }
                let isTold = withdrawing.prepared(making, making)
                #expect(isTold)
            }
        }
        explore(PreparationQueue(aheadMax: 2), next: 5, making: nil, isMine: false, depth: 0)
        #expect(orders > 1000)
    }

    @Test func moreAreKeptAheadWhenSomeWereMissedAndFewerWhenNoneWas() {
        var queue = PreparationQueue<UInt64>(aheadMax: 3)
        var index: UInt64 = 0
        for _ in 0..<5 {
            queue.want(from: index)
            guard case .make = queue.take(index) else { return #expect(Bool(false)) }
            queue.made(index, succeeded: true)
            index += 1
        }
        #expect(queue.ahead == 3)
        for _ in 0..<2 * PreparationQueue<UInt64>.calmRunLength {
            queue.want(from: index)
            while let next = queue.beginPreparing() { _ = queue.prepared(next, next) }
            guard case .ready = queue.take(index) else { return #expect(Bool(false)) }
            index += 1
        }
        #expect(queue.ahead == 1)
    }

    @Test func zerosAreWrittenWhereFlushesAreManyAndSmall() {
        var policy = PreparationPolicy()
        #expect(policy.filling == .bulk)
        policy.noteFlush(of: 136)
        #expect(policy.filling == .cached)
        for _ in 0..<PreparationPolicy.flushesMin { policy.noteFlush(of: 136) }
        #expect(policy.filling == .written)
        // A bulk load, of which the log itself makes a few flushes.
        policy.noteFlush(of: 256 << 20)
        #expect(policy.filling == .bulk)
        for _ in 0..<3000 { policy.noteFlush(of: 136) }
        #expect(policy.filling == .written, "what was long ago is forgotten")
        for _ in 0..<1000 { policy.noteFlush(of: PreparationPolicy.bytesPerFlushMax * 2) }
        #expect(policy.filling == .cached)
        policy.noteFlush(of: .max)
        #expect(policy.filling == .bulk)
    }

    @Test func fullSegmentsAreWrittenOutBeforeTheyAreMadeDurable() {
        func full(_ dirty: Range<UInt64>, after clean: Range<UInt64> = 0..<0) -> [SegmentBacklog.Full] {
            clean.map { .init(index: $0, isWrittenOut: true) } + dirty.map { .init(index: $0, isWrittenOut: false) }
        }
        let (dirtyMax, waitingMax) = (UInt64(LogLimits.dirtySegmentsMax), UInt64(LogLimits.waitingSegmentsMax))
        #expect(SegmentBacklog.decide([], segmentSize: 4096) == .leave)
        #expect(SegmentBacklog.decide(full(0..<dirtyMax - 1), segmentSize: 4096) == .leave)
        #expect(SegmentBacklog.decide(full(0..<dirtyMax), segmentSize: 4096) == .writeOut(0))
        #expect(SegmentBacklog.decide(full(3..<3 + dirtyMax, after: 0..<3), segmentSize: 4096) == .writeOut(3))
        #expect(SegmentBacklog.decide(full(waitingMax - 1..<waitingMax, after: 0..<waitingMax - 1), segmentSize: 4096) == .flush(upTo: waitingMax * 4096))
    }

    @Test func theLimitsFitEachOther() {
        #expect(LogLimits.dirtySegmentsMax < LogLimits.waitingSegmentsMax)
        #expect(LogLimits.waitingSegmentsMax < LogLimits.activeSegmentsMax)
        #expect(LogLimits.mappedSegmentsPerRecordMax < LogLimits.activeSegmentsMax)
        // The foot with the last durable cell is among those that opening looks at.
        #expect(FloorEvidence.feetRead >= LogLimits.activeSegmentsMax + LogLimits.preparedSegmentsMax + 2)
        // Control file, lock, maintenance, a directory, a reader, standard streams: 64 descriptors are enough.
        #expect(LogLimits.activeSegmentsMax + LogLimits.preparedSegmentsMax + 12 <= 64)
        #expect(LogLimits.segmentSizeMin / Int(LogLimits.preparationPoint) > 0)
    }

    // MARK: The thread

    @Test func noRequestIsMissedHoweverItFallsBesideGoingToSleep() {
        let helper = HelperThread(name: "test", mode: .background)
        let asked = Atomic(0)
        let done = Atomic(0)
        let told = Parker()
        for _ in 0..<20_000 {
            let number = asked.add(1, ordering: .sequentiallyConsistent).newValue
            helper.ask {
                let seen = asked.load(ordering: .sequentiallyConsistent)
                if done.exchange(seen, ordering: .sequentiallyConsistent) != seen { told.unpark() }
                return false
            }
            while done.load(ordering: .sequentiallyConsistent) < number {
                guard told.park(nanoseconds: 20_000_000_000) else { return #expect(Bool(false), "request \(number) was lost") }
            }
        }
        helper.stop()
        helper.ask { false }
        helper.stop()
    }

    // MARK: The log

    private func log(_ machine: SimulatedFileSystem, _ helpers: HelperMode) throws -> SegmentedLog {
        var fixture = LogFixture(machine)
        fixture.helpers = helpers
        return try fixture.open()
    }

    @Test(arguments: [HelperMode.background, .synchronous, .off])
    func hundredsOfSegmentsNeedFewDescriptorsAndMappings(_ helpers: HelperMode) throws {
        let machine = SimulatedFileSystem()
        let log = try log(machine, helpers)
        let record = sampleRecord(1, count: 4000)
        var last = LSN.zero
        while log.endLSN.rawValue < 400 * 4096 { last = try log.append(record) }
        func isBounded() -> Bool { machine.counters.openFilesPeak < 56 && machine.counters.mappingsPeak <= 2 + LogLimits.activeSegmentsMax + LogLimits.preparedSegmentsMax }
        #expect(isBounded(), "\(machine.counters)")
        try log.sync()
        try log.close()
        #expect(machine.counters.openFiles == 0 && machine.counters.mappings == 0)
        machine.resetCounters()
        let again = try self.log(machine, helpers)
        #expect(try again.records().last?.lsn == last)
        #expect(machine.counters.openFilesPeak < 16 && machine.counters.mappingsPeak < 8, "\(machine.counters)")
        try again.close()
    }

    @Test(arguments: [HelperMode.background, .synchronous, .off])
    func whatWasPreparedAndNotUsedIsGoneAfterCloseAndAfterTheNextOpening(_ helpers: HelperMode) throws {
        let machine = SimulatedFileSystem()
        var log = try log(machine, helpers)
        for number in 0..<50 { try log.append(sampleRecord(number, count: 300)) }
        try log.sync()
        let end = log.endLSN
        let segments = { try machine.list("/log").filter { $0.hasSuffix(".wal") }.count }
        if helpers == .synchronous { #expect(try UInt64(segments()) > end.rawValue / 4096 + 1) }
        let killed = machine.kill()
        try log.close()
        #expect(try UInt64(segments()) == end.rawValue / 4096 + 1)
        log = try self.log(killed, .off)
        #expect(log.endLSN == end)
        #expect(try UInt64(killed.list("/log").filter { $0.hasSuffix(".wal") }.count) == end.rawValue / 4096 + 1)
        try log.close()
    }

    @Test(arguments: [HelperMode.background, .synchronous])
    func noSpaceInTheBackgroundIsMetByTheAppendThatNeedsIt(_ helpers: HelperMode) throws {
        let machine = SimulatedFileSystem()
        let log = try log(machine, helpers)
        var lsns = [try log.append(sampleRecord(0, count: 300))]
        for round in 0..<5 {
            machine.setFreeSpace(0)
            var refusal: WALError?
            for number in 1..<200 where refusal == nil {
                let end = log.endLSN
                do throws(WALError) {
                    lsns.append(try log.append(sampleRecord(number, count: 300)))
                } catch {
                    refusal = error
                    #expect(log.endLSN == end)
                }
            }
            guard case .noSpace = refusal else { return #expect(Bool(false), "round \(round): \(String(describing: refusal))") }
            machine.setFreeSpace(nil)
            for number in 0..<40 { lsns.append(try log.append(sampleRecord(number, count: 300))) }
            try log.sync()
        }
        #expect(try log.records().map(\.lsn) == lsns)
        try log.close()
    }

    @Test func aFailedWriteOutInTheBackgroundIsFinal() throws {
        let machine = SimulatedFileSystem()
        let log = try log(machine, .synchronous)
        try log.append([1])
        try log.sync()
        let durable = log.durableLSN
        // A segment that is being prepared has another name.
        machine.inject(.init(.sync, on: "*.wal", errno: 5))
        var stopped: WALError?
        for number in 0..<2000 where stopped == nil {
            do throws(WALError) { try log.append(sampleRecord(number, count: 1000)) } catch { stopped = error }
        }
        guard case .stopped(.flushFailed) = stopped else { return #expect(Bool(false), "\(String(describing: stopped))") }
        #expect(throws: WALError.self) { try log.sync() }
        #expect(log.durableLSN == durable)
        #expect(throws: WALError.self) { try log.close() }
        #expect(machine.counters.openFiles == 0 && machine.counters.mappings == 0)
    }

    /// Where the log is durable exactly up to a boundary, the note of that lies in the foot of the segment behind it, which is only prepared.
    @Test func aPreparedSegmentIsNotLetGoWhileItsFootIsFlushed() throws {
        let machine = SimulatedFileSystem()
        let log = try log(machine, .synchronous)
        let begun = Parker()
        let mayGoOn = Parker()
        let isFirst = Atomic(true)
        machine.observe { call, path in
            guard call == .sync, path == "/log/" + SegmentName(index: 1).fileName else { return }
            guard isFirst.exchange(false, ordering: .sequentiallyConsistent) else { return }
            begun.unpark()
            _ = mayGoOn.park(nanoseconds: 20_000_000_000)
        }
        try log.append(sampleRecord(1, count: 4088))
        try log.sync()
        // The keeper flushes the note once nothing happens.
        guard begun.park(nanoseconds: 20_000_000_000) else { return #expect(Bool(false), "no note is flushed") }
        let before = machine.counters.openFiles
        let failure = Mutex<WALError?>(nil)
        let isOver = Atomic(false)
        let closer = try NamedThread(name: "closer") {
            do throws(WALError) { try log.close() } catch { failure.withLock { $0 = error } }
            isOver.store(true, ordering: .sequentiallyConsistent)
        }
        // It has to wait: what it does without waiting would be seen here.
        let time = LinuxTimeSource()
        let start = time.monotonic()
        while machine.counters.openFiles >= before, !isOver.load(ordering: .sequentiallyConsistent), time.monotonic() - start < 200_000_000 {
            time.sleep(nanoseconds: 1_000_000)
        }
        #expect(machine.counters.openFiles >= before, "a file was closed while it is flushed")
        mayGoOn.unpark()
        closer.join()
        #expect(failure.withLock { $0 } == nil)
        machine.observe(nil)
        #expect(machine.counters.openFiles == 0 && machine.counters.mappings == 0)
    }

    @Test func largeRecordsTruncationAndClosingAreRightBesideThePreparer() throws {
        for seed in 1...12 as ClosedRange<UInt64> {
            let machine = SimulatedFileSystem()
            var random = SeededGenerator(seed: seed)
            var log = try log(machine, .background)
            var lsns: [LSN] = []
            for step in 0..<150 {
                switch Int.random(in: 0..<12, using: &random) {
                case 0: lsns.append(try log.append(sampleRecord(step, count: Int.random(in: 16_000...60_000, using: &random))))
                case 1: try log.sync()
                case 2 where !lsns.isEmpty:
                    let head = try log.truncateBefore(lsns[Int.random(in: lsns.indices, using: &random)])
                    lsns.removeAll { $0 < head }
                case 4 where !lsns.isEmpty:
                    let last = lsns[Int.random(in: lsns.indices, using: &random)]
                    try log.truncateAfter(last)
                    lsns.removeAll { $0 > last }
                case 3 where step % 5 == 0:
                    try log.close()
                    log = try self.log(machine, .background)
                default: lsns.append(try log.append(sampleRecord(step, count: Int.random(in: 0...3000, using: &random))))
                }
            }
            #expect(try log.records().map(\.lsn) == lsns, "seed \(seed)")
            try log.close()
            #expect(machine.counters.openFiles == 0 && machine.counters.mappings == 0, "seed \(seed)")
        }
    }
}
