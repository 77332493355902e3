import WAL

/// The metadata's bytes, exactly as docs/format/archive.md lists them. Offsets are from the start of the metadata.
enum ObjectMetadataFormat {
    /// "WALSHIPO" read as a little-endian number.
    static let magic: UInt64 = 0x4F50_4948_534C_4157
    static let version: UInt32 = 1
    /// Bit 0: the content is encrypted.
    static let encryptedFlag: UInt32 = 1 << 0
    static let versionOffset = 8
    static let checksumOffset = 120
    static let headerChecksumOffset = 124
    static let headerSize = 240
    static let ancestryEntrySize = 24
    static let timeIndexEntrySize = 16
    /// All ones: there is no such LSN.
    static let noLSN = UInt64.max
    static let keyIDSize = 16

    static let sizeMax =
        headerSize + ancestryEntrySize * ArchiveLimits.ancestryCountMax + timeIndexEntrySize * ArchiveLimits.timeIndexCountMax
}

extension ObjectMetadata {
    /// Bytes of the metadata as encoded.
    var encodedSize: Int {
        ObjectMetadataFormat.headerSize + ancestry.count * ObjectMetadataFormat.ancestryEntrySize
            + timeIndex.count * ObjectMetadataFormat.timeIndexEntrySize
    }

    /// The metadata with both checksum fields zero. The values have no `problem`.
    func encodedWithoutChecksums() -> [UInt8] {
        precondition(problem == nil, "metadata with a problem: \(problem ?? "")")
        var bytes: [UInt8] = []
        bytes.reserveCapacity(encodedSize)
        bytes.appendLittleEndian(ObjectMetadataFormat.magic)
        bytes.appendLittleEndian(ObjectMetadataFormat.version)
        bytes.appendLittleEndian(isEncrypted ? ObjectMetadataFormat.encryptedFlag : 0)
        bytes.appendLittleEndian(kind.code)
        bytes.appendLittleEndian(kind.level)
        bytes.appendBigEndian(logID.high)
        bytes.appendBigEndian(logID.low)
        bytes.appendBigEndian(archiveID.high)
        bytes.appendBigEndian(archiveID.low)
        bytes.appendLittleEndian(epoch.number)
        bytes.appendLittleEndian(epoch.id.rawValue)
        bytes.appendLittleEndian(start.rawValue)
        bytes.appendLittleEndian(end.rawValue)
        bytes.appendLittleEndian(records?.first.rawValue ?? ObjectMetadataFormat.noLSN)
        bytes.appendLittleEndian(records?.last.rawValue ?? ObjectMetadataFormat.noLSN)
        bytes.appendLittleEndian(records?.count ?? 0)
        bytes.appendLittleEndian(objectSize)
        bytes.appendLittleEndian(UInt32(0))  // checksum of the object
        bytes.appendLittleEndian(UInt32(0))  // checksum of the metadata
        bytes.appendBigEndian(rawDigest.high)
        bytes.appendBigEndian(rawDigest.low)
        bytes.appendBigEndian(precedingDigest?.high ?? 0)
        bytes.appendBigEndian(precedingDigest?.low ?? 0)
        bytes.appendBigEndian(seal?.keyID.high ?? 0)
        bytes.appendBigEndian(seal?.keyID.low ?? 0)
        bytes += seal?.salt ?? [UInt8](repeating: 0, count: ObjectSealing.saltSize)
        bytes.appendLittleEndian(epochStart.rawValue)
        bytes.appendLittleEndian(UInt64(0))  // reserved
        bytes.appendLittleEndian(UInt32(ancestry.count))
        bytes.appendLittleEndian(UInt32(timeIndex.count))
        bytes.appendLittleEndian(UInt64(0))  // reserved
        for entry in ancestry {
            bytes.appendLittleEndian(entry.number)
            bytes.appendLittleEndian(entry.id.rawValue)
            bytes.appendLittleEndian(entry.start.rawValue)
        }
        for entry in timeIndex {
            bytes.appendLittleEndian(entry.time)
            bytes.appendLittleEndian(entry.lsn.rawValue)
        }
        precondition(bytes.count == encodedSize, "the metadata has \(bytes.count) bytes instead of \(encodedSize)")
        return bytes
    }

    /// Reads metadata whose magic, version and checksum hold already. `bytes` is exactly the metadata.
    init(parsing bytes: ArraySlice<UInt8>) throws(ObjectFormatFailure) {
        guard bytes.count >= ObjectMetadataFormat.headerSize else { throw .damaged("the metadata has only \(bytes.count) bytes") }
        var reader = LittleEndianReader(bytes)
        reader.skip(12)  // magic and version
        let flags = reader.u32()
        let isEncrypted = flags & ObjectMetadataFormat.encryptedFlag != 0
        if flags & ~ObjectMetadataFormat.encryptedFlag != 0 { throw .unsupported("the object has flags 0x\(String(flags, radix: 16)), which this version does not know") }
        let kindCode = reader.u32()
        let level = reader.u32()
        guard let kind = Kind(code: kindCode, level: level) else { throw .damaged("kind \(kindCode) with level \(level)") }
        let logID = LogID(high: reader.u64BigEndian(), low: reader.u64BigEndian())
        let archiveID = ArchiveID(high: reader.u64BigEndian(), low: reader.u64BigEndian())
        let epochNumber = reader.u64()
        let epochID = EpochID(rawValue: reader.u64())
        guard EpochName.isValid(number: epochNumber) else { throw .damaged("epoch number \(epochNumber)") }
        let start = LSN(reader.u64())
        let end = LSN(reader.u64())
        let records = try ObjectMetadata.records(first: reader.u64(), last: reader.u64(), count: reader.u64())
        let objectSize = reader.u64()
        // Also where only the beginning was fetched, and the rest cannot be counted: sizes are summed.
        guard objectSize <= UInt64(ArchiveLimits.objectSizeMax) else { throw .damaged("a size of \(objectSize) bytes, more than any object") }
        let checksum = reader.u32()
        reader.skip(4)  // checksum of the metadata
        let rawDigest = RawDigest(high: reader.u64BigEndian(), low: reader.u64BigEndian())
        let preceding = RawDigest(high: reader.u64BigEndian(), low: reader.u64BigEndian())
        var sealIsEmpty = true
        var seal: Seal?
        if isEncrypted {
            seal = Seal(keyID: KeyID(high: reader.u64BigEndian(), low: reader.u64BigEndian()), salt: reader.bytes(ObjectSealing.saltSize))
        } else {
            sealIsEmpty = reader.isZero(count: ObjectMetadataFormat.keyIDSize + ObjectSealing.saltSize)
        }
        let epochStart = LSN(reader.u64())
        let firstReserved = reader.u64()
        let ancestryCount = Int(reader.u32())
        let timeIndexCount = Int(reader.u32())
        let secondReserved = reader.u64()
        guard sealIsEmpty, firstReserved == 0, secondReserved == 0 else { throw .damaged("a reserved field is not zero") }
        guard ancestryCount <= ArchiveLimits.ancestryCountMax, timeIndexCount <= ArchiveLimits.timeIndexCountMax else {
            throw .damaged("\(ancestryCount) epochs and \(timeIndexCount) times are more than an object may have")
        }
        let expected =
            ObjectMetadataFormat.headerSize + ancestryCount * ObjectMetadataFormat.ancestryEntrySize
            + timeIndexCount * ObjectMetadataFormat.timeIndexEntrySize
        guard bytes.count == expected else { throw .damaged("the metadata has \(bytes.count) bytes, its counts say \(expected)") }

        self.init(
            kind: kind, logID: logID, archiveID: archiveID, epoch: EpochName(number: epochNumber, id: epochID),
            epochStart: epochStart, start: start, end: end, records: records,
            precedingDigest: preceding == RawDigest(high: 0, low: 0) ? nil : preceding,
            ancestry: (0..<ancestryCount).map { _ in
                Epoch(number: reader.u64(), id: EpochID(rawValue: reader.u64()), start: LSN(reader.u64()))
            },
            timeIndex: (0..<timeIndexCount).map { _ in CommitTime(time: reader.u64(), lsn: LSN(reader.u64())) })
        self.rawDigest = rawDigest
        self.objectSize = objectSize
        self.checksum = checksum
        self.seal = seal
        if let problem { throw .damaged(problem) }
    }

    private static func records(first: UInt64, last: UInt64, count: UInt64) throws(ObjectFormatFailure) -> Records? {
        let none = ObjectMetadataFormat.noLSN
        if first == none, last == none, count == 0 { return nil }
        if first == none || last == none || count == 0 {
            throw .damaged("\(count) records from \(first) to \(last)")
        }
        return Records(first: LSN(first), last: LSN(last), count: count)
    }
}

extension ObjectMetadata.Kind {
    var code: UInt32 {
        switch self {
        case .segment: 1
        case .tail: 2
        }
    }

    var level: UInt32 {
        switch self {
        case .segment: 0
        case .tail(let level): UInt32(level)
        }
    }

    init?(code: UInt32, level: UInt32) {
        switch (code, level) {
        case (1, 0): self = .segment
        case (2, 0...UInt32(ArchiveLimits.tailLevelMax)): self = .tail(level: Int(level))
        default: return nil
        }
    }
}

/// Why bytes are no object of this version; the decoder adds key and LSN.
enum ObjectFormatFailure: Error, Hashable {
    /// Not what was written.
    case damaged(String)
    /// Possibly sound, and of a version or kind that this software does not read. Never to be overwritten.
    case unsupported(String)
    /// Encrypted with a key that is not at hand. Never to be overwritten.
    case keyMissing(KeyID)
}
