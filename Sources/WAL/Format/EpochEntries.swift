/// Epoch entries as they lie in a facts page and in an epochs file: number, id and start, eight bytes each.
package enum EpochEntries {
    package static let entrySize = 24

    package static func put(_ epochs: [Epoch], into writer: inout ByteWriter, at offset: Int) {
        for (index, epoch) in epochs.enumerated() {
            let entry = offset + index * entrySize
            writer.put(epoch.number, at: entry)
            writer.put(epoch.id.rawValue, at: entry + 8)
            writer.put(epoch.start, at: entry + 16)
        }
    }

    /// Reads `count` entries and checks that they are a history. `count` must have been checked against its limit.
    package static func read(_ reader: ByteReader, at offset: Int, count: Int) throws(FormatError) -> [Epoch] {
        var epochs: [Epoch] = []
        epochs.reserveCapacity(count)
        for entry in stride(from: offset, to: offset + count * entrySize, by: entrySize) {
            epochs.append(
                Epoch(
                    number: try reader.u64("epoch number", at: entry),
                    id: EpochID(rawValue: try reader.u64("epoch id", at: entry + 8)),
                    start: LSN(try reader.u64("epoch start", at: entry + 16))))
        }
        if let fault = EpochTable.fault(in: epochs) {
            throw reader.invalid(
                "\(fault.field) of epoch entry \(fault.index)", at: offset + fault.index * entrySize,
                found: fault.found, expected: fault.expected)
        }
        return epochs
    }
}
