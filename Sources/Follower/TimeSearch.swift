public import Archive
import WAL

/// Finds what was durable at a time among objects whose times are not known yet, as a value without any I/O: it says whose times it wants to know next.
///
/// Asks for a number of objects that grows with the logarithm of how many there are. Times ascend unless a clock was set back, which makes those times ambiguous that are less before
/// the step than it went back. So around a place that is found it looks at distances that grow by half: as long as the log grew at a steady pace, two of
/// these have the step between them and are less apart than it, so that their times descend; then the step is searched for, too.
struct TimeSearch {
    let time: UInt64
    private let count: Int
    /// What is known of each object that was asked: ascending by LSN.
    private var known: [Int: [ObjectMetadata.CommitTime]] = [:]
    /// When the whole was known to be durable up to its end, after everything that the objects say.
    private let last: ObjectMetadata.CommitTime?
    /// Objects to look at, to the sides of a place that was found.
    private var outlook: [Int]?
    private var extraProbes = 0

    /// Of `count` objects; `last` is what a head document says.
    init(time: UInt64, count: Int, last: ObjectMetadata.CommitTime?) {
        self.time = time
        self.count = count
        self.last = last
    }

    enum Result: Hashable, Sendable {
        /// Everything below was durable at the time.
        case found(LSN)
        /// The clock was set back: more than once the log was at this time.
        case ambiguous([ObjectMetadata.CommitTime])
        /// The first time that is known is later.
        case tooEarly(first: ObjectMetadata.CommitTime?)
        /// The last one that is known is earlier.
        case tooLate(last: ObjectMetadata.CommitTime)
    }

    /// The object whose times are to be told next; nil: the result is there.
    mutating func next() -> Int? {
        guard count > 0 else { return nil }
        if let edge = firstUnknown(in: 0..<count) ?? lastUnknown(in: 0..<count) { return edge }
        if let inside = nextInside() { return inside }
        if outlook == nil { outlook = places() }
        while let index = outlook?.popLast() {
            guard known[index] == nil, extraProbes < RestoreLimits.timeProbesMax else { continue }
            extraProbes += 1
            return index
        }
        return nil
    }

    mutating func know(_ index: Int, _ times: [ObjectMetadata.CommitTime]) {
        known[index] = times
    }

    /// The first object that has times is looked for from the front, unless it is known.
    private func firstUnknown(in range: Range<Int>) -> Int? {
        for index in range {
            guard let times = known[index] else { return index }
            if !times.isEmpty { return nil }
        }
        return nil
    }

    private func lastUnknown(in range: Range<Int>) -> Int? {
        for index in range.reversed() {
            guard let times = known[index] else { return index }
            if !times.isEmpty { return nil }
        }
        return nil
    }

    /// In the middle between two objects of which one is before the time and the other after it, or between which the clock was set back, until they
    /// are neighbours.
    private func nextInside() -> Int? {
        let marks = known.filter { !$0.value.isEmpty }.keys.sorted()
        for (left, right) in zip(marks, marks.dropFirst()) where right - left > 1 {
            guard let before = known[left]?.last?.time, let after = known[right]?.first?.time else { continue }
            guard (before <= time) != (after <= time) || before > after else { continue }
            let middle = left + (right - left) / 2
            // Objects without any times tell nothing: the nearest one that is not known.
            for distance in 0..<(right - left) {
                for index in [middle + distance, middle - distance] where index > left && index < right && known[index] == nil { return index }
            }
        }
        return nil
    }

    /// To both sides of each place that was found, at distances that grow by half each.
    private func places() -> [Int] {
        var indices: [Int] = []
        // Where nothing was found, a step of the clock may hide it.
        let crossings = marksOfCrossings()
        for mark in crossings.isEmpty ? [0, count - 1] : crossings {
            var distance = 1
            while distance < count {
                for index in [mark - distance, mark + distance] where (0..<count).contains(index) { indices.append(index) }
                distance += max(1, distance / 2)
            }
        }
        // The nearest ones are asked first: the list is taken from its end.
        return indices.reversed()
    }

    private func marksOfCrossings() -> [Int] {
        let marks = known.filter { !$0.value.isEmpty }.keys.sorted()
        return marks.filter { index in
            let times = known[index] ?? []
            return times.contains { $0.time <= time } && (times.contains { $0.time > time } || index == marks.last)
                || zip(marks, marks.dropFirst()).contains { $0 == index && (known[$0]?.last?.time ?? 0 <= time) != (known[$1]?.first?.time ?? 0 <= time) }
        }
    }

    /// Once `next` has nothing more to ask.
    var result: Result {
        var entries = known.sorted { $0.key < $1.key }.flatMap(\.value)
        // Where nothing has come since the last time, the log was idle up to that word.
        if let last, last.lsn > .zero, entries.last.map({ last.lsn > $0.lsn || last.lsn == $0.lsn && last.time > $0.time }) ?? true { entries.append(last) }
        guard let first = entries.first, let end = entries.last else { return .tooEarly(first: nil) }
        var found: [ObjectMetadata.CommitTime] = []
        for (entry, next) in zip(entries, entries.dropFirst()) where entry.time <= time && next.time > time { found.append(entry) }
        if end.time == time { found.append(end) }
        switch found.count {
        case 0: return end.time < time ? .tooLate(last: end) : .tooEarly(first: first)
        case 1: return .found(found[0].lsn)
        default: return .ambiguous(found)
        }
    }
}

/// A clock was set back while the log was written, so that it was this time more than once.
public struct AmbiguousTime: Error, Hashable, CustomStringConvertible {
    /// Nanoseconds since 1970-01-01 UTC.
    public let time: UInt64
    /// What was durable each time: everything below `lsn`.
    public let candidates: [ObjectMetadata.CommitTime]

    public var description: String {
        let list = candidates.map { "LSN \($0.lsn)" }.joined(separator: ", ")
        return "the clock of the machine that wrote the log was set back: it was this time when the log ended at \(list); say which one is meant with --before"
    }
}
