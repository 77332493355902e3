extension WriteAheadLog {
    /// Appends all records of `batch`, next to each other and in their order. On return their bytes are in the page cache, not yet on stable
    /// storage; after a crash all of them are there or none. An empty batch does nothing.
    ///
    /// - Returns: the records' LSNs, as many as the batch has records.
    /// - Throws: `.recordTooLarge` where one of the records, or the batch (`LogLimits.batchSizeMax`), is too long, and `.noSpace`: the log is
    ///   unchanged and usable; `.stopped` when it takes no more appends.
    @discardableResult
    public func append(batch: RecordBatch) throws(WALError) -> [LSN] { try core.append(batch) }

    /// Appends a batch and makes it and all before it durable. If the flush fails the batch is not acknowledged, and the log has stopped.
    @discardableResult
    public func appendAndSync(batch: RecordBatch) throws(WALError) -> [LSN] {
        let lsns = try append(batch: batch)
        try sync()
        return lsns
    }

    /// As `appendAndSync(batch:)`, without blocking the cooperative pool.
    @discardableResult
    public func appendAndSync(batch: RecordBatch) async throws(WALError) -> [LSN] {
        let lsns = try append(batch: batch)
        try await sync()
        return lsns
    }
}
