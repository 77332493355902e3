public import WAL

/// The keys of one archive: the one that new objects are encrypted with, and older ones that still open what was encrypted with them.
public struct KeyRing: Hashable, Sendable {
    /// Nil: new objects are not encrypted.
    public let current: MasterKey?
    private let keys: [KeyID: MasterKey]

    /// `others` only open. A key may be named twice.
    public init(current: MasterKey?, others: [MasterKey] = []) {
        self.current = current
        keys = Dictionary((current.map { [$0] } ?? []).map { ($0.id, $0) } + others.map { ($0.id, $0) }) { first, _ in first }
    }

    /// No key: encrypted objects do not open.
    public static let none = KeyRing(current: nil)

    public var isEmpty: Bool { keys.isEmpty }

    /// In no order that means anything.
    package var all: [MasterKey] { Array(keys.values) }

    subscript(id: KeyID) -> MasterKey? { keys[id] }

    /// Whether objects that were encrypted with this key open.
    public func contains(_ id: KeyID) -> Bool { keys[id] != nil }

    /// The raw digest of `raw`, a range of `log`, as an object has it that was encrypted with the key `id`, or with none. Nil: there is no such key here.
    public func digest(of raw: [UInt8], log: LogID, under id: KeyID?) -> RawDigest? {
        guard let id else { return RawDigest(of: raw) }
        return keys[id].map { $0.keyed(RawDigest(of: raw), log: log) }
    }

    /// As `digest(of:log:under:)`, of raw bytes of which the digest without a key is known.
    package func digest(_ plain: RawDigest, log: LogID, under id: KeyID?) -> RawDigest? {
        guard let id else { return plain }
        return keys[id].map { $0.keyed(plain, log: log) }
    }

    /// What is said where an object needs a key that is not here.
    public func missing(_ id: KeyID, key: ObjectKey? = nil, lsn: LSN? = nil) -> ArchiveError {
        ArchiveError(
            .keyMissing, "encrypted with key \(id), \(isEmpty ? "and no key was given" : "which is not among the keys given")", key: key, lsn: lsn,
            hint: "name the file of that key (--key-file, or encryption.key-file and encryption.old-key-files)")
    }
}
