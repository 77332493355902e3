public import WAL

/// Reads objects back and believes nothing before it is checked. Stateless; safe from any thread. Decompressing blocks its
/// thread, so keep whole segments off the cooperative pool.
public enum ObjectDecoder {
    /// The range of `metadata`, byte for byte as it was in the log.
    public struct Decoded: Hashable, Sendable {
        public let metadata: ObjectMetadata
        public let raw: [UInt8]
    }

    /// What a reader fetches first when it wants only the metadata: enough for a few hundred epochs and times.
    public static let prefixSize = 8192

    /// Decodes the whole object that was found at `key`, whose range must begin at `start`.
    ///
    /// In this order: sizes, magic and version; the CRC-32C over everything; the metadata's sanity and limits, that it begins at `start` and is encrypted
    /// where its name says so; where it is, that every piece of its content opens; the zstd frame's own size against the range, before anything is allocated;
    /// zstd's content checksum; the raw digest. Throws `.damaged` for all of these, naming key and LSN, `.unsupported` for a version or flag that this software
    /// does not read, and `.keyMissing` for an object whose key is not in `keys`.
    public static func decode(_ bytes: [UInt8], key: ObjectKey, start: LSN, keys: KeyRing = .none) throws(ArchiveError) -> Decoded {
        try decode(bytes, key: key, start: start, keys: keys, blocks: .empty)
    }

    /// As above; `raw` is an array of `blocks`, for the caller to give back.
    package static func decode(
        _ bytes: [UInt8], key: ObjectKey, start: LSN, keys: KeyRing, blocks: BlockPool
    ) throws(ArchiveError) -> Decoded {
        do throws(ObjectFormatFailure) {
            let metadata = try checkedMetadata(bytes, key: key, start: start)
            let content = try content(of: bytes, metadata, keys)
            // `rawSize` is within rawSizeMax, so it fits an Int.
            let raw = try unsafe content.span.bytes.withUnsafeBytes { (buffer) throws(ObjectFormatFailure) in
                try unsafe ZstdFrame.decompress(buffer, size: Int(metadata.rawSize), blocks: blocks)
            }
            let digest = keys.digest(of: raw, log: metadata.logID, under: metadata.seal?.keyID)
            guard let digest, digest == metadata.rawDigest else {
                throw .damaged("the raw bytes have digest \(digest.map(\.description) ?? "none"), the metadata says \(metadata.rawDigest)")
            }
            return Decoded(metadata: metadata, raw: raw)
        } catch {
            throw error.archiveError(key: key, start: start, keys: keys)
        }
    }

    /// The zstd frame, opened where it is encrypted.
    private static func content(of bytes: [UInt8], _ metadata: ObjectMetadata, _ keys: KeyRing) throws(ObjectFormatFailure) -> ArraySlice<UInt8> {
        let offset = ZstdFrame.skippableHeaderSize + metadata.encodedSize
        guard let seal = metadata.seal else { return bytes[offset...] }
        guard let master = keys[seal.keyID] else { throw .keyMissing(seal.keyID) }
        return try ObjectSealing.open(
            bytes[offset...], key: master.objectKey(metadata, salt: seal.salt),
            associatedData: ObjectSealing.associatedData(metadataFrame: bytes[..<offset]))[...]
    }

    /// Checks the whole object but for its content: everything that `decode` checks before it decompresses.
    public static func checkSealed(_ bytes: [UInt8], key: ObjectKey, start: LSN) throws(ArchiveError) -> ObjectMetadata {
        do throws(ObjectFormatFailure) {
            return try checkedMetadata(bytes, key: key, start: start)
        } catch {
            throw error.archiveError(key: key, start: start)
        }
    }

    /// Decodes the metadata from the first bytes of an object: `prefixSize` of them, or fewer where the object is smaller.
    /// Nil: more are needed, see `metadataSize`. Its own checksum is verified; that the rest of the object is there and
    /// sound is not, nor, where it is encrypted, that somebody with the key wrote it.
    public static func metadata(prefix bytes: [UInt8], key: ObjectKey, start: LSN) throws(ArchiveError) -> ObjectMetadata? {
        do throws(ObjectFormatFailure) {
            let range = try metadataRange(bytes)
            // Without all of the metadata nobody knows whether it is of another version, or a bit of that has flipped.
            guard range.upperBound <= bytes.count else { return nil }
            try requireVersion(bytes, range)
            return try parsedMetadata(bytes[range], key: key, start: start)
        } catch {
            throw error.archiveError(key: key, start: start)
        }
    }

    /// How many bytes from the object's start `metadata(prefix:key:start:)` needs, from the first 20 of them.
    public static func metadataSize(prefix bytes: [UInt8], key: ObjectKey, start: LSN) throws(ArchiveError) -> Int {
        do throws(ObjectFormatFailure) {
            return try metadataRange(bytes).upperBound
        } catch {
            throw error.archiveError(key: key, start: start)
        }
    }

    private static func checkedMetadata(_ bytes: [UInt8], key: ObjectKey, start: LSN) throws(ObjectFormatFailure) -> ObjectMetadata {
        guard bytes.count <= ArchiveLimits.objectSizeMax else { throw .damaged("it has \(bytes.count) bytes, more than any object") }
        let range = try metadataRange(bytes)
        try requireVersion(bytes, range)
        guard range.upperBound + ZstdFrame.sizeMin <= bytes.count else {
            throw .damaged("it is cut short: only \(bytes.count) bytes")
        }
        var reader = LittleEndianReader(bytes[(range.lowerBound + ObjectMetadataFormat.checksumOffset)...])
        let stored = reader.u32()
        let computed = checksum(bytes[...], zeroing: range.lowerBound + ObjectMetadataFormat.checksumOffset)
        guard stored == computed else {
            throw .damaged("its CRC-32C is \(hex(computed)), the metadata says \(hex(stored)): cut short or changed")
        }
        let metadata = try parsedMetadata(bytes[range], key: key, start: start)
        guard metadata.objectSize == UInt64(bytes.count) else {
            throw .damaged("it has \(bytes.count) bytes, the metadata says \(metadata.objectSize)")
        }
        return metadata
    }

    /// Where the metadata lies, after the checks of magic and size that need only the first 20 bytes. Another version's sizes are held to the same limits.
    private static func metadataRange(_ bytes: [UInt8]) throws(ObjectFormatFailure) -> Range<Int> {
        let offset = ZstdFrame.skippableHeaderSize
        guard bytes.count >= offset + 12 else { throw .damaged("it is cut short: only \(bytes.count) bytes") }
        var reader = LittleEndianReader(bytes[...])
        guard reader.u32() == ZstdFrame.skippableMagic else { throw .damaged("it does not begin with a metadata frame") }
        let size = Int(reader.u32())
        guard reader.u64() == ObjectMetadataFormat.magic else { throw .damaged("its first frame is not walship's metadata") }
        guard (ObjectMetadataFormat.headerSize...ObjectMetadataFormat.sizeMax).contains(size) else {
            let version = reader.u32()
            guard version == ObjectMetadataFormat.version else { throw unread(version) }
            throw .damaged("its metadata claims \(size) bytes")
        }
        return offset..<(offset + size)
    }

    /// `range` is where the metadata lies; where `bytes` end inside it, its checksum says nothing.
    private static func requireVersion(_ bytes: [UInt8], _ range: Range<Int>) throws(ObjectFormatFailure) {
        var reader = LittleEndianReader(bytes[(range.lowerBound + ObjectMetadataFormat.versionOffset)...])
        let version = reader.u32()
        guard version != ObjectMetadataFormat.version else { return }
        if range.upperBound <= bytes.count, isOfThisVersion(bytes[range]) {
            throw .damaged("its version says \(version), and its metadata's CRC-32C is right with \(ObjectMetadataFormat.version)")
        }
        throw unread(version)
    }

    private static func unread(_ version: UInt32) -> ObjectFormatFailure { .unsupported("object format \(version) is not one this version reads") }

    /// Whether metadata that names another version is of this one: its checksum is right with this one's number. A bit has flipped in it then; what is really of another
    /// version is not damaged, and nobody replaces it.
    private static func isOfThisVersion(_ metadata: ArraySlice<UInt8>) -> Bool {
        var bytes = Array(metadata)
        bytes.storeLittleEndian(ObjectMetadataFormat.version, at: ObjectMetadataFormat.versionOffset)
        let (stored, computed) = storedAndComputed(bytes[...])
        return stored == computed
    }

    private static func storedAndComputed(_ metadata: ArraySlice<UInt8>) -> (stored: UInt32, computed: UInt32) {
        let offset = metadata.startIndex
        var reader = LittleEndianReader(metadata[(offset + ObjectMetadataFormat.headerChecksumOffset)...])
        let stored = reader.u32()
        var zeroed = Array(metadata)
        zeroed.storeLittleEndian(0, at: ObjectMetadataFormat.checksumOffset)
        return (stored, checksum(zeroed[...], zeroing: ObjectMetadataFormat.headerChecksumOffset))
    }

    private static func parsedMetadata(_ bytes: ArraySlice<UInt8>, key: ObjectKey, start: LSN) throws(ObjectFormatFailure) -> ObjectMetadata {
        let (stored, computed) = storedAndComputed(bytes)
        guard stored == computed else {
            throw .damaged("its metadata's CRC-32C is \(hex(computed)), the metadata says \(hex(stored))")
        }
        let metadata = try ObjectMetadata(parsing: bytes)
        guard metadata.start == start else { throw .damaged("its range begins at LSN \(metadata.start), its name says \(start)") }
        guard metadata.isEncrypted == key.path.hasSuffix(Layout.encryptedSuffix) else {
            throw .damaged("it is \(metadata.isEncrypted ? "" : "not ")encrypted, its name says otherwise")
        }
        return metadata
    }

    /// CRC-32C of `bytes` with the four bytes at `offset` (an index into the slice) taken as zero.
    private static func checksum(_ bytes: ArraySlice<UInt8>, zeroing offset: Int) -> UInt32 {
        var crc = CRC32C()
        let zeros: [UInt8] = [0, 0, 0, 0]
        for part in [bytes[..<offset], zeros[...], bytes[(offset + 4)...]] {
            unsafe crc.update(part.span.bytes)
        }
        return crc.value
    }

    private static func hex(_ value: UInt32) -> String { "0x" + String(value, radix: 16) }
}

extension ObjectFormatFailure {
    func archiveError(key: ObjectKey, start: LSN, keys: KeyRing = .none) -> ArchiveError {
        switch self {
        case .damaged(let what):
            ArchiveError(.damaged, "the object is damaged: \(what)", key: key, lsn: start)
        case .unsupported(let what):
            ArchiveError(.unsupported, what, key: key, lsn: start, hint: "read it with the version of walship that wrote it, or a newer one")
        case .keyMissing(let id):
            keys.missing(id, key: key, lsn: start)
        }
    }
}
