import WAL

/// The fixed values that the golden files under `Tests/Golden/log` are made of. `README.md` there says the same in words.
enum GoldenFixture {
    static let logID = LogID("01234567-89ab-4cde-8f01-23456789abcd")!
    static let epoch1 = Epoch(number: 1, id: EpochID(rawValue: 0x1111_1111_2222_2222), start: .zero)
    static let epoch2 = Epoch(number: 2, id: EpochID(rawValue: 0xA1B2_C3D4_E5F6_0718), start: LSN(3075))
    static let created: UInt64 = 1_750_000_000_123_456_789
    static let segmentSize: UInt64 = 4096
    static let durable = LSN(5109)
    static let written = LSN(5137)

    struct GoldenRecord: Equatable {
        var lsn: UInt64
        var payload: [UInt8]
        var continuesBatch = false
    }

    /// The byte at position i is i mod 251.
    static func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8($0 % 251) } }

    static let records = [
        GoldenRecord(lsn: 0, payload: Array("hello, log".utf8)),
        GoldenRecord(lsn: 18, payload: []),
        GoldenRecord(lsn: 26, payload: Array("first of two".utf8), continuesBatch: true),
        GoldenRecord(lsn: 46, payload: Array("second of two".utf8)),
        GoldenRecord(lsn: 67, payload: pattern(3000)),
        GoldenRecord(lsn: 3075, payload: pattern(2000)),
        GoldenRecord(lsn: 5083, payload: Array("after the boundary".utf8)),
        GoldenRecord(lsn: 5109, payload: Array("written, not durable".utf8)),
    ]

    static func frame(_ record: GoldenRecord, epoch: EpochID) -> [UInt8] {
        let lengthField = FrameHeader.lengthField(
            payloadCount: record.payload.count, continuesBatch: record.continuesBatch)
        let checksum = record.payload.withUnsafeBytes {
            FrameChecksum(logID: logID, epoch: epoch).value(lengthField: lengthField, payload: $0, lsn: LSN(record.lsn))
        }
        return FrameHeader(checksum: checksum, lengthField: lengthField).bytes + record.payload
    }

    /// The bytes of the log from LSN 0: all records, then a frame of 100 bytes of which 58 arrived.
    static var logBytes: [UInt8] {
        let whole = records.flatMap { record in
            frame(record, epoch: record.lsn < epoch2.start.rawValue ? epoch1.id : epoch2.id)
        }
        return whole + frame(GoldenRecord(lsn: written.rawValue, payload: pattern(100)), epoch: epoch2.id)[..<58]
    }

    static func identity(segmentSize: UInt64) -> [UInt8] {
        IdentityPage(logID: logID, segmentSize: segmentSize, created: created).encode()
    }

    static let facts2 = Facts(
        generation: 2, logID: logID, head: .zero, floor: LSN(67), maxRecordSize: 64 << 20, controlInode: 123_456,
        epochs: [epoch1])

    static let facts3 = Facts(
        generation: 3, logID: logID, head: .zero, floor: LSN(3075), maxRecordSize: 64 << 20, controlInode: 123_456,
        epochs: [epoch1, epoch2])

    /// Every field of a facts page in use.
    static let fullFacts = Facts(
        generation: 41, logID: logID, head: LSN(1000), floor: LSN(8192), discardFrom: LSN(8192), maxRecordSize: 65_536,
        isReplica: true, controlInode: 0x0102_0304_0506_0708, epochsFile: 7,
        epochs: [
            Epoch(number: 3, id: EpochID(rawValue: 0x3333_3333_3333_3333), start: LSN(5000)),
            Epoch(number: 4, id: EpochID(rawValue: 0x4444_4444_4444_4444), start: LSN(5000)),
            Epoch(number: 5, id: EpochID(rawValue: 0x5555_5555_5555_5555), start: LSN(8192)),
        ])

    static let epochFile = EpochFile(generation: 7, logID: logID, epochs: [epoch1, epoch2])

    static let live = LiveSnapshot(
        durable: durable, written: written, head: .zero,
        incarnation: Incarnation(high: 0x0F1E_2D3C_4B5A_6978, low: 0x8796_A5B4_C3D2_E1F0),
        boot: BootID(high: 0x6BA7_B810_9DAD_41D1, low: 0x80B4_00C0_4FD4_30C8), isBlocked: true, blockedBy: 4343, waitingAppends: 3,
        writer: 4242)

    static func foot(_ index: UInt64, segmentSize: UInt64, firstFrame: LSN?, cells: [SegmentFoot.DurableCell])
        -> [UInt8]
    {
        let header = SegmentFoot.Header(logID: logID, index: index, segmentSize: segmentSize)
        var bytes = SegmentFoot.encodeFresh(header)
        func put(_ part: [UInt8], at offset: Int) { bytes.replaceSubrange(offset..<offset + part.count, with: part) }
        put(SegmentFoot.FirstFrameCell(lsn: firstFrame).encode(in: header), at: SegmentFoot.firstFrameOffset)
        for cell in cells {
            put(cell.encode(in: header), at: SegmentFoot.durableOffset(ofSequence: cell.sequence))
        }
        return bytes
    }

    static let foot0 = foot(
        0, segmentSize: segmentSize, firstFrame: .zero,
        cells: [
            SegmentFoot.DurableCell(epoch: epoch1.id, durable: LSN(67), sequence: 1),
            SegmentFoot.DurableCell(epoch: epoch2.id, durable: LSN(3075), sequence: 2),
        ])

    static let foot1 = foot(
        1, segmentSize: segmentSize, firstFrame: LSN(5083),
        cells: [SegmentFoot.DurableCell(epoch: epoch2.id, durable: durable, sequence: 1)])

    static let destination: SlotState = {
        var slot = SlotState(kind: .destination, logID: logID, position: LSN(4096), epoch: epoch2.id, generation: 3)
        slot.lastSegment = SlotState.ShippedObject(
            digest: Bytes16(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF), range: .zero..<LSN(4096))
        slot.archiveID = Bytes16(high: 0xFFEE_DDCC_BBAA_9988, low: 0x7766_5544_3322_1100)
        slot.archived = LSN(5083)
        slot.capabilities = 0b1010_0011
        slot.levels = [
            LevelState(
                inFlight: LSN(5083)..<LSN(5109), groupStart: LSN(4096), groupCount: 31, lastDigest: Bytes16(high: 1, low: 2)),
            LevelState(
                inFlight: LSN(4096)..<LSN(5083), groupStart: LSN(4096), groupCount: 2, lastDigest: Bytes16(high: 3, low: 4)),
            LevelState(groupStart: LSN(4096), groupCount: 1, lastDigest: Bytes16(high: 5, low: 6)),
            LevelState(groupStart: LSN(4096), lastDigest: Bytes16(high: 7, low: 8)),
        ]
        slot.segmentsStarted = LSN(4096)
        slot.released = LSN(3075)
        slot.tailsLeft = LSN(1024)..<LSN(4096)
        slot.gaps = [
            SlotGap(range: LSN(10)..<LSN(20), time: created + 2_000_000_000, reason: "storage was away", isTold: true),
            SlotGap(range: LSN(20)..<LSN(30), time: created + 3_000_000_000, reason: "zu lange weg \u{2014} drop"),
        ]
        slot.lastGap = LSN(3)..<LSN(9)
        slot.epochNumber = 2
        slot.epochStart = LSN(3075)
        slot.lastAcknowledged = created + 1_000_000_000
        return slot
    }()

    static var olderDestination: SlotState {
        var slot = SlotState(kind: .destination, logID: logID, position: .zero, epoch: epoch1.id, generation: 2)
        slot.epochNumber = 1
        return slot
    }

    static let pin = SlotState(kind: .pin, logID: logID, position: LSN(67), epoch: epoch1.id)

    static let times = [
        TimeEntry(nanoseconds: created, lsn: LSN(67)),
        TimeEntry(nanoseconds: created + 1_000_000_000, lsn: LSN(3075)),
        // The clock was set back by half a minute.
        TimeEntry(nanoseconds: created - 29_000_000_000, lsn: LSN(3075)),
    ]

    static var timesFile: [UInt8] {
        var encoder = TimeIndexEncoder(logID: logID, index: 0)
        return times.reduce(into: encoder.header) { $0 += encoder.append($1) }
    }

    private static let zeroPage = [UInt8](repeating: 0, count: 4096)

    private static func padded(_ bytes: some Collection<UInt8>, to count: Int) -> [UInt8] {
        bytes + [UInt8](repeating: 0, count: count - bytes.count)
    }

    static let restoring = ReplicaMark(logID: logID, segmentSize: 4096, head: LSN(67), end: .through(LSN(5083)), synced: LSN(4096))

    /// Every golden file, by its path below `Tests/Golden/log`.
    static var files: [String: [UInt8]] {
        let log = logBytes
        let lockText = Array("pid 4242 walshipd host golden\n".utf8)
        let small = Array(log[..<67])
        let smallFacts = Facts(
            generation: 1, logID: logID, head: .zero, floor: .zero, maxRecordSize: 1000, controlInode: 654_321,
            epochs: [epoch1])
        let smallLive = LiveSnapshot(
            durable: LSN(67), written: LSN(67), head: .zero, incarnation: live.incarnation, boot: live.boot,
            isStopped: true)
        return [
            "frames.bin": log,
            "control-identity.bin": identity(segmentSize: 16 << 20),
            "control-facts.bin": fullFacts.encode(),
            "control-live.bin": live.encode(),
            epochFile.name: epochFile.encode(),
            "segment-foot.bin": foot0,
            "slot.bin": olderDestination.encode() + destination.encode(),
            "times.bin": timesFile,
            "restoring.bin": restoring.encode(),
            "directory/control": identity(segmentSize: segmentSize) + facts2.encode() + facts3.encode() + live.encode(),
            "directory/lock": lockText,
            "directory/maintenance": [],
            "directory/00000000000000000000.wal": Array(log[..<4096]) + foot0,
            "directory/00000000000000000001.wal": padded(log[4096...], to: 4096) + foot1,
            "directory/00000000000000000000.times": timesFile,
            "directory/slots/d-0011223344556677": olderDestination.encode() + destination.encode(),
            "directory/slots/pin": zeroPage + pin.encode(),
            "file/small": padded(small, to: 128),
            "file/small.control": identity(segmentSize: 0) + zeroPage + smallFacts.encode() + smallLive.encode()
                + foot(
                    0, segmentSize: 0, firstFrame: .zero,
                    cells: [SegmentFoot.DurableCell(epoch: epoch1.id, durable: LSN(67), sequence: 1)]),
            "file/small.lock": [],
            "file/small.maintenance": [],
            "file/small.slots/pin": zeroPage + pin.encode(),
        ]
    }
}
