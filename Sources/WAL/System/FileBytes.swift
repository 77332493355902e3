extension File {
    /// At most `count` bytes from `offset` on; fewer only where the file ends. Allocates `count` bytes: check the length first.
    package func bytes(at offset: UInt64, count: Int) throws(WALError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        // SAFETY: the buffer is the array's own and is not kept.
        let filled = try unsafe bytes.withUnsafeMutableBufferPointer { buffer throws(WALError) -> Int in
            try unsafe read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
        }
        bytes.removeLast(count - filled)
        return bytes
    }

    /// Writes all of `bytes` at `offset`.
    package func write(_ bytes: [UInt8], at offset: UInt64) throws(WALError) {
        // SAFETY: the buffer is the array's own and is not kept.
        try unsafe bytes.withUnsafeBufferPointer { buffer throws(WALError) -> Void in
            try unsafe write(UnsafeRawBufferPointer(buffer), at: offset)
        }
    }

    /// Writes all of `bytes` at `offset`.
    package func write(_ bytes: RawSpan, at offset: UInt64) throws(WALError) {
        // SAFETY: the span outlives the call, which does not keep the buffer.
        try unsafe bytes.withUnsafeBytes { buffer throws(WALError) -> Void in
            try unsafe write(buffer, at: offset)
        }
    }
}
