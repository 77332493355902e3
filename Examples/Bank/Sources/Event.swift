import WAL

/// Something that has happened. Events are all that the bank writes: accounts are what they come to.
enum Event {
    case deposited(account: String, cents: UInt64)
    case transferred(from: String, to: String, cents: UInt64)
}

/// As a record: a number for the kind, which never changes its meaning, then the fields in order.
extension Event: RecordCodable {
    func encode(into encoder: inout RecordEncoder) throws(WALError) {
        switch self {
        case .deposited(let account, let cents):
            encoder.encode(1 as UInt8)
            encoder.encode(account)
            encoder.encode(varint: cents)
        case .transferred(let from, let to, let cents):
            encoder.encode(2 as UInt8)
            encoder.encode(from)
            encoder.encode(to)
            encoder.encode(varint: cents)
        }
    }

    init(from decoder: inout RecordDecoder) throws(WALError) {
        switch try decoder.decode(UInt8.self) {
        case 1: self = .deposited(account: try decoder.decode(), cents: try decoder.decodeVarint())
        case 2: self = .transferred(from: try decoder.decode(), to: try decoder.decode(), cents: try decoder.decodeVarint())
        case let kind: throw .encoding(reason: "no event of kind \(kind) is known: this log was written by a newer bank")
        }
    }
}
