import Synchronization
package import WAL

/// Turns raw log bytes and what is known about them into one object's bytes, encrypted where there is a key. Holds as many zstd
/// contexts as calls were made at one time, and reuses them; calls from several threads do not wait for each other. Compressing blocks its thread for
/// as long as it takes (16 MiB: tens of milliseconds at level 1), so keep it off the cooperative pool.
public final class ObjectEncoder: Sendable {
    private let idle: Mutex<[Context]>
    private let key: MasterKey?
    private let salt: @Sendable () -> [UInt8]

    /// `key`: what it makes is encrypted with it; nil: it is not encrypted. Throws `.invalid` where zstd gets no memory for its context.
    public convenience init(key: MasterKey? = nil) throws(ArchiveError) {
        try self.init(key: key) {
            var generator = SystemRandomNumberGenerator()
            return (0..<ObjectSealing.saltSize).map { _ in UInt8.random(in: 0...255, using: &generator) }
        }
    }

    /// `salt` gives 32 bytes that nobody has seen before; only golden files have others.
    package init(key: MasterKey?, salt: @escaping @Sendable () -> [UInt8]) throws(ArchiveError) {
        idle = Mutex([try Context()])
        self.key = key
        self.salt = salt
    }

    /// The raw digest that an object of these bytes has.
    package func digest(of raw: [UInt8], log: LogID) -> RawDigest {
        let plain = RawDigest(of: raw)
        return key.map { $0.keyed(plain, log: log) } ?? plain
    }

    /// One compression context. Whoever took it out of `idle` is the only one who has it: hence unchecked.
    private final class Context: @unchecked Sendable {
        var compressor: ZstdCompressor

        init() throws(ArchiveError) {
            guard let compressor = ZstdCompressor() else { throw ArchiveError(.invalid, "no memory for a zstd context") }
            self.compressor = compressor
        }
    }

    /// The object that holds `raw`, which is exactly the range of `metadata`.
    ///
    /// `level` is zstd's, within `ArchiveLimits.compressionLevels`. The metadata returned is the given one with
    /// `rawDigest`, `objectSize`, `checksum` and `seal` filled in. Throws `.invalid` for metadata with a `problem`, a level out of
    /// range, or where zstd gets no memory; traps where `raw` is not as long as the range.
    public func encode(_ raw: [UInt8], _ metadata: ObjectMetadata, level: Int) throws(ArchiveError) -> EncodedObject {
        if let problem = metadata.problem { throw ArchiveError(.invalid, "no object can be made: \(problem)", lsn: metadata.start) }
        guard ArchiveLimits.compressionLevels.contains(level) else {
            throw ArchiveError(.invalid, "compression level \(level) is not between \(ArchiveLimits.compressionLevels.lowerBound) and \(ArchiveLimits.compressionLevels.upperBound)")
        }
        precondition(UInt64(raw.count) == metadata.rawSize, "\(raw.count) raw bytes for a range of \(metadata.rawSize)")

        var metadata = metadata
        metadata.rawDigest = digest(of: raw, log: metadata.logID)
        let prefixSize = ZstdFrame.skippableHeaderSize + metadata.encodedSize
        var bytes: [UInt8]
        if let key {
            let salt = salt()
            precondition(salt.count == ObjectSealing.saltSize, "a salt of \(salt.count) bytes")
            metadata.seal = ObjectMetadata.Seal(keyID: key.id, salt: salt)
            // Compressed as far behind as it grows by being encrypted, it is encrypted in place.
            let room = ObjectSealing.tagSize * (ZstdCompressor.bound(raw.count) / ObjectSealing.pieceSize + 1)
            bytes = try compressed(raw, behind: prefixSize + room, level: level, start: metadata.start)
            let content = (prefixSize + room)..<bytes.count
            metadata.objectSize = UInt64(prefixSize + ObjectSealing.sealedSize(content.count))
            try ObjectSealing.seal(
                &bytes, content, to: prefixSize, key: key.objectKey(metadata, salt: salt),
                associatedData: ObjectSealing.associatedData(metadataFrame: ObjectEncoder.metadataFrame(metadata)))
        } else {
            metadata.seal = nil
            bytes = try compressed(raw, behind: prefixSize, level: level, start: metadata.start)
            metadata.objectSize = UInt64(bytes.count)
        }
        ObjectEncoder.complete(&bytes, &metadata)
        return EncodedObject(metadata: metadata, bytes: bytes)
    }

    /// One buffer with `prefixSize` zero bytes and then the zstd frame.
    private func compressed(_ raw: [UInt8], behind prefixSize: Int, level: Int, start: LSN) throws(ArchiveError) -> [UInt8] {
        let capacity = prefixSize + ZstdCompressor.bound(raw.count)
        var failure: ZstdFailure?
        let context = if let context = idle.withLock({ $0.popLast() }) { context } else { try Context() }
        defer { idle.withLock { $0.append(context) } }
        // SAFETY: the prefix is initialized here, the frame by zstd, and `count` covers exactly these two.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            unsafe buffer[0..<prefixSize].initialize(repeating: 0)
            count = prefixSize
            do throws(ZstdFailure) {
                let frame = unsafe UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[prefixSize...])
                count += try unsafe raw.span.bytes.withUnsafeBytes { (raw) throws(ZstdFailure) in
                    try unsafe context.compressor.compress(raw, into: frame, level: level)
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw ArchiveError(.invalid, "zstd could not compress: \(failure)", lsn: start) }
        return bytes
    }

    /// The skippable frame, both checksums zero.
    private static func metadataFrame(_ metadata: ObjectMetadata) -> [UInt8] {
        var frame: [UInt8] = []
        frame.appendLittleEndian(ZstdFrame.skippableMagic)
        frame.appendLittleEndian(UInt32(metadata.encodedSize))
        return frame + metadata.encodedWithoutChecksums()
    }

    /// Writes the skippable frame over the zero prefix, and both checksums.
    private static func complete(_ bytes: inout [UInt8], _ metadata: inout ObjectMetadata) {
        let header = ZstdFrame.skippableHeaderSize
        var frame = metadataFrame(metadata)
        frame.storeLittleEndian(
            unsafe CRC32C.of(Array(frame[header...]).span.bytes), at: header + ObjectMetadataFormat.headerChecksumOffset)
        bytes.replaceSubrange(0..<frame.count, with: frame)
        metadata.checksum = unsafe CRC32C.of(bytes.span.bytes)
        bytes.storeLittleEndian(metadata.checksum, at: header + ObjectMetadataFormat.checksumOffset)
    }
}

/// One object, ready to be sent.
public struct EncodedObject: Hashable, Sendable {
    public let metadata: ObjectMetadata
    public let bytes: [UInt8]
}

extension EncodedObject {
    /// An object as it was found at `key`, checked by `ObjectDecoder.checkSealed`: what is encrypted needs no key. Throws as that does.
    package init(sealed bytes: [UInt8], key: ObjectKey, start: LSN) throws(ArchiveError) {
        self.init(metadata: try ObjectDecoder.checkSealed(bytes, key: key, start: start), bytes: bytes)
    }
}
