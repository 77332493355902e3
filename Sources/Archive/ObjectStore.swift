/// Where an object lies below a store's base: path segments joined by `/`, no leading or trailing slash, no empty, `.` or
/// `..` segment; only `A-Z a-z 0-9 . _ - /`.
public struct ObjectKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let path: String
    /// Traps on a path that breaks the rule above: keys are computed, never taken from outside.
    public init(_ path: String) {
        precondition(ObjectKey.isValid(path), "not an object key: \(path)")
        self.path = path
    }
    public static func isValid(_ path: String) -> Bool {
        !path.isEmpty
            && path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { segment in
                !segment.isEmpty && segment != "." && segment != ".."
                    && segment.utf8.allSatisfy { byte in
                        switch byte {
                        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
                            UInt8(ascii: "-"):
                            true
                        default: false
                        }
                    }
            }
    }
    /// A document that is created once, or a hint beside: JSON, and small.
    var isDocument: Bool { path.hasSuffix(".json") }
    public static func < (lhs: ObjectKey, rhs: ObjectKey) -> Bool { lhs.path < rhs.path }
    public var description: String { path }
}

/// The contract of everything that can hold an archive. One conformance suite runs over every implementation and every real
/// server.
///
/// Each call is one attempt with the deadlines of the store's own settings: it returns or throws, and never waits for ever.
/// Whoever calls decides about retries (`RetryState`) and about outcomes that are not known (`ArchiveError.outcome`).
/// Missing parents (collections) are made by the store. Cancelling the task ends the transfer. Safe from any task.
public protocol ObjectStore: Sendable {
    /// A short name without credentials, for messages: `http://host:port/base`, `s3://bucket/prefix`, `file:///dir`, `memory`.
    var name: String { get }

    /// What the last probe found; the most cautious assumptions before it.
    var capabilities: StoreCapabilities { get async }

    /// Finds out what the store does with conditions, collections and checksums, on fixed names below `prefix`
    /// (`<log>/.probe/…`), and remembers the answer. Leaves nothing behind on success.
    func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities

    /// Takes up what an earlier probe found, instead of probing again.
    func assume(_ capabilities: StoreCapabilities) async

    /// Stores `bytes` if nothing is at `key`. `.exists` means that the store said so (412, or its own look): nothing was
    /// changed. On a store without conditional creation the look comes first and is not exclusive.
    /// Returning `.created` means that storage has confirmed it; it does not mean that the bytes were read back.
    func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome

    /// Stores `bytes` whatever is at `key`. Only for heads, floor and objects proven bad.
    func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError)

    /// The bytes at `key`, or those of `range` that exist. Throws `.notFound` where nothing is. At most `limit` bytes are
    /// taken into memory; more is `.refused`.
    func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8]

    /// Size of the object at `key`, or nil where the store says that nothing is (404, 410). "Not there" and "failed" are never the same.
    func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo?

    /// Removes the object at `key`. Missing is success.
    func delete(_ key: ObjectKey) async throws(ArchiveError)

    /// Makes the collection (directory) `key`; parents are made too. `.exists` when it was already there. Exclusive where
    /// `capabilities.exclusiveCollections`: of several rivals exactly one gets `.created`. Throws `.unsupported` where the store has none.
    func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome

    /// The keys below `prefix` (a collection, or a key prefix ending at a `/`), recursively, in order. Throws `.unsupported`
    /// where the store cannot list. Missing is empty.
    func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey]
}

public enum CreateOutcome: Hashable, Sendable { case created, exists }

public struct ObjectInfo: Hashable, Sendable {
    public var size: UInt64
    public init(size: UInt64) { self.size = size }
}

/// What a probe found out. The default is the most cautious assumption.
public struct StoreCapabilities: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// A probe has run.
    public static let probed = StoreCapabilities(rawValue: 1 << 0)
    /// A second create of the same key is refused (412), and of several that come together exactly one succeeds.
    public static let conditionalCreate = StoreCapabilities(rawValue: 1 << 1)
    /// A repeated MKCOL answers 405, and of several that come together exactly one makes the collection.
    public static let exclusiveCollections = StoreCapabilities(rawValue: 1 << 2)
    /// An upload that was cut is never visible, and leaves what was there as it was.
    public static let cutUploadsInvisible = StoreCapabilities(rawValue: 1 << 3)
    /// The store refuses a body whose checksum does not match.
    public static let verifiesChecksum = StoreCapabilities(rawValue: 1 << 4)
    public static let list = StoreCapabilities(rawValue: 1 << 5)
    public static let move = StoreCapabilities(rawValue: 1 << 6)
    public static let rangeGet = StoreCapabilities(rawValue: 1 << 7)
    /// S3: the checksum that is verified is `x-amz-checksum-crc32c`; without this it is Content-MD5.
    public static let checksumCRC32C = StoreCapabilities(rawValue: 1 << 8)
}
