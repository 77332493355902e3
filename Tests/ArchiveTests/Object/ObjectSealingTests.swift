import Testing
import TestSupport
import WAL

@testable import Archive

/// What encryption promises of an object: only what was sealed, whole, in its place and by a key that is at hand, opens.
@Suite struct ObjectSealingTests {
    static let key = MasterKey(bytes: (0..<32).map { UInt8($0) })
    static let other = MasterKey(bytes: (0..<32).map { UInt8(100 + $0) })
    static let ring = KeyRing(current: key)
    static let layout = Layout(log: LogName("log")!)

    static func name(_ range: Range<UInt64>, kind: ObjectMetadata.Kind = .segment) -> ObjectKey {
        layout.object(kind, SampleLog.epoch, start: LSN(range.lowerBound), isEncrypted: true)
    }

    static func encode(
        _ range: Range<UInt64>, kind: ObjectMetadata.Kind = .segment, raw: [UInt8]? = nil, key: MasterKey = key
    ) throws -> EncodedObject {
        try ObjectEncoder(key: key).encode(raw ?? SampleLog.raw(range), SampleLog.metadata(range, kind: kind), level: 3)
    }

    /// Bytes that take several pieces however they are compressed.
    static func incompressible(_ count: Int, seed: UInt64 = 7) -> [UInt8] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    private func refused(_ bytes: [UInt8], _ what: String, start: UInt64 = 4096, keys: KeyRing = ring) {
        let error = #expect(throws: ArchiveError.self, "\(what)") {
            try ObjectDecoder.decode(bytes, key: Self.name(start..<start + 1), start: LSN(start), keys: keys)
        }
        #expect([.damaged, .unsupported, .keyMissing].contains(error?.code), "\(what): \(String(describing: error))")
    }

    @Test(arguments: [
        (0..<4096, ObjectMetadata.Kind.segment), (8190..<8192, .tail(level: 0)), (4096..<4100, .tail(level: 3)), (2048..<4096, .segment),
    ] as [(Range<UInt64>, ObjectMetadata.Kind)])
    func sealedObjectsComeBackAsTheyWere(range: Range<UInt64>, kind: ObjectMetadata.Kind) throws {
        let object = try Self.encode(range, kind: kind)
        let decoded = try ObjectDecoder.decode(object.bytes, key: Self.name(range, kind: kind), start: LSN(range.lowerBound), keys: Self.ring)
        #expect(decoded.raw == SampleLog.raw(range))
        #expect(decoded.metadata == object.metadata && object.metadata.objectSize == UInt64(object.bytes.count))
        #expect(decoded.metadata.seal?.keyID == Self.key.id && decoded.metadata.isEncrypted)
        #expect(decoded.metadata.rawDigest == Self.ring.digest(of: decoded.raw, log: SampleLog.logID, under: Self.key.id))
        #expect(decoded.metadata.rawDigest != RawDigest(of: decoded.raw))
        #expect(Self.layout.object(decoded.metadata) == Self.name(range, kind: kind))
        #expect(try ObjectDecoder.checkSealed(object.bytes, key: Self.name(range, kind: kind), start: LSN(range.lowerBound)) == object.metadata)
    }

    @Test func contentOfEverySizeAboutAPieceComesBack() throws {
        let piece = ObjectSealing.pieceSize
        for count in [2, piece / 2, piece - 40, piece, piece + 1, 2 * piece - 30, 3 * piece + 5, 1 << 20] {
            let range: Range<UInt64> = 0..<UInt64(count)
            let raw = Self.incompressible(count)
            let object = try Self.encode(range, kind: .tail(level: 0), raw: raw)
            let plain = try ObjectEncoder().encode(raw, SampleLog.metadata(range, kind: .tail(level: 0)), level: 3)
            let content = plain.bytes.count - 8 - plain.metadata.encodedSize
            #expect(object.bytes.count == plain.bytes.count + 16 * ((content + piece - 1) / piece))
            let decoded = try ObjectDecoder.decode(object.bytes, key: Self.name(range, kind: .tail(level: 0)), start: .zero, keys: Self.ring)
            #expect(decoded.raw == raw, "\(count)")
        }
    }

    @Test func sealedSizesAreThoseOfWholePieces() {
        let piece = ObjectSealing.pieceSize
        var sizes: Set<Int> = []
        for count in Array(1...60) + Array(piece - 40...piece + 40) + Array(3 * piece - 2...3 * piece + 2) {
            let sealed = ObjectSealing.sealedSize(count)
            #expect(ObjectSealing.openedSize(sealed) == count)
            sizes.insert(sealed)
        }
        for count in -1...60 where !sizes.contains(count) { #expect(ObjectSealing.openedSize(count) == nil, "\(count)") }
        for count in piece...piece + 40 where !sizes.contains(count) { #expect(ObjectSealing.openedSize(count) == nil, "\(count)") }
    }

    // MARK: Whatever is changed

    @Test func anyBitChangedAndSealedWithGoodChecksumsDoesNotOpen() throws {
        let object = try Self.encode(4096..<4396)
        for offset in 8..<object.bytes.count where !(128..<136).contains(offset) {
            for bit in 0..<8 {
                var bytes = object.bytes
                bytes[offset] ^= 1 << bit
                bytes.reseal()
                refused(bytes, "byte \(offset) bit \(bit)")
            }
        }
    }

    @Test func everyCutIsNoticedWithGoodSizeAndChecksums() throws {
        let object = try Self.encode(4096..<4396)
        for count in 8 + 240 + 2 * 24 + 2 * 16..<object.bytes.count {
            var bytes = Array(object.bytes.prefix(count))
            bytes.put(UInt64(count), at: 8 + 112)
            bytes.reseal()
            refused(bytes, "\(count) bytes")
        }
        refused(Array(object.bytes.dropLast()), "as it is")
    }

    /// What somebody can do with pieces who has no key.
    private static func rearranged(_ pieces: [[UInt8]]) -> [(String, [[UInt8]])] {
        var changes: [(String, [[UInt8]])] = []
        for index in pieces.indices {
            changes.append(("cut to \(index)", Array(pieces.prefix(index))))
            changes.append(("without \(index)", pieces.enumerated().filter { $0.offset != index }.map(\.element)))
            changes.append(("\(index) twice", Array(pieces[...index]) + Array(pieces[index...])))
            for second in pieces.indices where second > index {
                var swapped = pieces
                swapped.swapAt(index, second)
                changes.append(("\(index) and \(second) swapped", swapped))
            }
        }
        return changes
    }

    @Test func piecesMovedSwappedCutOrTakenFromAnotherObjectDoNotOpen() throws {
        let count = 4 * ObjectSealing.pieceSize
        let metadata = SampleLog.metadata(0..<UInt64(count), kind: .tail(level: 0))
        let associated = [UInt8](repeating: 3, count: 32)
        let content = Self.incompressible(count)
        func pieces(_ key: MasterKey, salt: UInt8) throws -> [[UInt8]] {
            var bytes = [UInt8](repeating: 0, count: 64) + content
            let objectKey = key.objectKey(metadata, salt: [UInt8](repeating: salt, count: 32))
            try ObjectSealing.seal(&bytes, 64..<64 + count, to: 0, key: objectKey, associatedData: associated)
            return stride(from: 0, to: bytes.count, by: ObjectSealing.pieceSize + 16).map {
                Array(bytes[$0..<min($0 + ObjectSealing.pieceSize + 16, bytes.count)])
            }
        }
        let ours = try pieces(Self.key, salt: 1)
        let objectKey = Self.key.objectKey(metadata, salt: [UInt8](repeating: 1, count: 32))
        func open(_ pieces: [[UInt8]], _ associated: [UInt8] = associated) throws(ObjectFormatFailure) -> [UInt8] {
            let bytes = pieces.reduce([], +)
            return try ObjectSealing.open(bytes[...], key: objectKey, associatedData: associated)
        }
        #expect(try open(ours) == content)
        for (what, changed) in Self.rearranged(ours) { #expect(throws: ObjectFormatFailure.self, "\(what)") { try open(changed) } }
        for strangers in [try pieces(Self.key, salt: 2), try pieces(Self.other, salt: 1)] {
            for index in ours.indices {
                var changed = ours
                changed[index] = strangers[index]
                #expect(throws: ObjectFormatFailure.self) { try open(changed) }
            }
        }
        for bit in 0..<256 {
            var changed = associated
            changed[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: ObjectFormatFailure.self) { try open(ours, changed) }
        }
    }

    @Test func wholeContentUnderAnothersMetadataDoesNotOpen() throws {
        let range: Range<UInt64> = 4096..<8192
        let (one, two) = (try Self.encode(range), try Self.encode(range))
        let prefix = 8 + one.metadata.encodedSize
        #expect(one.bytes.count == two.bytes.count)
        var mixed = Array(one.bytes.prefix(prefix)) + Array(two.bytes.dropFirst(prefix))
        mixed.reseal()
        refused(mixed, "the same range, sealed twice")
        // With the other's salt, too: the metadata that the content is bound to has another digest or time only if there is one.
        let tail = try Self.encode(range, kind: .tail(level: 0))
        mixed = Array(tail.bytes.prefix(prefix)) + Array(one.bytes.dropFirst(prefix))
        mixed.replaceSubrange(8 + 160..<8 + 208, with: one.bytes[8 + 160..<8 + 208])
        mixed.reseal()
        refused(mixed, "a segment as a tail")
    }

    /// An object, whole, with its metadata made to say that it is another.
    @Test func anObjectReplayedAtAnotherPlaceDoesNotOpen() throws {
        let object = try Self.encode(4096..<8192)
        let changes: [(String, UInt64, [(Int, UInt64)])] = [
            ("the next LSN", 8192, [(72, 8192), (80, 12288), (88, 8200), (96, 8216), (104, 2), (296, 8193), (312, 12288)]),
            ("another log", 4096, [(24, 1)]), ("another archive", 4096, [(40, 1)]),
            ("another epoch", 4096, [(56, 3), (264, 3)]), ("another epoch's id", 4096, [(64, 9), (272, 9)]),
            ("another beginning of the epoch", 4096, [(208, 0)]), ("another time", 4096, [(288, 1)]),
            ("another predecessor", 4096, [(144, 7)]), ("fewer ancestors' ids", 4096, [(248, 7)]),
        ]
        for (what, start, fields) in changes {
            var bytes = object.bytes
            for (offset, value) in fields { bytes.put(value, at: 8 + offset) }
            bytes.reseal()
            let name = Self.name(start..<start + 1)
            // It is sound as far as anybody without the key can tell.
            #expect(throws: Never.self, "\(what)") { try ObjectDecoder.checkSealed(bytes, key: name, start: LSN(start)) }
            refused(bytes, what, start: start)
        }
        let layout = Self.layout
        var identity = object.metadata.identity
        #expect(try ObjectDecoder.decode(object.bytes, identity, isEncrypted: true, in: layout, keys: Self.ring).raw == SampleLog.raw(4096..<8192))
        identity.kind = .tail(level: 0)
        let error = #expect(throws: ArchiveError.self) { try ObjectDecoder.decode(object.bytes, identity, isEncrypted: true, in: layout, keys: Self.ring) }
        #expect(error?.code == .diverged)
    }

    @Test func anObjectIsEncryptedExactlyWhereItsNameSaysSo() throws {
        let sealed = try Self.encode(4096..<8192)
        let plain = try SampleLog.encode(4096..<8192)
        let names = [false, true].map { Self.layout.segment(SampleLog.epoch, start: LSN(4096), isEncrypted: $0) }
        for (object, wrong) in [(sealed, names[0]), (plain, names[1])] {
            let error = #expect(throws: ArchiveError.self) { try ObjectDecoder.decode(object.bytes, key: wrong, start: LSN(4096), keys: Self.ring) }
            #expect(error?.code == .damaged && error?.message.contains("name says otherwise") == true)
            #expect(throws: ArchiveError.self) { try ObjectDecoder.metadata(prefix: object.bytes, key: wrong, start: LSN(4096)) }
        }
    }

    @Test func whatWasSealedIsStillCheckedWhole() throws {
        let object = try Self.encode(4096..<8192)
        let offset = 8 + object.metadata.encodedSize
        let objectKey = Self.key.objectKey(object.metadata, salt: object.metadata.seal!.salt)
        let associated = ObjectSealing.associatedData(metadataFrame: object.bytes[..<offset])
        let content = try ObjectSealing.open(object.bytes[offset...], key: objectKey, associatedData: associated)
        func resealed(_ change: (inout [UInt8]) -> Void) throws -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: 16) + content
            change(&bytes)
            try ObjectSealing.seal(&bytes, 16..<bytes.count, to: 0, key: objectKey, associatedData: associated)
            bytes = object.bytes[..<offset] + bytes
            bytes.reseal()
            return bytes
        }
        #expect(try resealed { _ in } == object.bytes)
        for (said, bytes) in [
            ("no content checksum", try resealed { $0[16 + 4] &= ~4 }), ("no zstd frame", try resealed { $0[16] ^= 1 }),
            ("zstd", try resealed { $0[$0.count - 1] ^= 1 }), ("holds", try resealed { $0[16 + 6] ^= 1 }),
        ] {
            let error = #expect(throws: ArchiveError.self) {
                try ObjectDecoder.decode(bytes, key: Self.name(4096..<8192), start: LSN(4096), keys: Self.ring)
            }
            #expect(error?.code == .damaged && error?.message.contains(said) == true, "\(said): \(String(describing: error))")
        }
    }

    // MARK: Keys

    /// Lesson 23 of shipping.
    @Test func noTwoObjectsOfOnePositionShareKeyOrNonceOrAnyPiece() throws {
        let count = 3 * ObjectSealing.pieceSize
        let range = 0..<UInt64(count)
        let raw = Self.incompressible(count)
        let objects = try (0..<8).map { _ in try Self.encode(range, kind: .tail(level: 0), raw: raw) }
        let keys = objects.map { MasterKey.bytes(of: Self.key.objectKey($0.metadata, salt: $0.metadata.seal!.salt)) }
        #expect(Set(objects.map { $0.metadata.seal!.salt }).count == objects.count)
        #expect(Set(keys).count == objects.count)
        #expect(Set(objects.map(\.metadata.rawDigest)).count == 1, "the same range is known again")
        var pieces: Set<[UInt8]> = []
        for object in objects {
            let content = Array(object.bytes.dropFirst(8 + object.metadata.encodedSize))
            for start in stride(from: 0, to: content.count, by: ObjectSealing.pieceSize + 16) {
                pieces.insert(Array(content[start..<min(start + 64, content.count)]))
            }
        }
        #expect(pieces.count == objects.count * 4)
    }

    /// Even with one salt, as a generator that repeats itself would give it, other ranges, epochs and logs have other keys.
    @Test func otherPlacesHaveOtherKeysEvenWithTheSameSalt() {
        let salt = [UInt8](repeating: 5, count: 32)
        func key(_ change: (inout ObjectMetadata) -> Void) -> [UInt8] {
            var metadata = SampleLog.metadata(4096..<8192)
            change(&metadata)
            return MasterKey.bytes(of: Self.key.objectKey(metadata, salt: salt))
        }
        let keys = [
            key { _ in }, key { $0.start = LSN(4097) }, key { $0.end = LSN(8191) }, key { $0.logID = LogID(high: 1, low: 1) },
            key { $0.epoch = EpochName(number: 2, id: EpochID(rawValue: 1)) },
        ]
        #expect(Set(keys).count == keys.count)
    }

    @Test func aKeyThatIsNotThereIsSaidByItsName() throws {
        let object = try Self.encode(4096..<8192)
        for (keys, said) in [(KeyRing.none, "no key was given"), (KeyRing(current: Self.other), "not among the keys given")] {
            let error = #expect(throws: ArchiveError.self) {
                try ObjectDecoder.decode(object.bytes, key: Self.name(4096..<8192), start: LSN(4096), keys: keys)
            }
            #expect(error?.code == .keyMissing && error?.lsn == LSN(4096) && error?.hint?.contains("--key-file") == true)
            #expect(error?.message.contains("\(Self.key.id)") == true && error?.message.contains(said) == true)
        }
        #expect(try ObjectDecoder.metadata(prefix: object.bytes, key: Self.name(4096..<8192), start: LSN(4096)) == object.metadata)
    }

    @Test func anOldKeyStillOpensAndADigestIsKnownUnderEachKey() throws {
        let old = try Self.encode(4096..<8192)
        let new = try Self.encode(4096..<8192, key: Self.other)
        let ring = KeyRing(current: Self.other, others: [Self.key, Self.key])
        for object in [old, new] {
            let decoded = try ObjectDecoder.decode(object.bytes, key: Self.name(4096..<8192), start: LSN(4096), keys: ring)
            #expect(decoded.raw == SampleLog.raw(4096..<8192))
            #expect(ring.digest(of: decoded.raw, log: SampleLog.logID, under: Self.key.id) == old.metadata.rawDigest)
            #expect(ring.digest(of: decoded.raw, log: SampleLog.logID, under: Self.other.id) == new.metadata.rawDigest)
        }
        #expect(old.metadata.rawDigest != new.metadata.rawDigest)
        #expect(ring.digest(of: [1], log: SampleLog.logID, under: nil) == RawDigest(of: [1]))
        #expect(KeyRing.none.digest(of: [1], log: SampleLog.logID, under: Self.key.id) == nil)
        #expect(ring.digest(of: [1], log: LogID(high: 1, low: 1), under: Self.key.id) != ring.digest(of: [1], log: SampleLog.logID, under: Self.key.id))
        #expect(ring.contains(Self.key.id) && ring.contains(Self.other.id) && !KeyRing(current: Self.key).contains(Self.other.id))
    }
}
