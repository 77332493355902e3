import Archive
import WAL

/// A small log with real frames, the same in every run, and the objects of an archive of it.
enum SampleLog {
    static let logID = LogID(high: 0x0123_4567_89AB_4CDE, low: 0x8F01_2345_6789_ABCD)
    static let archiveID = ArchiveID(high: 0x1111_2222_3333_4444, low: 0x5555_6666_7777_8888)
    static let segmentSize: UInt64 = 4096
    static let first = Epoch(number: 1, id: EpochID(rawValue: 0x00C0_FFEE_0000_0001), start: .zero)
    static let second = Epoch(number: 2, id: EpochID(rawValue: 0xFEED_FACE_CAFE_BEEF), start: LSN(starts[60]))
    static let epoch = EpochName(second)
    /// Where the second epoch begins in the archive.
    static let epochStart = LSN(segmentSize / 2)
    /// 2026-01-01T00:00:00Z in nanoseconds.
    static let time: UInt64 = 1_767_225_600_000_000_000

    /// Every record's payload: text of varying length.
    private static let payloads: [[UInt8]] = (0..<140).map { index in
        Array("record \(index): \(String(repeating: "the quick brown fox ", count: index % 7))".utf8)
    }

    /// Where every record's frame begins, and the log's end.
    static let starts: [UInt64] = payloads.reduce(into: [0]) { $0.append($0[$0.count - 1] + 8 + UInt64($1.count)) }
    static var end: LSN { LSN(starts[starts.count - 1]) }

    /// The log's bytes from LSN 0 to its end. Records from the sixtieth on are of the second epoch.
    static let bytes: [UInt8] = {
        var bytes: [UInt8] = []
        for (payload, start) in zip(payloads, starts) {
            let checksum = FrameChecksum(logID: logID, epoch: start < second.start.rawValue ? first.id : second.id)
            let field = FrameHeader.lengthField(payloadCount: payload.count)
            let value = payload.withUnsafeBytes { checksum.value(lengthField: field, payload: $0, lsn: LSN(start)) }
            bytes.appendNumber(value)
            bytes.appendNumber(field)
            bytes += payload
        }
        return bytes
    }()

    static func raw(_ range: Range<UInt64>) -> [UInt8] { Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)]) }

    /// What an object of this range says about itself, shipped under the second epoch or, where asked, the first.
    static func metadata(
        _ range: Range<UInt64>, kind: ObjectMetadata.Kind = .segment, preceding: RawDigest? = nil, underFirst: Bool = false
    ) -> ObjectMetadata {
        let inside = starts.dropLast().filter(range.contains)
        return ObjectMetadata(
            kind: kind, logID: logID, archiveID: archiveID, epoch: underFirst ? EpochName(first) : epoch,
            epochStart: underFirst ? .zero : min(epochStart, LSN(range.lowerBound)),
            start: LSN(range.lowerBound), end: LSN(range.upperBound),
            records: inside.isEmpty
                ? nil : .init(first: LSN(inside[0]), last: LSN(inside[inside.count - 1]), count: UInt64(inside.count)),
            precedingDigest: preceding, ancestry: underFirst ? [first] : [first, second],
            timeIndex: [
                .init(time: time, lsn: LSN(range.lowerBound + 1)), .init(time: time + 1_500_000_000, lsn: LSN(range.upperBound)),
            ])
    }

    static func encode(_ range: Range<UInt64>, kind: ObjectMetadata.Kind = .segment, level: Int = 3) throws -> EncodedObject {
        try ObjectEncoder().encode(raw(range), metadata(range, kind: kind), level: level)
    }
}

extension [UInt8] {
    /// Little-endian.
    mutating func appendNumber(_ value: some FixedWidthInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    mutating func put(_ value: some FixedWidthInteger, at offset: Int) {
        var bytes: [UInt8] = []
        bytes.appendNumber(value)
        replaceSubrange(offset..<(offset + bytes.count), with: bytes)
    }

    /// Both checksums of an object made anew, as somebody would who changed it on purpose.
    mutating func reseal() {
        let size = Int(self[4]) | Int(self[5]) << 8 | Int(self[6]) << 16
        put(UInt32(0), at: 8 + 120)
        put(UInt32(0), at: 8 + 124)
        put(CRC32C.of(Array(self[8..<(8 + size)]).span.bytes), at: 8 + 124)
        put(CRC32C.of(span.bytes), at: 8 + 120)
    }
}
