import Foundation
import Synchronization
import WAL

/// Threads append records and batches, some larger than a segment, and sync; one more truncates the log at both ends. Until the process is killed.
///
/// What has happened is printed, one line each, so that whoever kills it knows what must be there:
///
///     ack NUMBER LSN EPOCH      the record, or batch, was synced; all of that within one epoch
///     truncating LSN            the head may come to lie there
///     cutting END EPOCH         the log is about to end there, and the epoch to begin
///     refused EPOCH             that has not happened
///     failed ERROR              something that must not be
final class Storm: Sendable {
    private let log: SegmentedLog
    private let numbers: Counter
    /// Where some of the last records are.
    private let recent = Mutex<[LSN]>([])

    init(_ log: SegmentedLog, first: Int) {
        self.log = log
        numbers = Counter(first)
    }

    func run(threads: Int, size: Int) -> Never {
        for _ in 0..<threads {
            // Foundation's threads: they block, and nobody waits for them, because this ends with the process.
            Thread.detachNewThread { [self] in
                do throws(WALError) {
                    while true { try append(numbers.take(), size) }
                } catch {
                    LogDriver.say("failed \(error)")
                }
            }
        }
        do throws(WALError) {
            while true { try truncate() }
        } catch {
            LogDriver.say("failed \(error)")
        }
        while true { sleep(1) }
    }

    private func append(_ number: Int, _ size: Int) throws(WALError) {
        let epoch = log.epochs.current.number
        let lsn: LSN
        switch number % 8 {
        case 0..<5: lsn = try log.append(StormRecord(number: number).bytes(size: number % 7 * size))
        case 5 where number % 1600 == 5:
            // More than a segment holds.
            lsn = try log.append(StormRecord(number: number).bytes(size: log.segmentSize + 1000))
        default:
            let count = 2 + number % 5
            var batch = RecordBatch()
            for index in 0..<count { batch.append(StormRecord(number: number, index: index, count: count).bytes(size: (number + index) % 5 * size)) }
            lsn = try log.append(batch: batch)[0]
        }
        recent.withLock { recent in
            recent.append(lsn)
            if recent.count > 64 { recent.removeFirst(32) }
        }
        guard number % 3 != 0 else { return }
        do throws(WALError) {
            try log.sync()
        } catch .positionLost {
            // The end was cut off meanwhile.
            return
        }
        if log.epochs.current.number == epoch { LogDriver.say("ack \(number) \(lsn) \(epoch)") }
    }

    private func truncate() throws(WALError) {
        usleep(UInt32.random(in: 500...20_000))
        if Int.random(in: 0..<3) > 0 {
            let (head, durable) = (log.headLSN.rawValue, log.durableLSN.rawValue)
            // Keeps a few megabytes, which a slow reader of everything can check.
            let target = LSN(max(head, durable - min(durable, UInt64.random(in: 0...4 << 20))))
            LogDriver.say("truncating \(target)")
            try log.truncateBefore(target)
            return
        }
        guard let lsn = recent.withLock({ $0.randomElement() }), let end = lastOfBatch(lsn) else { return }
        let epoch = log.epochs.current.number + 1
        LogDriver.say("cutting \(end.endLSN) \(epoch)")
        do throws(WALError) {
            try log.truncateAfter(end.lsn)
            recent.withLock { $0 = [] }
        } catch {
            // Held by a slot or a reader, or gone. Everything else is not to be expected.
            switch error {
            case .locked, .positionLost, .encoding: LogDriver.say("refused \(epoch)")
            default: throw error
            }
        }
    }

    /// The last record of the batch at `lsn`, where one is there still.
    private func lastOfBatch(_ lsn: LSN) -> Record? {
        for element in log.iterFrom(lsn, upTo: .written) {
            guard case .success(let record) = element else { return nil }
            if !record.continuesBatch { return record }
        }
        return nil
    }
}
