import WAL

/// The records of a storm say which they are, and which part of which batch: `NUMBER INDEX/COUNT`, a space, and `x` as often as the size needs.
struct StormRecord: Equatable {
    var number: Int
    var index: Int
    var count: Int

    func bytes(size: Int) -> [UInt8] {
        let text = Array("\(number) \(index)/\(count) ".utf8)
        return text + [UInt8](repeating: UInt8(ascii: "x"), count: max(0, size - text.count))
    }

    /// Nil where it is none.
    init?(_ bytes: [UInt8]) {
        let parts = bytes.prefix(64).split(separator: UInt8(ascii: " "), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let number = Int(String(decoding: parts[0], as: UTF8.self)) else { return nil }
        let place = parts[1].split(separator: UInt8(ascii: "/")).compactMap { Int(String(decoding: $0, as: UTF8.self)) }
        guard place.count == 2, bytes.last == UInt8(ascii: "x") || bytes.last == UInt8(ascii: " ") else { return nil }
        (self.number, index, count) = (number, place[0], place[1])
    }

    init(number: Int, index: Int = 0, count: Int = 1) { (self.number, self.index, self.count) = (number, index, count) }

    /// Checks records that follow each other: batches are whole. What is wrong, nil for nothing.
    static func problem(_ record: Record, after last: inout StormRecord?) -> String? {
        guard let found = StormRecord(record.data) else { return "the record at \(record.lsn) is not one of ours" }
        defer { last = found }
        let expected = last.flatMap { $0.index + 1 < $0.count ? StormRecord(number: $0.number, index: $0.index + 1, count: $0.count) : nil }
        if let expected { return found == expected ? nil : "\(found) at \(record.lsn) where \(expected) belongs" }
        return found.index == 0 ? nil : "\(found) at \(record.lsn) has lost the beginning of its batch"
    }
}
