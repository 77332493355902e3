/// Bytes that are not what the format says: which structure and field, where, what was found and what was expected.
///
/// The caller turns it into a `WALError`, because only the caller knows the file and what the damage means there.
package struct FormatError: Error, Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// Another number of bytes than the structure has.
        case size
        /// Nothing but zeros: space that was prepared and never written.
        case empty
        /// The bytes do not begin as this structure does.
        case magic
        /// The checksum does not match.
        case checksum
        /// Intact, and of a version, kind or feature that this program does not know.
        case unsupported
        /// Intact, and a value is out of its range or contradicts another.
        case value
    }

    package var kind: Kind
    /// The structure, as `docs/format/log.md` names it.
    package var structure: String
    package var field: String
    /// Bytes from the start of the structure.
    package var offset: Int
    package var found: String
    package var expected: String

    package init(_ kind: Kind, structure: String, field: String, offset: Int, found: String, expected: String) {
        self.kind = kind
        self.structure = structure
        self.field = field
        self.offset = offset
        self.found = found
        self.expected = expected
    }
}

extension FormatError: CustomStringConvertible {
    package var description: String {
        "\(structure): \(field) at byte \(offset) is \(found), expected \(expected)"
    }
}
