/// The history of a log's writers: which epoch's id the frames at an LSN were written under.
///
/// Invariant: at least one epoch; numbers are consecutive from at least 1; no start lies above its successor's. An entry
/// that starts where its successor does covers no frame. A value: safe from any thread.
public struct EpochTable: Hashable, Sendable {
    /// Ascending; the last is the current one.
    public private(set) var epochs: [Epoch]

    /// nil where the epochs break the invariant.
    public init?(_ epochs: [Epoch]) {
        guard EpochTable.fault(in: epochs) == nil else { return nil }
        self.epochs = epochs
    }

    /// The epoch that writes now.
    public var current: Epoch { epochs[epochs.count - 1] }

    /// The epoch whose id is in the checksum of a frame at `lsn`: the last one that starts at or below it. Below the oldest
    /// entry, which is below the head, the oldest: what is read there does not verify.
    public func epoch(at lsn: LSN) -> Epoch {
        epochs[max(0, firstIndex { $0.start > lsn } - 1)]
    }

    /// The epoch of this number, where the table has it.
    package func epoch(number: UInt64) -> Epoch? {
        guard number >= epochs[0].number, number <= current.number else { return nil }
        return epochs[Int(number - epochs[0].number)]
    }

    /// Whether (`id`, `lsn`) is a position in this history: the epoch is in the table and `lsn` is not past the start of its
    /// successor. It may be past the end of the log.
    public func contains(_ lsn: LSN, of id: EpochID) -> Bool {
        guard let index = epochs.lastIndex(where: { $0.id == id }) else { return false }
        return index == epochs.count - 1 || lsn <= epochs[index + 1].start
    }

    /// Makes `epoch` the current one. Its number must follow the current number. Epochs that start above it (their frames
    /// were cut off) are lowered to its start, and so cover nothing.
    public mutating func begin(_ epoch: Epoch) {
        precondition(epoch.number == current.number + 1, "epoch \(epoch.number) does not follow \(current.number)")
        precondition(epoch.number <= FormatLimits.epochNumberMax, "epoch number \(epoch.number) is out of range")
        for index in firstIndex(where: { $0.start > epoch.start })..<epochs.count {
            epochs[index] = Epoch(number: epochs[index].number, id: epochs[index].id, start: epoch.start)
        }
        epochs.append(epoch)
    }

    /// The entries that a log beginning at `head` has to keep: the last that starts below the head, and all after it. That
    /// is one more than its frames need when an epoch starts exactly at the head: positions at the head may still name
    /// the epoch before.
    public func entries(neededFor head: LSN) -> [Epoch] {
        Array(epochs[max(0, firstIndex { $0.start >= head } - 1)...])
    }

    /// The newest epoch up to which this history and another tell the same, from where both of them begin on: numbers, ids and starts. Nil where they do not from the
    /// beginning.
    package func lastShared(with other: EpochTable) -> Epoch? {
        var shared: Epoch?
        for epoch in epochs where epoch.number >= other.epochs[0].number {
            guard other.epochs.contains(epoch) else { break }
            shared = epoch
        }
        return shared
    }

    /// Index of the first epoch that satisfies `predicate`, which holds from some index on; the count where none does.
    private func firstIndex(where predicate: (Epoch) -> Bool) -> Int {
        var low = 0
        var high = epochs.count
        while low < high {
            let middle = (low + high) / 2
            if predicate(epochs[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

extension EpochTable {
    /// The first entry that breaks the invariant: its index, the field, what it is and what it should be.
    package static func fault(
        in epochs: [Epoch]
    ) -> (index: Int, field: String, found: UInt64, expected: String)? {
        guard !epochs.isEmpty else { return (0, "epoch count", 0, "at least 1") }
        for (index, epoch) in epochs.enumerated() {
            let numbers = 1...FormatLimits.epochNumberMax
            guard numbers.contains(epoch.number) else {
                return (index, "number", epoch.number, "\(numbers.lowerBound) to \(numbers.upperBound)")
            }
            guard epoch.start.rawValue <= FormatLimits.lsnMax else {
                return (index, "start", epoch.start.rawValue, "0 to \(FormatLimits.lsnMax)")
            }
            guard index > 0 else { continue }
            let previous = epochs[index - 1]
            guard epoch.number == previous.number + 1 else {
                return (index, "number", epoch.number, "\(previous.number + 1), after \(previous.number)")
            }
            guard epoch.start >= previous.start else {
                return (index, "start", epoch.start.rawValue, "at least \(previous.start), the start before it")
            }
        }
        return nil
    }
}
