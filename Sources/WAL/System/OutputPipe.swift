import Glibc

/// A descriptor that bytes are written to, without a buffer in between: a pipe to another program, or a standard stream. Does not own it. Safe from any thread;
/// one call's bytes may be interleaved with another's only where the kernel takes a write in parts.
package struct OutputPipe: Sendable {
    private let descriptor: Int32
    /// What it is called in messages.
    private let name: String

    package init(descriptor: Int32, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    /// write(2) until every byte is taken. Blocks while nobody reads. EINTR is retried. On an error some of the bytes may have been written.
    package func write(_ bytes: Span<UInt8>) throws(WALError) {
        var written = 0
        while written < bytes.count {
            // SAFETY: the pointer covers exactly the rest of the span, which lives until the closure returns.
            let (count, code) = unsafe bytes.extracting(written...).withUnsafeBufferPointer { rest in
                let count = unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
                return (count, errno)
            }
            if count >= 0 {
                written += count
            } else if code != EINTR {
                throw .io(operation: "write", path: name, errno: code)
            }
        }
    }
}
