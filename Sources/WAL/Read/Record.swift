/// One record of a log: its LSN and the caller's bytes, which stay in the buffer that they were read into.
///
/// A record keeps that buffer (up to 1 MiB, or the record's own size where that is more) alive; copy `data` out to keep many.
public struct Record: Sendable {
    public let lsn: LSN
    @usableFromInline let buffer: ReadBuffer
    /// Where the payload begins in the buffer. With `lengthField` in one word: a result with a record in it is returned in registers.
    @usableFromInline let offset: UInt32
    @usableFromInline let lengthField: UInt32

    /// The frame's payload lies in `buffer` from `offset` on, and was verified.
    @inlinable init(lsn: LSN, buffer: ReadBuffer, offset: UInt32, lengthField: UInt32) {
        self.lsn = lsn
        self.buffer = buffer
        self.offset = offset
        self.lengthField = lengthField
        precondition(Int(offset) + count <= buffer.capacity, "a record lies in its buffer")
    }

    /// Bytes that a record takes in the log beside its own.
    public static let overhead = 8

    /// The length of the record in bytes.
    @inlinable public var count: Int { Int(lengthField & ~FrameHeader.batchFlag) }

    @inlinable public var isEmpty: Bool { count == 0 }

    /// Whether the next record belongs to the same batch.
    @inlinable package var continuesBatch: Bool { lengthField & FrameHeader.batchFlag != 0 }

    /// Where the frame of the next record begins.
    @inlinable public var endLSN: LSN { lsn.advanced(by: UInt64(FrameHeader.size + count)) }

    /// A copy of the record's bytes: one allocation.
    public var data: [UInt8] { unsafe withBytes { unsafe [UInt8]($0) } }

    /// Lends the bytes without copying them; they must not be used after `body` returns.
    @inlinable public func withBytes<T>(_ body: (UnsafeRawBufferPointer) throws -> T) rethrows -> T {
        // SAFETY: the buffer outlives the call and is never written to while a record refers to it.
        try unsafe body(UnsafeRawBufferPointer(start: buffer.base + Int(offset), count: count))
    }

    /// As `withBytes`, for callers that handle no pointers.
    package func withSpan<T, E: Error>(_ body: (Span<UInt8>) throws(E) -> T) throws(E) -> T {
        // SAFETY: as in `withBytes`; the memory is bytes and nothing else, and a span cannot leave the call.
        let bytes = unsafe UnsafeBufferPointer(start: (buffer.base + Int(offset)).assumingMemoryBound(to: UInt8.self), count: count)
        return try unsafe body(bytes.span)
    }
}

/// Memory that records are read into. Written only by the cursor that made it, and only while no record refers to it.
@usableFromInline @safe final class ReadBuffer: @unchecked Sendable {
    // Sendable although it holds a pointer: see the type's comment; the cursor checks that it is the only owner before it writes.
    @usableFromInline let base: UnsafeMutableRawPointer
    @usableFromInline let capacity: Int

    /// Of no bytes.
    static let empty = ReadBuffer(capacity: 0)

    init(capacity: Int) {
        precondition(capacity <= Int(UInt32.max), "an offset in a buffer has 32 bits")
        self.capacity = capacity
        unsafe base = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { unsafe base.deallocate() }
}
