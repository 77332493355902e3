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
