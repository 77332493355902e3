extension WriteAheadLog {
    /// Appends a value as one record, as `append(_:)`; `Record.decode(_:)` reads it back. Allocates one buffer; in a loop keep an encoder, see
    /// `appendTyped(_:using:)`. For any `Codable` value: `appendTyped(Coded(value))`.
    ///
    /// - Throws: `.encoding` where the value has no encoding, the log being unchanged; otherwise as `append(_:)`.
    @discardableResult
    public func appendTyped(_ value: some RecordEncodable) throws(WALError) -> LSN {
        var encoder = RecordEncoder(capacity: 256)
        return try appendTyped(value, using: &encoder)
    }

    /// As `appendTyped(_:)` with the caller's encoder, whose memory is used again: nothing is allocated once it is large enough.
    @discardableResult
    public func appendTyped(_ value: some RecordEncodable, using encoder: inout RecordEncoder) throws(WALError) -> LSN {
        encoder.removeAll()
        try value.encode(into: &encoder)
        return try append(encoder.buffer)
    }
}

extension RecordBatch {
    /// Adds a value as one record, encoded right into the batch. Throws `.encoding`, and then the batch is as before.
    public mutating func appendTyped(_ value: some RecordEncodable) throws(WALError) {
        try appendEncoded { (frames: inout [UInt8]) throws(WALError) in
            var encoder = RecordEncoder(continuing: frames)
            frames = []
            let start = encoder.start
            defer {
                precondition(encoder.start == start, "an encoder is filled, not replaced")
                frames = encoder.buffer
            }
            try value.encode(into: &encoder)
        }
    }
}
