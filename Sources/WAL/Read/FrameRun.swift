/// Intact frames that lie one behind the other in a buffer, handed out from the first on.
///
/// Every byte between `offset` and `end` was verified by the cursor that made the run. A value; it keeps the buffer alive.
@usableFromInline struct FrameRun: Sendable {
    @usableFromInline let buffer: ReadBuffer
    /// LSN of the buffer's first byte.
    @usableFromInline let origin: UInt64
    /// Where the next frame begins in the buffer.
    @usableFromInline var offset: Int
    /// Where the last one ends.
    @usableFromInline private(set) var end: Int

    /// Of no frames, and of nobody's buffer.
    static let none = FrameRun(buffer: .empty, origin: 0, offset: 0, end: 0)

    init(buffer: ReadBuffer, origin: UInt64, offset: Int, end: Int) {
        precondition(offset <= end, "a run ends where it begins, or after")
        precondition(end <= buffer.capacity, "a run lies in its buffer")
        self.buffer = buffer
        self.origin = origin
        self.offset = offset
        self.end = end
    }

    var isEmpty: Bool { offset >= end }

    /// Leaves out the frames that end above `lsn`.
    mutating func limit(to lsn: LSN) {
        guard origin &+ UInt64(end) > lsn.rawValue else { return }
        var rest = self
        var kept = offset
        while rest.nextHeader() != nil, origin &+ UInt64(rest.offset) <= lsn.rawValue { kept = rest.offset }
        end = kept
    }

    /// The LSN and the length field of the next frame, which is then passed; nil behind the last.
    @inlinable @inline(__always) mutating func nextHeader() -> (lsn: LSN, lengthField: UInt32)? {
        guard offset < end else { return nil }
        // SAFETY: a whole frame lies between `offset` and `end`, inside the buffer.
        let field = UInt32(littleEndian: unsafe buffer.base.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self))
        let lsn = LSN(origin &+ UInt64(truncatingIfNeeded: offset))
        offset &+= FrameHeader.size &+ Int(field & ~FrameHeader.batchFlag)
        return (lsn, field)
    }

    /// The next record; nil behind the last.
    @inlinable @inline(__always) mutating func next() -> Record? {
        let payload = offset &+ FrameHeader.size
        guard let (lsn, field) = nextHeader() else { return nil }
        return Record(lsn: lsn, buffer: buffer, offset: UInt32(truncatingIfNeeded: payload), lengthField: field)
    }

    /// Lends each record's bytes; on an error the rest is not looked at.
    @inlinable func forEach<E: Error>(_ body: (LSN, RawSpan) throws(E) -> Void) throws(E) {
        var rest = self
        while true {
            let payload = rest.offset &+ FrameHeader.size
            guard let (lsn, field) = rest.nextHeader() else { return }
            // SAFETY: verified frames, see the type; a span cannot leave the call, and the run keeps the buffer meanwhile.
            let bytes = unsafe UnsafeRawBufferPointer(start: buffer.base + payload, count: Int(field & ~FrameHeader.batchFlag))
            try unsafe body(lsn, bytes.bytes)
        }
    }
}
