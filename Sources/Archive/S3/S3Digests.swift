internal import Crypto
internal import FoundationEssentials
internal import Synchronization
internal import WAL

/// Checksums of bodies on their way. SHA-256 and MD5 are dear, and one object may be sent many times: theirs are kept until it is stored.
///
/// A body is known by its key, size and CRC-32C, which is always computed: two that have all three in common could be taken for each other, and the
/// server would refuse the second one for its checksum; `forget` then clears the way. Safe from any task.
final class S3Digests: Sendable {
    private struct Body: Hashable {
        var key: ObjectKey
        var size: Int
        var crc32c: UInt32
    }

    private struct Known {
        var sha256: String?
        var md5: HTTPHeader?
    }

    private let known = Mutex<[Body: Known]>([:])

    /// In lower-case hex.
    func sha256(_ key: ObjectKey, _ bytes: [UInt8]) -> String { digest(key, bytes, \.sha256) { SigV4.sha256($0) } }

    /// As its header.
    func md5(_ key: ObjectKey, _ bytes: [UInt8]) -> HTTPHeader { digest(key, bytes, \.md5) { HTTPStore.contentMD5($0) } }

    /// The object is stored, or will not be sent again.
    func forget(_ key: ObjectKey) {
        known.withLock { known in
            for body in known.keys where body.key == key { known[body] = nil }
        }
    }

    var count: Int { known.withLock { $0.count } }

    private func digest<Value: Sendable>(
        _ key: ObjectKey, _ bytes: [UInt8], _ field: sending WritableKeyPath<Known, Value?>, _ compute: ([UInt8]) -> Value
    ) -> Value {
        let body = Body(key: key, size: bytes.count, crc32c: CRC32C.of(bytes))
        if let value = known.withLock({ $0[body]?[keyPath: field] }) { return value }
        let value = compute(bytes)
        known.withLock { known in
            // Bodies that were given up are never forgotten one by one.
            if known[body] == nil, known.count >= S3Limits.digestsMax { known = [:] }
            known[body, default: Known()][keyPath: field] = value
        }
        return value
    }

    /// The header's value is the checksum's four bytes, most significant first, in Base64.
    static func crc32c(_ bytes: [UInt8]) -> HTTPHeader {
        let value = CRC32C.of(bytes)
        let ordered = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
        return HTTPHeader("x-amz-checksum-crc32c", Data(ordered).base64EncodedString())
    }
}
