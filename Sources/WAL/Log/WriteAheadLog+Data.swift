public import FoundationEssentials

extension WriteAheadLog {
    /// As `append(_: UnsafeRawBufferPointer)`.
    @discardableResult
    public func append(_ record: Data) throws(WALError) -> LSN {
        let result = unsafe record.withUnsafeBytes { bytes in Result { () throws(WALError) in unsafe try append(bytes) } }
        return try result.get()
    }
}
