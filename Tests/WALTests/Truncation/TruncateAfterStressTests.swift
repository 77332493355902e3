import Synchronization
import Testing
import TestSupport
import WAL

/// The end of a log is cut off again and again while threads append, commit, read and truncate the beginning, and tasks wait. `make sanitize` runs it
/// under the sanitizers.
@Suite(.serialized) struct TruncateAfterStressTests {
    private struct Appended: Sendable {
        var range: Range<LSN>
        var data: [UInt8]
        /// The current one before and after the append: the record is of it where they are equal.
        var epochs: ClosedRange<UInt64>
        /// A sync that was called after it has returned, before the log was cut again.
        var isAcknowledged: Bool
    }

    private final class Run: Sendable {
        let log: AnyLog
        let problems = Recorder<String>()
        let appended = Recorder<Appended>()
        /// Where the log was cut, with the epoch that began there.
        let cuts = Recorder<(end: LSN, epoch: UInt64)>()
        let waiters = Recorder<Task<Void, any Error>>()
        let isOver = Atomic(false)

        init(_ log: AnyLog) { self.log = log }

        var goesOn: Bool { !isOver.load(ordering: .acquiring) && problems.values.isEmpty }

        func append(_ number: Int, _ random: inout SeededGenerator) throws(WALError) {
            let data = sampleRecord(number, count: number % 40 == 7 ? Int.random(in: 0...30_000, using: &random) : number % 300)
            let before = log.epochs.current.number
            let lsn = try log.append(data)
            var record = Appended(
                range: lsn..<lsn.advanced(by: UInt64(8 + data.count)), data: data, epochs: before...log.epochs.current.number, isAcknowledged: false)
            if Int.random(in: 0..<6, using: &random) == 0 { record.isAcknowledged = try sync() && log.epochs.current.number == before }
            if Int.random(in: 0..<16, using: &random) == 0 && waiters.values.count < 100 {
                let target = record.range.upperBound.advanced(by: UInt64.random(in: 0...3000, using: &random))
                waiters.append(Task { [log] in try await log.waitUntilDurable(target) })
            }
            appended.append(record)
        }

        /// False where what was there at the call was cut off.
        private func sync() throws(WALError) -> Bool {
            do throws(WALError) {
                _ = try log.sync() as LSN
                return true
            } catch {
                guard case .positionLost = error else { throw error }
                return false
            }
        }

        func cut(_ random: inout SeededGenerator) throws {
            var lsns: [LSN] = []
            for element in log.iter(upTo: .written) {
                // The other thread may have truncated the beginning meanwhile.
                guard case .success(let record) = element else { break }
                lsns.append(record.lsn)
                if lsns.count == 1500 { break }
            }
            guard let kept = lsns.randomElement(using: &random) else { return }
            do {
                try log.truncateAfter(kept)
            } catch WALError.positionLost {
                return
            }
            let current = log.epochs.current
            cuts.append((current.start, current.number))
            if current.start <= kept { problems.append("cut after \(kept), the log ends at \(current.start)") }
        }

        /// Records follow one another; whoever was overtaken at either end is told so.
        func read(_ records: RecordSequence) throws {
            var next: LSN?
            for element in records {
                switch element {
                case .success(let record):
                    if let next, next != record.lsn { problems.append("after \(next) comes \(record.lsn)") }
                    next = record.endLSN
                case .failure(.positionLost): return
                case .failure(let error): throw error
                }
            }
        }

        /// Whether it must be there at the end: acknowledged, and above no later cut.
        func mustRemain(_ record: Appended, head: LSN, cuts: [(end: LSN, epoch: UInt64)]) -> Bool {
            record.isAcknowledged && record.epochs.lowerBound == record.epochs.upperBound && record.range.lowerBound >= head
                && cuts.allSatisfy { $0.epoch <= record.epochs.lowerBound || $0.end >= record.range.upperBound }
        }
    }

    @Test(arguments: [StoreKind.memory, .segmentsOnLinux, .segmentsOnSimulation, .fileOnLinux], [UInt64(1), 2])
    func cutsBesideEverythingElseLoseWhatTheyCutAndNothingElse(_ kind: StoreKind, _ seed: UInt64) async throws {
        try await kind.run(segmentSize: 8192) { place async throws in
            let run = Run(try place.open())
            Self.work(run, seed)
            #expect(run.problems.values.isEmpty, "seed \(seed): \(run.problems.values.prefix(3))")
            let cuts = run.cuts.values
            #expect(cuts.count > 10, "\(cuts.count)")
            let (head, end) = (run.log.headLSN, try await run.log.sync())
            let found = try run.log.records()
            try run.log.close()
            for waiter in run.waiters.values {
                // It got there, or its place was cut off, or it waited for what never came.
                do { try await waiter.value } catch WALError.positionLost { continue } catch let error as WALError where error.isStopped { continue }
            }
            let byLSN = Dictionary(grouping: run.appended.values, by: \.range.lowerBound)
            #expect(found.allSatisfy { record in byLSN[record.lsn]?.contains { $0.data == record.data } ?? false }, "seed \(seed)")
            #expect(zip(found, found.dropFirst()).allSatisfy { $0.endLSN == $1.lsn } && found.last?.endLSN ?? head == end)
            let there = Dictionary(uniqueKeysWithValues: found.map { ($0.lsn, $0) })
            let needed = run.appended.values.filter { run.mustRemain($0, head: head, cuts: cuts) }
            #expect(needed.allSatisfy { there[$0.range.lowerBound]?.data == $0.data }, "seed \(seed): an acknowledged record is gone")
            guard kind.survivesTheProcess else { return }
            let again = try place.open(.init(verify: .full))
            #expect(try again.records().map(\.data) == found.map(\.data))
            try again.close()
        }
    }

    private static func work(_ run: Run, _ seed: UInt64) {
        onThreads(5) { thread in
            var random = SeededGenerator(seed: seed &* 1_000_003 &+ UInt64(thread))
            var number = thread * 1_000_000
            do {
                switch thread {
                case 0:
                    defer { run.isOver.store(true, ordering: .releasing) }
                    for _ in 0..<30 where run.goesOn {
                        for _ in 0..<5 {
                            number += 1
                            try run.append(number, &random)
                        }
                        try run.cut(&random)
                    }
                case 1, 2:
                    while run.goesOn && number % 1_000_000 < 4000 {
                        number += 1
                        try run.append(number, &random)
                    }
                case 3:
                    while run.goesOn {
                        try run.read(run.log.iter())
                        try run.read(run.log.iter(upTo: .written))
                    }
                default:
                    while run.goesOn {
                        let head = try run.log.truncateBefore(LSN(run.log.durableLSN.rawValue / 4))
                        if head > run.log.endLSN { run.problems.append("head \(head) above the end") }
                        LinuxTimeSource().sleep(nanoseconds: 1_000_000)
                    }
                }
            } catch { run.problems.append("thread \(thread): \(error)") }
        }
    }
}
