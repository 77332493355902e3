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
    /// In this order: sizes, magic and version; the CRC-32C over everything; the metadata's sanity and limits, and that it
    /// begins at `start`; the zstd frame's own size against the range, before anything is allocated; zstd's content
    /// checksum; the raw digest. Throws `.damaged` for all of these, naming key and LSN, and `.unsupported` for a version,
    /// flag or encryption that this software does not read.
    public static func decode(_ bytes: [UInt8], key: ObjectKey, start: LSN) throws(ArchiveError) -> Decoded {
        do throws(ObjectFormatFailure) {
            let metadata = try checkedMetadata(bytes, start: start)
            let offset = ZstdFrame.skippableHeaderSize + metadata.encodedSize
            let raw = try unsafe bytes.span.bytes.withUnsafeBytes { (buffer) throws(ObjectFormatFailure) in
                // SAFETY: the metadata ends inside the object; `size` is within rawSizeMax, so it fits an Int.
                try unsafe ZstdFrame.decompress(
                    UnsafeRawBufferPointer(rebasing: buffer[offset...]), size: Int(metadata.rawSize))
            }
            let digest = RawDigest(of: raw)
            guard digest == metadata.rawDigest else {
                throw .damaged("the raw bytes have digest \(digest), the metadata says \(metadata.rawDigest)")
            }
            return Decoded(metadata: metadata, raw: raw)
        } catch {
            throw error.archiveError(key: key, start: start)
        }
    }

    /// Checks the whole object but for its content: everything that `decode` checks before it decompresses.
    public static func checkSealed(_ bytes: [UInt8], key: ObjectKey, start: LSN) throws(ArchiveError) -> ObjectMetadata {
        do throws(ObjectFormatFailure) {
            return try checkedMetadata(bytes, start: start)
        } catch {
            throw error.archiveError(key: key, start: start)
        }
    }

    /// Decodes the metadata from the first bytes of an object: `prefixSize` of them, or fewer where the object is smaller.
    /// Nil: more are needed, see `metadataSize`. Its own checksum is verified; that the rest of the object is there and
    /// sound is not.
    public static func metadata(prefix bytes: [UInt8], key: ObjectKey, start: LSN) throws(ArchiveError) -> ObjectMetadata? {
        do throws(ObjectFormatFailure) {
            let range = try metadataRange(bytes)
            guard range.upperBound <= bytes.count else { return nil }
            return try parsedMetadata(bytes[range], start: start)
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

    private static func checkedMetadata(_ bytes: [UInt8], start: LSN) throws(ObjectFormatFailure) -> ObjectMetadata {
        guard bytes.count <= ArchiveLimits.objectSizeMax else { throw .damaged("it has \(bytes.count) bytes, more than any object") }
        let range = try metadataRange(bytes)
        guard range.upperBound + ZstdFrame.sizeMin <= bytes.count else {
            throw .damaged("it is cut short: only \(bytes.count) bytes")
        }
        var reader = LittleEndianReader(bytes[(range.lowerBound + ObjectMetadataFormat.checksumOffset)...])
        let stored = reader.u32()
        let computed = checksum(bytes[...], zeroing: range.lowerBound + ObjectMetadataFormat.checksumOffset)
        guard stored == computed else {
            throw .damaged("its CRC-32C is \(hex(computed)), the metadata says \(hex(stored)): cut short or changed")
        }
        let metadata = try parsedMetadata(bytes[range], start: start)
        guard metadata.objectSize == UInt64(bytes.count) else {
            throw .damaged("it has \(bytes.count) bytes, the metadata says \(metadata.objectSize)")
        }
        return metadata
    }

    /// Where the metadata lies, after the checks of magic, size and version that need only the first 20 bytes.
    private static func metadataRange(_ bytes: [UInt8]) throws(ObjectFormatFailure) -> Range<Int> {
        let offset = ZstdFrame.skippableHeaderSize
        guard bytes.count >= offset + 12 else { throw .damaged("it is cut short: only \(bytes.count) bytes") }
        var reader = LittleEndianReader(bytes[...])
        guard reader.u32() == ZstdFrame.skippableMagic else { throw .damaged("it does not begin with a metadata frame") }
        let size = Int(reader.u32())
        guard reader.u64() == ObjectMetadataFormat.magic else { throw .damaged("its first frame is not walship's metadata") }
        let version = reader.u32()
        guard version == ObjectMetadataFormat.version else { throw .unsupported("object format \(version) is not one this version reads") }
        guard (ObjectMetadataFormat.headerSize...ObjectMetadataFormat.sizeMax).contains(size) else {
            throw .damaged("its metadata claims \(size) bytes")
        }
        return offset..<(offset + size)
    }

    private static func parsedMetadata(_ bytes: ArraySlice<UInt8>, start: LSN) throws(ObjectFormatFailure) -> ObjectMetadata {
        let offset = bytes.startIndex
        var reader = LittleEndianReader(bytes[(offset + ObjectMetadataFormat.headerChecksumOffset)...])
        let stored = reader.u32()
        var zeroed = Array(bytes)
        zeroed.storeLittleEndian(0, at: ObjectMetadataFormat.checksumOffset)
        let computed = checksum(zeroed[...], zeroing: ObjectMetadataFormat.headerChecksumOffset)
        guard stored == computed else {
            throw .damaged("its metadata's CRC-32C is \(hex(computed)), the metadata says \(hex(stored))")
        }
        let metadata = try ObjectMetadata(parsing: bytes)
        guard metadata.start == start else { throw .damaged("its range begins at LSN \(metadata.start), its name says \(start)") }
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
    func archiveError(key: ObjectKey, start: LSN) -> ArchiveError {
        switch self {
        case .damaged(let what):
            ArchiveError(.damaged, "the object is damaged: \(what)", key: key, lsn: start)
        case .unsupported(let what):
            ArchiveError(.unsupported, what, key: key, lsn: start, hint: "read it with the version of walship that wrote it, or a newer one")
        }
    }
}
