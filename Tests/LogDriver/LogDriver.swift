import Foundation
import Synchronization
import WAL

/// A process that has a log, for tests which need one of its own: it reads commands, one a line, and answers each with one line, `ok …` or the error.
///
///     open DIRECTORY SEGMENT-SIZE     append COUNT SIZE     sync     close     count     truncate THOUSANDTHS     state
///     batch COUNT SIZE                so many records that go in together
///     cut                             ends the log after the last record that was appended before the last sync
///     pin THOUSANDTHS     unpin
///     burst THREADS SIZE              appends and syncs until it is killed; prints `ack NUMBER LSN` after each sync that returned
///     storm THREADS SIZE FIRST        all that can be done to a log, until it is killed: see `Storm`
///     watch DIRECTORY                 reads the log of another process and truncates it, until it is killed: see `Watch`
///     run MEGABYTES THREADS           appends so much, truncates behind, says what it took: see `LongRun`
///
/// Record number n is `n` in decimal, a space, and as many `x` as are missing from its size, so that what is found can be told.
@main struct LogDriver {
    private var log: SegmentedLog?
    private var directory = ""
    private var number = 0
    /// The last record of those that are durable, and of all.
    private var synced: LSN?
    private var last: LSN?

    static func main() {
        var driver = LogDriver()
        while let line = readLine() {
            do throws(WALError) {
                say("ok \(try driver.perform(line.split(separator: " ").map(String.init)))")
            } catch {
                say("\(error.kind): \(error)")
            }
        }
    }

    private mutating func perform(_ words: [String]) throws(WALError) -> String {
        let numbers = words.dropFirst().compactMap { Int($0) }
        if words.first == "watch" { Watch.run(words[1]) }
        if words.first == "open" {
            (log, synced, last) = (nil, nil, nil)
            directory = words[1]
            let opened = try SegmentedLog.open(directory: words[1], segmentSize: numbers.last)
            log = opened
            return "\(opened.endLSN)"
        }
        guard let log else { throw .stopped(cause: .closed) }
        switch words.first {
        case "append":
            for _ in 0..<numbers[0] {
                last = try log.append(LogDriver.record(number, size: numbers[1]))
                number += 1
            }
            return "\(number)"
        case "batch":
            var batch = RecordBatch()
            for index in 0..<numbers[0] { batch.append(LogDriver.record(number + index, size: numbers[1])) }
            last = try log.append(batch: batch).last
            number += numbers[0]
            return "\(number)"
        case "sync":
            let durable: LSN = try log.sync()
            synced = last
            return "\(durable)"
        case "cut":
            guard let synced else { throw .encoding(reason: "nothing was synced since the log was opened") }
            try log.truncateAfter(synced)
            last = synced
            return "\(log.endLSN)"
        case "pin":
            let (head, durable) = (log.headLSN.rawValue, log.durableLSN.rawValue)
            try log.pin("driver", at: LSN(head + (durable - head) / 1000 * UInt64(numbers[0])))
            return ""
        case "unpin":
            try log.unpin("driver")
            return ""
        case "close":
            self.log = nil
            try log.close()
            return ""
        case "count":
            var count = 0
            for element in log.iter(upTo: .written) {
                _ = try element.get()
                count += 1
            }
            return "\(count)"
        case "truncate":
            let (head, durable) = (log.headLSN.rawValue, log.durableLSN.rawValue)
            return "\(try log.truncateBefore(LSN(head + (durable - head) / 1000 * UInt64(numbers[0]))))"
        case "state": return "\(log.headLSN) \(log.durableLSN) \(log.endLSN)"
        case "burst": LogDriver.burst(log, threads: numbers[0], size: numbers[1])
        case "storm": Storm(log, first: numbers[2]).run(threads: numbers[0], size: numbers[1])
        case "run": return try LongRun(log, in: directory, bytes: numbers[0] << 20).run(threads: numbers[1])
        default: throw .encoding(reason: "\(words) is no command")
        }
    }

    private static func burst(_ log: SegmentedLog, threads: Int, size: Int) -> Never {
        let next = Counter()
        // Foundation's threads: they block, and nobody waits for them, because this ends with the process.
        for _ in 0..<threads {
            Thread.detachNewThread {
                while true {
                    let number = next.take()
                    guard let lsn = try? log.append(LogDriver.record(number, size: number % 7 * size)), (try? log.sync()) != nil else { return }
                    LogDriver.say("ack \(number) \(lsn)")
                }
            }
        }
        while true { sleep(1) }
    }

    private static func record(_ number: Int, size: Int) -> [UInt8] {
        let text = Array("\(number) ".utf8)
        return text + [UInt8](repeating: UInt8(ascii: "x"), count: max(0, size - text.count))
    }

    /// One write(2) a line.
    static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
}

final class Counter: Sendable {
    private let next: Atomic<Int>
    init(_ first: Int = 0) { next = Atomic(first) }
    func take() -> Int { next.add(1, ordering: .relaxed).oldValue }
}

extension WALError {
    /// The case's name, for whoever reads the line.
    var kind: String {
        switch self {
        case .io: "io"
        case .corruption: "corruption"
        case .locked: "locked"
        case .noSpace: "noSpace"
        case .stopped: "stopped"
        case .encoding: "encoding"
        case .positionLost: "positionLost"
        default: "error"
        }
    }
}
