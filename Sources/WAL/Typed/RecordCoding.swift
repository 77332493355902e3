/// A value that can be written as a record.
///
/// Write fields one after the other; `RecordDecodable` reads them back in the same order. Nothing names them: a type that may change
/// begins with a version of its own.
public protocol RecordEncodable {
    /// Appends the value's bytes. Throws `.encoding` where the value has no encoding.
    func encode(into encoder: inout RecordEncoder) throws(WALError)
}

/// A value that can be read from a record.
public protocol RecordDecodable {
    /// Reads what `RecordEncodable.encode` has written. Throws `.encoding` where the bytes are no such value; the decoder's own methods do so
    /// where bytes are missing.
    init(from decoder: inout RecordDecoder) throws(WALError)
}

/// A value that goes into a log and comes back.
public typealias RecordCodable = RecordEncodable & RecordDecodable

extension Record {
    /// The value that the record holds, all of its bytes. Throws `.encoding`, which names the record's LSN, where they are no such value or where
    /// bytes remain.
    public func decode<Value: RecordDecodable>(_ type: Value.Type = Value.self) throws(WALError) -> Value {
        let result = unsafe withBytes { bytes in
            Result { () throws(WALError) in
                var decoder = unsafe RecordDecoder(bytes)
                let value = try Value(from: &decoder)
                try decoder.requireEnd()
                return value
            }
        }
        do throws(WALError) {
            return try result.get()
        } catch .encoding(let reason) {
            throw .encoding(reason: "the record at LSN \(lsn) is no \(type): \(reason)")
        }
    }
}
