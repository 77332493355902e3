import WAL

/// A JSON value (RFC 8259) with the members of objects in the order in which they were given, on one line.
indirect enum JSONText {
    case null
    case bool(Bool)
    case number(UInt64)
    case seconds(Double)
    case string(String)
    case array([JSONText])
    case object([(String, JSONText)])

    /// LSNs are decimal strings: many readers of JSON lose digits of numbers above 2⁵³.
    static func lsn(_ lsn: LSN?) -> JSONText { lsn.map { .string("\($0)") } ?? .null }

    static func optional<Value>(_ value: Value?, _ make: (Value) -> JSONText) -> JSONText { value.map(make) ?? .null }

    /// Whether the bytes are well-formed UTF-8, and so can be a JSON string.
    static func isText(_ bytes: Span<UInt8>) -> Bool {
        do {
            _ = try UTF8Span(validating: bytes)
            return true
        } catch {
            return false
        }
    }

    var text: String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .number(let value): String(value)
        case .seconds(let value): String((value * 1000).rounded() / 1000)
        case .string(let value): JSONText.quoted(value)
        case .array(let values): "[" + values.map(\.text).joined(separator: ",") + "]"
        case .object(let members): "{" + members.map { "\(JSONText.quoted($0)):\($1.text)" }.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = []
        bytes.append(jsonEscaped: Array(text.utf8).span)
        return "\"" + String(decoding: bytes, as: UTF8.self) + "\""
    }
}

extension [UInt8] {
    /// The inside of a JSON string: quotation mark, backslash and control characters escaped, all else as it is.
    mutating func append(jsonEscaped bytes: Span<UInt8>) {
        for index in bytes.indices {
            switch bytes[index] {
            case UInt8(ascii: "\""): append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "\"")])
            case UInt8(ascii: "\\"): append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "\\")])
            case UInt8(ascii: "\n"): append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "n")])
            case UInt8(ascii: "\r"): append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "r")])
            case UInt8(ascii: "\t"): append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "t")])
            case 0..<0x20:
                append(contentsOf: "\\u00".utf8)
                append(hex: bytes.extracting(index..<index + 1))
            default: append(bytes[index])
            }
        }
    }
}
