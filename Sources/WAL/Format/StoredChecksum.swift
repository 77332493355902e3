/// How checksums lie on disk: CRC-32C, where a computed 0 is stored as 0xFFFFFFFF. A stored 0 never verifies, so a region
/// of zeros is never taken for something that was written.
package enum StoredChecksum {
    /// The stored form of everything hashed so far.
    package static func of(_ checksum: CRC32C) -> UInt32 {
        let value = checksum.value
        return value == 0 ? 0xFFFF_FFFF : value
    }

    package static func of(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        of(bytes, after: CRC32C())
    }

    /// The stored form of `prefix` followed by `bytes`.
    package static func of(_ bytes: ArraySlice<UInt8>, after prefix: CRC32C) -> UInt32 {
        var checksum = prefix
        // SAFETY: the pointer is used only inside the closure, while the array is held.
        unsafe bytes.withUnsafeBytes { unsafe checksum.update($0) }
        return of(checksum)
    }

    /// The state that binds a cell or a time entry to its place: the log and the segment's index.
    package static func binding(logID: LogID, index: UInt64) -> CRC32C {
        var checksum = CRC32C()
        checksum.update(logID)
        checksum.update(littleEndian: index)
        return checksum
    }
}

extension CRC32C {
    /// The sixteen bytes of the id in RFC order, which is big-endian.
    package mutating func update(_ id: LogID) {
        update(littleEndian: id.high.byteSwapped)
        update(littleEndian: id.low.byteSwapped)
    }
}
