/// The eight bytes before a record's payload. Nothing is allocated; safe from any thread.
@usableFromInline package struct FrameHeader: Hashable, Sendable {
    @inlinable package static var size: Int { 8 }
    /// Set in `lengthField`: the next frame belongs to the same batch.
    @inlinable package static var batchFlag: UInt32 { 1 << 31 }

    package var checksum: UInt32
    /// The payload's length in the low 31 bits, and `batchFlag`.
    package var lengthField: UInt32

    package init(checksum: UInt32, lengthField: UInt32) {
        self.checksum = checksum
        self.lengthField = lengthField
    }

    /// Reads the header at `offset`. Traps where `bytes` does not hold all of it.
    package init(load bytes: UnsafeRawBufferPointer, at offset: Int = 0) {
        checksum = UInt32(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        lengthField = UInt32(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self))
    }

    /// Writes the header at `offset`. Traps where `bytes` has no room for all of it.
    package func store(into bytes: UnsafeMutableRawBufferPointer, at offset: Int = 0) {
        unsafe bytes.storeBytes(of: checksum.littleEndian, toByteOffset: offset, as: UInt32.self)
        unsafe bytes.storeBytes(of: lengthField.littleEndian, toByteOffset: offset + 4, as: UInt32.self)
    }

    /// Bytes of the payload as the header says, 0 to 2³¹−1: compare with the log's maximum before believing it.
    package var payloadCount: Int { Int(lengthField & ~FrameHeader.batchFlag) }
    package var continuesBatch: Bool { lengthField & FrameHeader.batchFlag != 0 }

    /// The length field of a payload of `payloadCount` bytes; traps where that does not fit 31 bits.
    package static func lengthField(payloadCount: Int, continuesBatch: Bool = false) -> UInt32 {
        precondition(payloadCount >= 0, "a payload of \(payloadCount) bytes")
        precondition(payloadCount < Int(batchFlag), "a payload of \(payloadCount) bytes does not fit a frame")
        return UInt32(payloadCount) | (continuesBatch ? batchFlag : 0)
    }
}

extension FrameHeader {
    /// The eight bytes.
    package var bytes: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: FrameHeader.size)
        unsafe bytes.withUnsafeMutableBytes { unsafe store(into: $0) }
        return bytes
    }
}
