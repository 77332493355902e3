@testable import LogDriver
import WAL

/// What a storm has said, and whether what is found afterwards keeps it.
struct StormLedger {
    private struct Acknowledged {
        var number: Int
        var epoch: UInt64
    }
    private var acknowledged: [UInt64: Acknowledged] = [:]
    /// The ends of epochs before, by the number of the epoch that begins there.
    private var cuts: [UInt64: UInt64] = [:]
    private var headMax: UInt64 = 0
    private(set) var failures: [String] = []
    private(set) var acknowledgements = 0
    private(set) var cutCount = 0

    mutating func note(_ lines: some Sequence<String>) {
        for line in lines {
            let words = line.split(separator: " ")
            let numbers = words.compactMap { UInt64($0) }
            switch (words.first, numbers.count) {
            case ("ack", 3):
                acknowledgements += 1
                // Threads print in any order: of two at one place the later epoch's is there.
                let known = acknowledged[numbers[1]]?.epoch ?? 0
                if numbers[2] >= known { acknowledged[numbers[1]] = Acknowledged(number: Int(numbers[0]), epoch: numbers[2]) }
            case ("truncating", 1): headMax = max(headMax, numbers[0])
            case ("cutting", 2): cuts[numbers[1]] = numbers[0]
            case ("refused", 1): cuts[numbers[0]] = nil
            case ("read", 1), ("ok", _): continue
            default: failures.append(line)
            }
        }
    }

    /// What is wrong with the log as somebody has opened it.
    mutating func problems(with records: RecordSequence, head: LSN, epochs: EpochTable) throws -> [String] {
        var problems: [String] = []
        for (number, end) in cuts.sorted(by: { $0.key < $1.key }) {
            guard number <= epochs.current.number else { continue }
            cutCount += 1
            if let epoch = epochs.epochs.first(where: { $0.number == number }), epoch.start.rawValue != end {
                problems.append("epoch \(number) begins at \(epoch.start), the log was to be cut at \(end)")
            }
            acknowledged = acknowledged.filter { $0.value.epoch >= number || $0.key < end }
        }
        // One that was about to begin when the process was killed did not.
        cuts = [:]
        if head.rawValue > headMax { problems.append("the head \(head) is above \(headMax), which nobody asked for") }
        acknowledged = acknowledged.filter { $0.key >= head.rawValue }
        var missing = acknowledged
        var last: StormRecord?
        for element in records {
            let record = try element.get()
            if let problem = StormRecord.problem(record, after: &last) { problems.append(problem) }
            guard let expected = missing.removeValue(forKey: record.lsn.rawValue), let last else { continue }
            if last.number != expected.number || last.index != 0 { problems.append("\(last) at \(record.lsn), \(expected.number) was acknowledged there") }
        }
        if let last, last.index + 1 < last.count { problems.append("the log ends inside of a batch, with \(last)") }
        if let (lsn, gone) = missing.min(by: { $0.key < $1.key }) { problems.append("\(missing.count) are gone, the first of them \(gone) at \(lsn)") }
        return problems
    }
}
