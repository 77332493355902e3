import CCRC32C

/// A running CRC-32C (Castagnoli, RFC 3720 §12.1): of `"123456789"` it is 0xE3069283.
///
/// A value of four bytes without invariants: copy it to remember a state, make it again from `value` to go on from there.
package struct CRC32C: Hashable, Sendable {
    /// The checksum of everything hashed so far.
    package private(set) var value: UInt32

    /// The state before the first byte.
    @inline(__always) package init() { value = 0 }

    /// The state in which `value` was read.
    @inline(__always) package init(state: UInt32) { value = state }

    @inline(__always) package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        // SAFETY: the buffer is valid for its count during the call, and C only reads it.
        unsafe value = walship_crc32c(value, bytes.baseAddress, bytes.count)
    }

    @inline(__always) package mutating func update(_ bytes: RawSpan) {
        // SAFETY: the buffer is not kept.
        unsafe bytes.withUnsafeBytes { unsafe update($0) }
    }

    /// Hashes the eight bytes of `number`, least significant first.
    @inline(__always) package mutating func update(littleEndian number: UInt64) {
        var bytes = number.littleEndian
        // SAFETY: the pointer is to a local of trivial type and is not kept.
        unsafe withUnsafeBytes(of: &bytes) { unsafe update($0) }
    }

    /// Hashes the four bytes of `number`, least significant first.
    @inline(__always) package mutating func update(littleEndian number: UInt32) {
        var bytes = number.littleEndian
        // SAFETY: as above.
        unsafe withUnsafeBytes(of: &bytes) { unsafe update($0) }
    }

    package static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var checksum = CRC32C()
        unsafe checksum.update(bytes)
        return checksum.value
    }

    package static func of(_ bytes: RawSpan) -> UInt32 {
        var checksum = CRC32C()
        checksum.update(bytes)
        return checksum.value
    }

    package static func of(_ bytes: [UInt8]) -> UInt32 {
        // SAFETY: the buffer is not kept.
        unsafe bytes.withUnsafeBytes { unsafe of($0) }
    }
}
