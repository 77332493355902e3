/// One record of a log: its LSN and the caller's bytes, which stay in the buffer that they were read into.
///
/// A record keeps that buffer (up to 1 MiB, or the record's own size where that is more) alive; copy `data` out to keep many.
public struct Record: Sendable {
    public let lsn: LSN
    /// Whether the next record belongs to the same batch.
    package let continuesBatch: Bool
    private let buffer: ReadBuffer
    private let offset: Int
    /// The length of the record in bytes.
    public let count: Int

    init(lsn: LSN, continuesBatch: Bool, buffer: ReadBuffer, offset: Int, count: Int) {
        precondition(offset >= FrameHeader.size, "a record's header lies before it")
        precondition(offset + count <= buffer.capacity, "a record lies in its buffer")
        self.lsn = lsn
        self.continuesBatch = continuesBatch
        self.buffer = buffer
        self.offset = offset
        self.count = count
    }

    public var isEmpty: Bool { count == 0 }

    /// Where the frame of the next record begins.
    public var endLSN: LSN { lsn.advanced(by: UInt64(FrameHeader.size + count)) }

    /// A copy of the record's bytes.
    public var data: [UInt8] { unsafe withBytes { unsafe [UInt8]($0) } }

    /// Lends the whole frame, header and payload.
    func withFrame<T>(_ body: (UnsafeRawBufferPointer) throws -> T) rethrows -> T {
        // SAFETY: a cursor reads the header into the bytes right before the payload.
        try unsafe body(UnsafeRawBufferPointer(start: buffer.base + offset - FrameHeader.size, count: count + FrameHeader.size))
    }

    /// Lends the bytes without copying them; they must not be used after `body` returns.
    public func withBytes<T>(_ body: (UnsafeRawBufferPointer) throws -> T) rethrows -> T {
        // SAFETY: the buffer outlives the call and is never written to while a record refers to it.
        try unsafe body(UnsafeRawBufferPointer(start: buffer.base + offset, count: count))
    }

    /// As `withBytes`, for callers that handle no pointers.
    package func withSpan<T, E: Error>(_ body: (Span<UInt8>) throws(E) -> T) throws(E) -> T {
        // SAFETY: as in `withBytes`; the memory is bytes and nothing else, and a span cannot leave the call.
        let bytes = unsafe UnsafeBufferPointer(start: (buffer.base + offset).assumingMemoryBound(to: UInt8.self), count: count)
        return try unsafe body(bytes.span)
    }
}

/// Memory that records are read into. Written only by the cursor that made it, and only while no record refers to it.
@safe final class ReadBuffer: @unchecked Sendable {
    // Sendable although it holds a pointer: see the type's comment; the cursor checks that it is the only owner before it writes.
    let base: UnsafeMutableRawPointer
    let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        unsafe base = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { unsafe base.deallocate() }
}
