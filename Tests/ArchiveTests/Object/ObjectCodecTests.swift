import Archive
import TestSupport
import Testing
import WAL

@Suite struct ObjectCodecTests {
    let key = ObjectKey("log/segments/0000000002-feedfacecafebeef/00000000000000004096.zst")

    @Test(arguments: [
        (0..<4096, ObjectMetadata.Kind.segment), (4096..<8192, .segment), (8190..<8192, .tail(level: 0)),
        (4096..<4100, .tail(level: 3)), (2048..<4096, .segment),
    ] as [(Range<UInt64>, ObjectMetadata.Kind)])
    func objectsComeBackAsTheyWere(range: Range<UInt64>, kind: ObjectMetadata.Kind) throws {
        let metadata = SampleLog.metadata(range, kind: kind, preceding: RawDigest(high: 1, low: 2))
        let object = try ObjectEncoder().encode(SampleLog.raw(range), metadata, level: 3)
        let decoded = try ObjectDecoder.decode(object.bytes, key: key, start: LSN(range.lowerBound))
        #expect(decoded.raw == SampleLog.raw(range))
        #expect(decoded.metadata == object.metadata)
        #expect(decoded.metadata.objectSize == UInt64(object.bytes.count))
        #expect(decoded.metadata.rawDigest == RawDigest(of: SampleLog.raw(range)))
        #expect(decoded.metadata.kind == kind && decoded.metadata.precedingDigest == RawDigest(high: 1, low: 2))
        #expect(decoded.metadata.ancestry == metadata.ancestry && decoded.metadata.timeIndex == metadata.timeIndex)
        #expect(decoded.metadata.records == metadata.records)
        #expect(try ObjectDecoder.checkSealed(object.bytes, key: key, start: metadata.start) == object.metadata)
    }

    @Test func oneEncoderServesManyObjectsAndLevels() throws {
        let encoder = try ObjectEncoder()
        for level in [1, 19, 3, 1] {
            let object = try encoder.encode(SampleLog.raw(0..<4096), SampleLog.metadata(0..<4096), level: level)
            #expect(try ObjectDecoder.decode(object.bytes, key: key, start: .zero).raw == SampleLog.raw(0..<4096))
        }
        for level in [-1, 0, 20, 22] {
            let error = #expect(throws: ArchiveError.self) {
                try encoder.encode(SampleLog.raw(0..<4096), SampleLog.metadata(0..<4096), level: level)
            }
            #expect(error?.code == .invalid)
        }
    }

    @Test func incompressibleSegmentsComeBack() throws {
        var random = SeededGenerator(seed: 5)
        let raw = (0..<(1 << 20)).map { _ in UInt8.random(in: 0...255, using: &random) }
        let object = try ObjectEncoder().encode(raw, SampleLog.metadata(0..<(1 << 20)), level: 1)
        #expect(object.bytes.count < raw.count + 4096)
        #expect(try ObjectDecoder.decode(object.bytes, key: key, start: .zero).raw == raw)
    }

    @Test func everyChangedByteIsNoticed() throws {
        let object = try SampleLog.encode(4096..<4396)
        for offset in object.bytes.indices {
            var bytes = object.bytes
            for change in UInt8(1)...255 {
                bytes[offset] = object.bytes[offset] ^ change
                if (try? ObjectDecoder.decode(bytes, key: key, start: LSN(4096))) != nil {
                    Issue.record("byte \(offset) changed by \(change) was not noticed")
                }
            }
        }
    }

    @Test func everyTruncationAndExtensionIsNoticed() throws {
        let object = try SampleLog.encode(4096..<8192)
        for count in 0..<object.bytes.count {
            let error = #expect(throws: ArchiveError.self) {
                try ObjectDecoder.decode(Array(object.bytes.prefix(count)), key: key, start: LSN(4096))
            }
            #expect(error?.code == .damaged && error?.key == key && error?.lsn == LSN(4096))
        }
        for extra in [1, 2, 100] {
            #expect(throws: ArchiveError.self) {
                try ObjectDecoder.decode(object.bytes + [UInt8](repeating: 0, count: extra), key: key, start: LSN(4096))
            }
        }
    }

    @Test func objectUnderAnotherNameIsRefused() throws {
        let object = try SampleLog.encode(4096..<8192)
        let error = #expect(throws: ArchiveError.self) { try ObjectDecoder.decode(object.bytes, key: key, start: LSN(8192)) }
        #expect(error?.code == .damaged && error?.message.contains("begins at LSN 4096") == true)
    }

    @Test func objectOfAnotherLogArchiveEpochOrKindIsDiverged() throws {
        let layout = Layout(log: LogName("log")!)
        let object = try SampleLog.encode(4096..<8192)
        let identity = object.metadata.identity
        #expect(try ObjectDecoder.decode(object.bytes, identity, in: layout).metadata == object.metadata)
        let changes: [(inout ObjectIdentity) -> Void] = [
            { $0.logID = LogID(high: 1, low: 2) }, { $0.archiveID = ArchiveID(high: 1, low: 2) },
            { $0.epoch = EpochName(SampleLog.first) }, { $0.kind = .tail(level: 0) },
        ]
        for change in changes {
            var other = identity
            change(&other)
            let error = #expect(throws: ArchiveError.self) { try ObjectDecoder.decode(object.bytes, other, in: layout) }
            #expect(error?.code == .diverged && error?.key == layout.object(other))
        }
    }

    /// Changes to the metadata that somebody sealed with good checksums: offset in the metadata, value, and what is said of it.
    static let insane: [(String, Int, UInt64, String)] = [
        ("kind", 16, 3, "kind 3"), ("level of a segment", 16, 1 | 1 << 32, "level 1"), ("level", 16, 2 | 4 << 32, "level 4"),
        ("epoch number 0", 56, 0, "epoch number 0"), ("epoch number", 56, 10_000_000_000, "epoch number"),
        ("other epoch", 56, 3, "does not end with"), ("other id", 64, 1, "does not end with"),
        ("empty range", 80, 4096, "is empty"), ("end before start", 80, 1, "is empty"),
        ("end too far", 80, 1 << 62 + 1, "past the largest"), ("range too large", 80, 4096 + 1 << 30 + 1, "more than"),
        ("range of another size", 80, 8193, "the range has"),
        ("first record outside", 88, 1, "do not begin inside"), ("no first record", 88, .max, "records from"),
        ("last record outside", 96, 8192, "do not begin inside"), ("too many records", 104, 1 << 60, "cannot begin"),
        ("no records", 104, 0, "0 records"), ("one record", 104, 1, "1 records"), ("object size", 112, 7, "the metadata says 7"),
        ("object larger than any", 112, .max, "more than any object"),
        ("raw digest", 128, 1, "digest"), ("key id", 160, 1, "reserved"), ("salt", 200, 1, "reserved"),
        ("epoch start", 208, 4097, "its epoch begins"), ("reserved", 216, 1, "reserved"), ("reserved", 232, 1, "reserved"),
        ("ancestry count", 224, 3 | 2 << 32, "counts say"), ("time count", 224, 2 | 1 << 32, "counts say"),
        ("huge counts", 224, .max, "more than an object"),
        ("first ancestor", 240, 2, "not in order"), ("fork past the next", 256, 5000, "not in order"),
        ("fork too far", 280, 1 << 62 + 1, "past the largest"),
        ("time below", 296, 4096, "time index"), ("time past", 312, 8193, "time index"),
    ]

    @Test(arguments: insane)
    func soundChecksumsDoNotExcuseInsaneMetadata(what: String, offset: Int, value: UInt64, said: String) throws {
        var bytes = try SampleLog.encode(4096..<8192).bytes
        bytes.put(value, at: 8 + offset)
        bytes.reseal()
        let error = #expect(throws: ArchiveError.self, "\(what)") { try ObjectDecoder.decode(bytes, key: key, start: LSN(4096)) }
        #expect(error?.code == .damaged && error?.message.contains(said) == true, "\(what): \(String(describing: error))")
    }

    @Test func whatThisVersionDoesNotReadIsUnsupportedAndNotDamaged() throws {
        for (offset, value) in [(8, UInt32(2)), (8, 0), (12, 2), (12, 3)] {
            var bytes = try SampleLog.encode(4096..<8192).bytes
            bytes.put(value, at: 8 + offset)
            bytes.reseal()
            let error = #expect(throws: ArchiveError.self) { try ObjectDecoder.decode(bytes, key: key, start: LSN(4096)) }
            #expect(error?.code == .unsupported && error?.hint != nil)
        }
    }

    @Test func metadataIsReadFromTheFirstBytes() throws {
        let object = try SampleLog.encode(4096..<8192)
        let prefix = Array(object.bytes.prefix(8 + 240 + 2 * 24 + 2 * 16))
        #expect(try ObjectDecoder.metadataSize(prefix: Array(prefix.prefix(20)), key: key, start: LSN(4096)) == prefix.count)
        #expect(try ObjectDecoder.metadata(prefix: prefix, key: key, start: LSN(4096)) == object.metadata)
        #expect(try ObjectDecoder.metadata(prefix: Array(prefix.dropLast()), key: key, start: LSN(4096)) == nil)
        // All but the object's own checksum, which covers more than the prefix.
        for offset in prefix.indices where !(8 + 120..<8 + 124).contains(offset) {
            var changed = prefix
            changed[offset] ^= 1
            let found = try? ObjectDecoder.metadata(prefix: changed, key: key, start: LSN(4096))
            #expect(found == nil, "byte \(offset)")
        }
    }

    /// A flipped bit in the version is damage also where the metadata is longer than what is read of it first; what really is of another version is not.
    @Test func theVersionOfLongMetadataIsJudgedByAllOfIt() throws {
        var metadata = SampleLog.metadata(4096..<8192)
        metadata.timeIndex = (1...1000).map { .init(time: SampleLog.time, lsn: LSN(4096 + UInt64($0))) }
        let whole = try ObjectEncoder().encode(SampleLog.raw(4096..<8192), metadata, level: 3).bytes
        for isNewer in [false, true] {
            var bytes = whole
            bytes.put(UInt32(3), at: 16)
            if isNewer { bytes.reseal() }
            let prefix = Array(bytes.prefix(ObjectDecoder.prefixSize))
            #expect(try ObjectDecoder.metadata(prefix: prefix, key: key, start: LSN(4096)) == nil)
            let size = try ObjectDecoder.metadataSize(prefix: prefix, key: key, start: LSN(4096))
            #expect(size > prefix.count)
            for read in [size, bytes.count] {
                let error = #expect(throws: ArchiveError.self) { try ObjectDecoder.metadata(prefix: Array(bytes.prefix(read)), key: key, start: LSN(4096)) }
                #expect(error?.code == (isNewer ? .unsupported : .damaged))
            }
        }
    }

    @Test func encoderRefusesWhatADecoderWould() throws {
        var metadata = SampleLog.metadata(4096..<8192)
        metadata.ancestry = []
        let error = #expect(throws: ArchiveError.self) { try ObjectEncoder().encode(SampleLog.raw(4096..<8192), metadata, level: 1) }
        #expect(error?.code == .invalid)
    }

    @Test func rawDigestIsXXH3InCanonicalForm() throws {
        // What `xxh128sum` prints for an empty file.
        #expect(RawDigest(of: []).description == "99aa06d3014798d86001c324468d497f")
        #expect(RawDigest(hex: "99aa06d3014798d86001c324468d497f") == RawDigest(of: []))
        #expect(RawDigest(hex: "99AA06d3014798d86001c324468d497f") == nil)
        #expect(RawDigest(hex: "99aa06d3014798d86001c324468d497") == nil)
        #expect(RawDigest(RawDigest(of: []).bytes) == RawDigest(of: []))
    }

    @Test func limitsAgreeWithOneAnother() {
        let metadataMax = 240 + 24 * ArchiveLimits.ancestryCountMax + 16 * ArchiveLimits.timeIndexCountMax
        // ZSTD_compressBound: the size, 1/256 of it, and a little for small inputs.
        let frameMax = Int(ArchiveLimits.rawSizeMax) + Int(ArchiveLimits.rawSizeMax) >> 8 + 64 * 1024
        #expect(ArchiveLimits.objectSizeMax >= 8 + metadataMax + frameMax + 16 * (frameMax / (64 * 1024) + 1), "encrypted or not")
        #expect(ArchiveLimits.startDocumentSizeMax >= 200 * ArchiveLimits.ancestryCountMax)
        #expect(ArchiveLimits.lsnMax.rawValue == FormatLimits.lsnMax)
        #expect(ArchiveLimits.rawSizeMax % ArchiveLimits.segmentSizeMin == 0)
        #expect(ArchiveLimits.epochNumberMax < 1 << 53, "a JSON number must hold it exactly")
    }
}
