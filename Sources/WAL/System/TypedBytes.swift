import Glibc

/// Access to bytes that keeps the type of the error: the standard library's raw forms of these rethrow `any Error`.
extension [UInt8] {
    @inline(__always)
    func withBytes<T, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> T) throws(E) -> T {
        try unsafe withUnsafeBufferPointer { bytes throws(E) in try unsafe body(UnsafeRawBufferPointer(bytes)) }
    }

    @inline(__always)
    mutating func withMutableBytes<T, E: Error>(_ body: (UnsafeMutableRawBufferPointer) throws(E) -> T) throws(E) -> T {
        try unsafe withUnsafeMutableBufferPointer { bytes throws(E) in try unsafe body(UnsafeMutableRawBufferPointer(bytes)) }
    }
}

extension RawSpan {
    /// Lends the same bytes with their type.
    package func withTyped<T, E: Error>(_ body: (Span<UInt8>) throws(E) -> T) throws(E) -> T {
        try unsafe withUnsafeBytes { bytes throws(E) in
            // SAFETY: the memory is bytes and nothing else, lives through the call, and a span cannot leave it.
            try body(unsafe bytes.assumingMemoryBound(to: UInt8.self).span)
        }
    }
}

extension Span<UInt8> {
    /// The first place at or after `start` that holds `byte`; nil where none does. memchr(3), which looks at many bytes at a time.
    package func firstIndex(of byte: UInt8, from start: Int) -> Int? {
        precondition(start >= 0 && start <= count, "a place in the span")
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress, start < bytes.count,
                // SAFETY: the searched range lies inside the buffer.
                let found = unsafe memchr(base + start, Int32(byte), bytes.count - start)
            else { return nil }
            return unsafe UnsafeRawPointer(found) - UnsafeRawPointer(base)
        }
    }
}

extension [UInt8] {
    /// Appends a copy of `bytes`.
    package mutating func append(_ bytes: Span<UInt8>) {
        // SAFETY: the buffer covers the span, which lives through the call; it is another memory than this array's.
        unsafe bytes.withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
    }

    /// Moves the bytes of `range` to the front; what lies after them is then of no meaning.
    package mutating func moveToFront(_ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "a range of the array")
        guard range.lowerBound > 0, !range.isEmpty else { return }
        unsafe withMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            // SAFETY: both places lie inside the array; memmove allows them to overlap.
            unsafe memmove(base, base + range.lowerBound, range.count)
        }
    }
}
