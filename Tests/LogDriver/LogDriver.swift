import Foundation
import Synchronization
import WAL

/// A process that has a log, for tests which need one of its own: it reads commands, one a line, and answers each with one line, `ok …` or the error.
///
///     open DIRECTORY SEGMENT-SIZE     append COUNT SIZE     sync     close     count     truncate THOUSANDTHS     state
///     burst THREADS SIZE              appends and syncs until it is killed; prints `ack NUMBER LSN` after each sync that returned
///
/// Record number n is `n` in decimal, a space, and as many `x` as are missing from its size, so that what is found can be told.
@main struct LogDriver {
    private var log: SegmentedLog?
    private var number = 0

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
        if words.first == "open" {
            log = nil
            let opened = try SegmentedLog.open(directory: words[1], segmentSize: numbers.last)
            log = opened
            return "\(opened.endLSN)"
        }
        guard let log else { throw .stopped(cause: .closed) }
        switch words.first {
        case "append":
            for _ in 0..<numbers[0] {
                try log.append(LogDriver.record(number, size: numbers[1]))
                number += 1
            }
            return "\(number)"
        case "sync": return "\(try log.sync() as LSN)"
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
    private static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
}

private final class Counter: Sendable {
    private let next = Atomic(0)
    func take() -> Int { next.add(1, ordering: .relaxed).oldValue }
}

extension WALError {
    /// The case's name, for whoever reads the line.
    fileprivate var kind: String {
        switch self {
        case .io: "io"
        case .corruption: "corruption"
        case .locked: "locked"
        case .noSpace: "noSpace"
        case .stopped: "stopped"
        default: "error"
        }
    }
}
