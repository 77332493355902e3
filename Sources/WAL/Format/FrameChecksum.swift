import CCRC32C

/// The checksum of the frames of one epoch of one log: CRC-32C over log id, epoch id, length field, payload and LSN.
///
/// A frame that was moved, or comes from another log or another branch of history, fails. Nothing is allocated; safe from
/// any thread.
package struct FrameChecksum: Sendable {
    /// The state after log id and epoch id, computed once.
    private let seed: CRC32C

    package init(logID: LogID, epoch: EpochID) {
        var checksum = CRC32C()
        checksum.update(logID)
        checksum.update(littleEndian: epoch.rawValue)
        seed = checksum
    }

    /// The seed as it was read from `state`.
    package init(state: UInt32) { seed = CRC32C(state: state) }

    /// All that tells one epoch's checksums from another's.
    package var state: UInt32 { seed.value }

    /// The value to store for a frame at `lsn`; never 0.
    package func value(lengthField: UInt32, payload: UnsafeRawBufferPointer, lsn: LSN) -> UInt32 {
        FrameChecksum.finish(unsafe begin(lengthField: lengthField, payload: payload), lsn: lsn)
    }

    /// The frames that lie one behind the other from the start of `bytes`, which are at `lsn`, up to the first that does not verify, does not
    /// end within `bytes` or has a payload of more than `payloadMax` bytes: one pass, without a call for each.
    package func intactFrames(in bytes: UnsafeRawBufferPointer, at lsn: LSN, payloadMax: Int) -> IntactFrames {
        // SAFETY: C reads the buffer's bytes, and keeps nothing.
        let run = unsafe walship_crc32c_verify(
            seed.value, bytes.baseAddress, bytes.count, lsn.rawValue, UInt32(clamping: payloadMax))
        return IntactFrames(byteCount: run.bytes, count: run.count, last: run.count > 0 ? lsn.advanced(by: UInt64(run.last)) : nil)
    }

    /// Hashes all that is known before space is reserved; `finish` adds the LSN.
    package func begin(lengthField: UInt32, payload: UnsafeRawBufferPointer) -> CRC32C {
        var checksum = seed
        checksum.update(littleEndian: lengthField)
        unsafe checksum.update(payload)
        return checksum
    }

    /// The value to store once the frame's LSN is known; never 0.
    package static func finish(_ checksum: CRC32C, lsn: LSN) -> UInt32 {
        var checksum = checksum
        checksum.update(littleEndian: lsn.rawValue)
        return StoredChecksum.of(checksum)
    }

    /// Whether a frame read at `lsn` is intact and belongs there.
    package func verifies(_ header: FrameHeader, payload: UnsafeRawBufferPointer, lsn: LSN) -> Bool {
        precondition(payload.count == header.payloadCount, "\(payload.count) bytes for a payload of \(header.payloadCount)")
        let expected = unsafe value(lengthField: header.lengthField, payload: payload, lsn: lsn)
        return header.checksum == expected
    }
}

/// How much of some bytes is intact frames.
package struct IntactFrames: Hashable, Sendable {
    /// Bytes of all of them.
    package let byteCount: Int
    package let count: Int
    /// The last of them.
    package let last: LSN?
}
