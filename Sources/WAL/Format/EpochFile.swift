/// An `epochs-<generation>` file: the older epochs of a log that has more than a facts page holds. Written and synced
/// before the facts that name it, and never changed.
package struct EpochFile: Hashable, Sendable {
    /// The number in the file's name, from 1.
    package var generation: UInt64
    package var logID: LogID
    /// Ascending; the facts' first epoch follows the last.
    package var epochs: [Epoch]

    package init(generation: UInt64, logID: LogID, epochs: [Epoch]) {
        self.generation = generation
        self.logID = logID
        self.epochs = epochs
    }

    private static let entriesOffset = 40

    /// Bytes of a file of `count` epochs.
    package static func size(count: Int) -> Int { entriesOffset + count * EpochEntries.entrySize + 4 }
    /// Bytes of the largest file: what a reader takes into memory at most.
    package static let sizeMax = size(count: FormatLimits.epochsInFile)

    /// The whole file.
    package func encode() -> [UInt8] {
        precondition(1...FormatLimits.counterMax ~= generation, "epochs file generation \(generation)")
        precondition(1...FormatLimits.epochsInFile ~= epochs.count, "an epochs file of \(epochs.count) epochs")
        precondition(EpochTable.fault(in: epochs) == nil, "epochs that are no history")
        let size = EpochFile.size(count: epochs.count)
        var writer = ByteWriter(count: size)
        writer.put(magic: "WALSHIPE", at: 0)
        writer.put(generation, at: 8)
        writer.put(logID, at: 16)
        writer.put(UInt32(epochs.count), at: 32)
        EpochEntries.put(epochs, into: &writer, at: EpochFile.entriesOffset)
        writer.putChecksum(at: size - 4)
        return writer.bytes
    }

    /// Reads a whole file; its log id must be `logID` where that is given.
    package static func decode(_ bytes: [UInt8], expecting logID: LogID? = nil) throws(FormatError) -> EpochFile {
        let reader = ByteReader("epochs file", bytes)
        try reader.requireMagic("WALSHIPE")
        let count = try reader.u32("epoch count", at: 32, in: 1...UInt32(FormatLimits.epochsInFile))
        try reader.requireCount(size(count: Int(count)))
        try reader.requireChecksum(at: bytes.count - 4)
        return EpochFile(
            generation: try reader.u64("generation", at: 8, in: 1...FormatLimits.counterMax),
            logID: try reader.logID(at: 16, expecting: logID),
            epochs: try EpochEntries.read(reader, at: entriesOffset, count: Int(count)))
    }
}

extension EpochFile {
    private static let namePrefix = "epochs-"

    package var name: String { EpochFile.name(generation: generation) }

    package static func name(generation: UInt64) -> String { namePrefix + Decimal20.text(generation) }

    /// The generation in a file's name; nil for any other name.
    package static func generation(ofName name: String) -> UInt64? {
        guard name.hasPrefix(namePrefix),
            let generation = Decimal20.value(name.dropFirst(namePrefix.count)),
            1...FormatLimits.counterMax ~= generation
        else { return nil }
        return generation
    }
}
