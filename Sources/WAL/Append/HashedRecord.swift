/// A record that is going to be appended, with what of its frame's checksum can be computed before its LSN is known.
///
/// Lives while the payload is lent. A value; one thread.
@safe struct HashedRecord {
    let payload: UnsafeRawBufferPointer
    private let lengthField: UInt32
    private var checksum: FrameChecksum
    private var partial: CRC32C

    /// `payload` has at most the log's maximum record size.
    @inline(__always)
    init(_ payload: UnsafeRawBufferPointer, _ checksum: FrameChecksum) {
        unsafe self.payload = payload
        self.checksum = checksum
        lengthField = UInt32(truncatingIfNeeded: payload.count)
        partial = unsafe checksum.begin(lengthField: lengthField, payload: payload)
    }

    /// Bytes of the frame.
    @inline(__always)
    var frameSize: UInt64 { unsafe UInt64(FrameHeader.size &+ payload.count) }

    /// Hashes again if another epoch has begun since.
    @inline(__always)
    mutating func rehash(with current: FrameChecksum) {
        if current.state != checksum.state { unsafe self = HashedRecord(payload, current) }
    }

    @inline(__always)
    func header(at start: UInt64) -> FrameHeader {
        FrameHeader(checksum: FrameChecksum.finish(partial, lsn: LSN(start)), lengthField: lengthField)
    }
}
