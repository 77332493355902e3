/// CRC-32C (Castagnoli), reflected, polynomial 0x82F63B78: "123456789" gives 0xE3069283. Bit by bit.
package struct CRC32C: Sendable {
    private var state: UInt32

    package init() { state = 0xFFFF_FFFF }
    package init(state: UInt32) { self.state = state }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        for unsafe byte in unsafe bytes { update(byte: byte) }
    }

    package mutating func update(littleEndian value: UInt32) {
        for shift in stride(from: UInt32(0), to: 32, by: 8) { update(byte: UInt8(truncatingIfNeeded: value >> shift)) }
    }

    package mutating func update(littleEndian value: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { update(byte: UInt8(truncatingIfNeeded: value >> shift)) }
    }

    /// The checksum of everything hashed so far.
    package var value: UInt32 { ~state }

    package static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var checksum = CRC32C()
        unsafe checksum.update(bytes)
        return checksum.value
    }

    private mutating func update(byte: UInt8) {
        state ^= UInt32(byte)
        for _ in 0..<8 { state = (state >> 1) ^ (state & 1 == 1 ? 0x82F6_3B78 : 0) }
    }
}
