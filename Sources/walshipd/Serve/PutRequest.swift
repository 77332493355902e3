import Foundation
import HTTPTypes

/// What the fields of a PUT ask for, checked before its body is read.
struct PutRequest: Equatable, Sendable {
    var precondition: Precondition
    /// As announced; nil for a chunked body.
    var length: UInt64?
    /// The MD5 that the body must have.
    var md5: [UInt8]?

    init(_ fields: HTTPFields, objectSizeMax: UInt64) throws(ServeError) {
        // A server that stored the part as if it were the whole would destroy data (RFC 9110 §14.5).
        guard fields[.contentRange] == nil else { throw ServeError(.badRequest, "PUT of a part is not supported") }
        precondition = try Self.precondition(fields)
        if let text = fields[.contentLength] {
            guard let length = UInt64(text) else { throw ServeError(.badRequest, "Content-Length is no number") }
            guard length <= objectSizeMax else { throw ServeError.tooLarge(objectSizeMax) }
            self.length = length
        } else if fields[.transferEncoding] == nil {
            throw ServeError(.lengthRequired, "PUT needs Content-Length")
        }
        if let text = fields[Self.contentMD5] {
            guard let digest = Data(base64Encoded: text), digest.count == 16 else {
                throw ServeError(.badRequest, "Content-MD5 is not the base64 of 16 bytes")
            }
            md5 = Array(digest)
        }
    }

    /// The server has no entity tags: none can match, so any but `*` fails where a match is asked for and passes where none may be.
    private static func precondition(_ fields: HTTPFields) throws(ServeError) -> Precondition {
        let absent = fields[.ifNoneMatch]?.trimmingCharacters(in: .whitespaces) == "*"
        switch fields[.ifMatch]?.trimmingCharacters(in: .whitespaces) {
        case nil: return absent ? .absent : .any
        case "*" where !absent: return .present
        default: throw ServeError(.preconditionFailed, "If-Match can only be *, without If-None-Match")
        }
    }

    private static let contentMD5 = HTTPField.Name("Content-MD5")!
}

extension ServeError {
    static func tooLarge(_ max: UInt64) -> ServeError {
        ServeError(.contentTooLarge, "an object has at most \(ByteSize(max)) here")
    }
}
