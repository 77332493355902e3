/// Pages 1 and 2 of a control file: what holds about a log until it is written again. Each copy is written and synced
/// before it takes effect; generation g goes to page 1 + g mod 2.
package struct Facts: Hashable, Sendable {
    package static let size = FormatLimits.pageSize

    /// Counts the writes, from 1.
    package var generation: UInt64
    package var logID: LogID
    /// The first record that is kept; a record and batch boundary.
    package var head: LSN
    /// The log is durable at least up to here.
    package var floor: LSN
    /// Set while everything from here on is being cut off.
    package var discardFrom: LSN?
    /// Bytes in the longest record allowed, 1 to 2³¹−1.
    package var maxRecordSize: Int
    package var isReplica: Bool
    /// The inode of the control file itself: another one means a copied directory.
    package var controlInode: UInt64
    /// Generation of the file with the epochs before `epochs`; nil where there are none.
    package var epochsFile: UInt64?
    /// 1 to 128, ascending; the last is the current one.
    package var epochs: [Epoch]

    package init(
        generation: UInt64, logID: LogID, head: LSN, floor: LSN, discardFrom: LSN? = nil, maxRecordSize: Int,
        isReplica: Bool = false, controlInode: UInt64, epochsFile: UInt64? = nil, epochs: [Epoch]
    ) {
        self.generation = generation
        self.logID = logID
        self.head = head
        self.floor = floor
        self.discardFrom = discardFrom
        self.maxRecordSize = maxRecordSize
        self.isReplica = isReplica
        self.controlInode = controlInode
        self.epochsFile = epochsFile
        self.epochs = epochs
    }

    private static let replicaFlag: UInt32 = 1
    private static let epochsOffset = 96

    /// The page of the control file that generation `generation` is written to: 1 or 2.
    package static func page(ofGeneration generation: UInt64) -> Int { 1 + Int(generation % 2) }

    /// The 4096 bytes of the page. Traps on values that a reader would refuse.
    package func encode() -> [UInt8] {
        precondition(1...FormatLimits.counterMax ~= generation, "facts generation \(generation)")
        precondition(head <= floor, "head \(head) above floor \(floor)")
        if let discardFrom {
            precondition(discardFrom >= head, "discard from \(discardFrom), below the head \(head)")
        }
        precondition(FormatLimits.recordSizes.contains(maxRecordSize), "maximum record size \(maxRecordSize)")
        precondition(1...FormatLimits.epochsInPlace ~= epochs.count, "\(epochs.count) epochs in a facts page")
        precondition(EpochTable.fault(in: epochs) == nil, "epochs that are no history")
        precondition(epochsFile != nil || epochs[0].start <= head, "no epoch covers the head \(head)")
        precondition(epochsFile.map { 1...FormatLimits.counterMax ~= $0 } ?? true, "epochs file generation")
        var writer = ByteWriter(count: Facts.size)
        writer.put(magic: "WALSHIPF", at: 0)
        writer.put(generation, at: 8)
        writer.put(logID, at: 16)
        writer.put(head, at: 32)
        writer.put(floor, at: 40)
        writer.put(lsnOrNone: discardFrom, at: 48)
        writer.put(UInt32(maxRecordSize), at: 56)
        writer.put(isReplica ? Facts.replicaFlag : 0, at: 60)
        writer.put(controlInode, at: 64)
        writer.put(epochsFile ?? 0, at: 72)
        writer.put(UInt32(epochs.count), at: 80)
        EpochEntries.put(epochs, into: &writer, at: Facts.epochsOffset)
        writer.putChecksum(at: 4092)
        return writer.bytes
    }

    /// Reads the 4096 bytes of one copy. Its log id must be `logID`, and its generation belong on `page`, where those are
    /// given. An intact copy with unknown flags is `.unsupported`; one that was never written is `.empty`.
    package static func decode(
        _ bytes: [UInt8], expecting logID: LogID? = nil, page: Int? = nil
    ) throws(FormatError) -> Facts {
        let reader = ByteReader(page.map { "control facts (page \($0))" } ?? "control facts", bytes)
        try reader.requireMagic("WALSHIPF")
        try reader.requireCount(size)
        try reader.requireChecksum(at: 4092)
        let flags = try reader.u32("flags", at: 60)
        guard flags & ~replicaFlag == 0 else {
            throw reader.unsupported(
                "flags", at: 60, found: "0x" + String(flags, radix: 16),
                expected: "no bit but the first; a newer walship wrote this log")
        }
        let generation = try reader.u64("generation", at: 8, in: 1...FormatLimits.counterMax)
        if let page, page != Facts.page(ofGeneration: generation) {
            throw reader.invalid(
                "generation", at: 8, found: generation, expected: page == 1 ? "an even number" : "an odd number")
        }
        let count = try reader.u32("epoch count", at: 80, in: 1...UInt32(FormatLimits.epochsInPlace))
        let sizes = UInt32(FormatLimits.recordSizes.lowerBound)...UInt32(FormatLimits.recordSizes.upperBound)
        let epochsFile = try reader.u64("epochs file", at: 72, in: 0...FormatLimits.counterMax)
        let facts = Facts(
            generation: generation,
            logID: try reader.logID(at: 16, expecting: logID),
            head: try reader.lsn("head", at: 32),
            floor: try reader.lsn("floor", at: 40),
            discardFrom: try reader.lsnOrNone("discard from", at: 48),
            maxRecordSize: Int(try reader.u32("maximum record size", at: 56, in: sizes)),
            isReplica: flags & replicaFlag != 0,
            controlInode: try reader.u64("control inode", at: 64),
            epochsFile: epochsFile == 0 ? nil : epochsFile,
            epochs: try EpochEntries.read(reader, at: epochsOffset, count: Int(count)))
        try facts.requireOrder(reader)
        return facts
    }

    private func requireOrder(_ reader: ByteReader) throws(FormatError) {
        guard head <= floor else {
            throw reader.invalid("floor", at: 40, found: floor, expected: "at least the head, \(head)")
        }
        if let discardFrom, discardFrom < head {
            throw reader.invalid("discard from", at: 48, found: discardFrom, expected: "at least the head, \(head)")
        }
        guard epochsFile != nil || epochs[0].start <= head else {
            throw reader.invalid(
                "start of epoch entry 0", at: Facts.epochsOffset + 16, found: epochs[0].start,
                expected: "at most the head, \(head), because no epochs file is named")
        }
    }
}

extension Facts {
    /// The copy that rules: the one with the greatest generation. nil where no copy is intact, and also where one is
    /// `.unsupported`: it may be the newer one, and only a newer program can tell what it says.
    package static func choose(_ copies: [Result<Facts, FormatError>]) -> Facts? {
        var chosen: Facts?
        for copy in copies {
            switch copy {
            case .success(let facts):
                if facts.generation > chosen?.generation ?? 0 { chosen = facts }
            case .failure(let error):
                if error.kind == .unsupported { return nil }
            }
        }
        return chosen
    }

    /// Whether both copies are intact and say the same.
    package static func areSettled(_ copies: [Result<Facts, FormatError>]) -> Bool {
        guard copies.count == 2, case .success(var first) = copies[0], case .success(let second) = copies[1] else { return false }
        first.generation = second.generation
        return first == second
    }

    /// The whole history: the epochs of `older`, which is the file that these facts name (nil where they name none),
    /// then the facts' own.
    package func epochTable(older: EpochFile?) throws(FormatError) -> EpochTable {
        precondition(older?.generation == epochsFile, "not the epochs file that the facts name")
        let all = (older?.epochs ?? []) + epochs
        guard let table = EpochTable(all), all[0].start <= head else {
            throw FormatError(
                .value, structure: "epochs file", field: "epochs", offset: 40,
                found: "\(all[0].number) at LSN \(all[0].start) to \(older?.epochs.last?.number ?? 0)",
                expected: "a history that begins at or below the head, \(head), and goes on with epoch "
                    + "\(epochs[0].number) at LSN \(epochs[0].start)")
        }
        return table
    }
}
