import FoundationEssentials
import WAL

/// The checksum that every document carries: CRC-32C over all its bytes, the eight hex digits of field `crc32c` taken as zeros.
///
/// It is over bytes, not over values, so that one changed bit is noticed wherever it is: also in what a reader ignores. A document that was cut
/// short is no JSON any more and never gets here.
package enum DocumentChecksum {
    /// What stands before the digits. Inside a JSON string its quotation marks would be escaped, so it can only be a field's name.
    private static let marker = Array(#""crc32c":""#.utf8)
    private static let digits = 8

    /// `document` with its right digits; nil where it has no place for them, or more than one.
    package static func sealed(_ document: [UInt8]) -> [UInt8]? {
        guard let place = place(in: document) else { return nil }
        var document = document
        document.replaceSubrange(place, with: hex(checksum(document, place)))
        return document
    }

    /// What is wrong, in words; nil where the digits are right.
    static func problem(_ document: [UInt8]) -> String? {
        guard let place = place(in: document) else { return "field crc32c: missing, there twice, or not eight lower-case hex digits" }
        let computed = hex(checksum(document, place))
        guard computed[...] != document[place] else { return nil }
        return "field crc32c: \(text(document[place])) instead of \(text(computed[...])): the document was changed"
    }

    private static func checksum(_ document: [UInt8], _ place: Range<Int>) -> UInt32 {
        var zeroed = document
        zeroed.replaceSubrange(place, with: [UInt8](repeating: UInt8(ascii: "0"), count: digits))
        return CRC32C.of(zeroed)
    }

    /// Where the digits stand: between the marker and a quotation mark.
    private static func place(in document: [UInt8]) -> Range<Int>? {
        var found: Range<Int>?
        for index in document.indices where document[index] == marker[0] && document[index...].starts(with: marker) {
            let place = index + marker.count..<index + marker.count + digits
            guard found == nil, place.upperBound < document.count, document[place.upperBound] == UInt8(ascii: "\""),
                HexPair.isLowerCaseHex(text(document[place]))
            else { return nil }
            found = place
        }
        return found
    }

    private static func hex(_ value: UInt32) -> [UInt8] {
        let text = String(value, radix: 16)
        return [UInt8](repeating: UInt8(ascii: "0"), count: digits - text.utf8.count) + text.utf8
    }

    private static func text(_ digits: ArraySlice<UInt8>) -> String { String(decoding: digits, as: UTF8.self) }
}

/// A document with a place for its checksum among its fields.
struct UnsealedDocument<Document: ArchiveDocument>: Encodable {
    let document: Document

    private enum CodingKeys: String, CodingKey { case crc32c }

    func encode(to encoder: any Encoder) throws {
        try document.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode("00000000", forKey: .crc32c)
    }
}

/// The field that says how to read the others.
package struct DocumentVersion: Decodable {
    private enum CodingKeys: String, CodingKey { case format }

    package init(from decoder: any Decoder) throws {
        try decoder.container(keyedBy: CodingKeys.self).checkFormat(.format)
    }

    /// Whether the document is whole and belongs to a newer version, so that nobody may change or replace it. One whose checksum is wrong is damaged, whatever it says.
    package static func isNewer(_ document: [UInt8]) -> Bool {
        guard DocumentChecksum.problem(document) == nil else { return false }
        do {
            _ = try JSONDecoder().decode(DocumentVersion.self, from: Data(document))
            return false
        } catch {
            return true
        }
    }
}
