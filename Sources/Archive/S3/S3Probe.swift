/// Finds out what an S3-compatible store does, by doing it. Each question is asked so that doubt gives the more cautious answer.
struct S3Probe: ProbeQuestions {
    let store: S3Store
    /// The prefix, made for this probe alone, below which everything happens.
    let home: ObjectKey

    func run() async throws(ArchiveError) -> StoreCapabilities {
        var found: StoreCapabilities = .probed
        if try await refusesSecondCreate() { found.insert(.conditionalCreate) }
        if try await answersRanges() { found.insert(.rangeGet) }
        if try await verifies("crc32c", { S3Digests.crc32c($0) }) {
            found.formUnion([.verifiesChecksum, .checksumCRC32C])
        } else if try await verifies("md5", { HTTPStore.contentMD5($0) }) {
            found.insert(.verifiesChecksum)
        }
        if try await lists() { found.insert(.list) }
        if try await hidesCutUploads() { found.insert(.cutUploadsInvisible) }
        return found
    }

    private func lists() async throws(ArchiveError) -> Bool {
        do throws(ArchiveError) {
            return try await store.walk(home).contains(created)
        } catch {
            switch error.code {
            case .unsupported, .refused, .invalid, .notFound, .unauthorized(status: 403): return false
            default: throw error
            }
        }
    }

    func tidyUp() async -> ArchiveError? { await deleteAll(names) }
}
