/// Writing: one PUT per object, with its length, a condition and a checksum.
extension S3Store {
    public func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome {
        // A store that does not honour the condition would replace what is there: the look comes first.
        if !current.contains(.conditionalCreate), try await head(key) != nil { return .exists }
        guard takesConditions else { return try await put(key, bytes, onlyIfAbsent: false) }
        do throws(ArchiveError) {
            return try await put(key, bytes, onlyIfAbsent: true)
        } catch where error.code == .unsupported {
            // 501: stores are known that refuse the condition itself. Without it they are like those that ignore it: look, then put.
            if try await head(key) != nil { return .exists }
            let outcome = try await put(key, bytes, onlyIfAbsent: false)
            takesConditions = false
            return outcome
        }
    }

    public func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) {
        _ = try await put(key, bytes, onlyIfAbsent: false)
    }

    /// `.exists` for a 412 to a condition.
    private func put(_ key: ObjectKey, _ bytes: [UInt8], onlyIfAbsent: Bool) async throws(ArchiveError) -> CreateOutcome {
        let request = putRequest(key, bytes, onlyIfAbsent: onlyIfAbsent)
        let response = try await exchange(request, key)
        switch response.status {
        case 200, 201, 204:
            guard !S3Failure.isHidden(in: response) else { throw refusal(response, to: request, key: key) }
            digests.forget(key)
            return .created
        case 412 where onlyIfAbsent:
            digests.forget(key)
            return .exists
        case 400:
            // Whatever it was, no digest of ours shall be the reason twice.
            digests.forget(key)
            throw refusal(response, to: request, key: key)
        default: throw refusal(response, to: request, key: key)
        }
    }

    func putRequest(_ key: ObjectKey, _ bytes: [UInt8], onlyIfAbsent: Bool) -> HTTPRequest {
        var request = request(.put, key)
        request.body = bytes
        request.headers = [HTTPHeader("Content-Type", "application/octet-stream")]
        if onlyIfAbsent {
            request.headers.append(HTTPHeader("If-None-Match", "*"))
            // Sent twice, the second would be refused because of the first and look like a rival's.
            request.mayResend = false
        }
        // Only where the probe saw that it is checked: stores are known that refuse, or store, checksums that they do not know.
        if current.contains(.verifiesChecksum) {
            request.headers.append(current.contains(.checksumCRC32C) ? S3Digests.crc32c(bytes) : digests.md5(key, bytes))
        }
        return request
    }
}
