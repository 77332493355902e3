public import FoundationEssentials

extension WriteAheadLog {
    /// As `append(_: UnsafeRawBufferPointer)`.
    @discardableResult
    public func append(_ record: Data) throws(WALError) -> LSN {
        let result = unsafe record.withUnsafeBytes { bytes in Result { () throws(WALError) in unsafe try append(bytes) } }
        return try result.get()
    }
}

extension RecordBatch {
    /// As `append(_: UnsafeRawBufferPointer)`.
    public mutating func append(_ record: Data) {
        // SAFETY: the buffer is copied and not kept.
        unsafe record.withUnsafeBytes { unsafe append($0) }
    }
}
