import FoundationEssentials

/// A JSON document of the archive. Written as one canonical line (keys sorted, no spaces) with a checksum over its bytes; read strictly: a wrong
/// checksum and a missing or malformed field are refused, an unknown field is ignored.
public protocol ArchiveDocument: Codable, Hashable, Sendable {
    /// Bytes of the largest document of this type that is read or written.
    static var sizeMax: Int { get }
    /// The first rule that the values break and that their fields' own forms cannot express; nil where they are sound.
    var problem: String? { get }
}

extension ArchiveDocument {
    public static var sizeMax: Int { ArchiveLimits.documentSizeMax }

    /// The canonical bytes. Throws `.invalid` for values with a `problem` and for a document past its size limit.
    public func encoded(for key: ObjectKey) throws(ArchiveError) -> [UInt8] {
        if let problem { throw ArchiveError(.invalid, "this document cannot be written: \(problem)", key: key) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let bytes: [UInt8]
        do {
            guard let sealed = DocumentChecksum.sealed(try Array(encoder.encode(UnsealedDocument(document: self)))) else {
                preconditionFailure("no text of a document looks like a field")
            }
            bytes = sealed
        } catch {
            throw ArchiveError(.invalid, "this document cannot be written: \(error)", key: key)
        }
        guard bytes.count <= Self.sizeMax else {
            throw ArchiveError(.invalid, "this document cannot be written: \(bytes.count) bytes are more than \(Self.sizeMax)", key: key)
        }
        return bytes
    }

    /// Reads the document found at `key`. Throws `.damaged` where the bytes are no JSON (cut short, or something else's), and
    /// `.invalid`, naming the field, where they are JSON that breaks the format: also where the checksum is wrong, because what is complete was no
    /// upload that was cut, and is not to be taken for one and replaced.
    public init(decoding bytes: [UInt8], key: ObjectKey) throws(ArchiveError) {
        guard bytes.count <= Self.sizeMax else {
            throw ArchiveError(.invalid, "the document has \(bytes.count) bytes, more than \(Self.sizeMax)", key: key)
        }
        do {
            _ = try JSONDecoder().decode(DocumentVersion.self, from: Data(bytes))
            if let problem = DocumentChecksum.problem(bytes) { throw ArchiveError(.invalid, problem, key: key) }
            self = try JSONDecoder().decode(Self.self, from: Data(bytes))
        } catch let error as DecodingError {
            throw DocumentFailure.archiveError(error, key: key)
        } catch let error as ArchiveError {
            throw error
        } catch {
            throw ArchiveError(.invalid, "the document cannot be read: \(error)", key: key)
        }
        if let problem { throw ArchiveError(.invalid, problem, key: key) }
    }
}

/// Turns what the JSON decoder throws into words that name the field.
enum DocumentFailure {
    static func archiveError(_ error: DecodingError, key: ObjectKey) -> ArchiveError {
        switch error {
        case .keyNotFound(let field, let context):
            ArchiveError(.invalid, "field \(path(context.codingPath + [field])) is missing", key: key)
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            ArchiveError(.invalid, "field \(path(context.codingPath)) has the wrong type", key: key)
        case .dataCorrupted(let context) where context.codingPath.isEmpty:
            ArchiveError(.damaged, "the document is not JSON: cut short, or not ours", key: key)
        case .dataCorrupted(let context):
            ArchiveError(.invalid, "field \(path(context.codingPath)): \(context.debugDescription)", key: key)
        @unknown default:
            ArchiveError(.invalid, "the document cannot be read: \(error)", key: key)
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        keys.isEmpty ? "(the whole document)" : keys.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
    }
}
