/// Finds out what an S3-compatible store does, by doing it. Each question is asked so that doubt gives the more cautious answer.
struct S3Probe: ProbeQuestions {
    let store: S3Store
    /// The prefix, made for this probe alone, below which everything happens.
    let home: ObjectKey

    var created: ObjectKey { name("created") }
    private var names: [ObjectKey] {
        [created, name("wrong-crc32c"), name("right-crc32c"), name("wrong-md5"), name("right-md5"), name("whole"), name("cut")]
    }

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
        // Where everything stays, what a cut upload leaves could not be taken away.
        if !store.keepsProbes, try await hidesCutUploads() { found.insert(.cutUploadsInvisible) }
        return found
    }

    /// Also the question whether the store takes and keeps objects at all, which must be yes.
    private func refusesSecondCreate() async throws(ArchiveError) -> Bool {
        let first = Array("first".utf8)
        guard try await store.create(created, first) == .created else {
            throw ArchiveError(.damaged, "\(store.name) says that something is at a new random name", key: created)
        }
        // Some servers answer 200 to a PUT and store nothing.
        guard try await content(of: created) == first else {
            throw ArchiveError(
                .damaged, "\(store.name) confirmed an object and does not give back its bytes", key: created,
                hint: "this store cannot hold an archive; check endpoint and bucket")
        }
        guard !store.refusesConditions else { return false }
        let again = try await ask(store.putRequest(created, Array("second".utf8), onlyIfAbsent: true))
        guard again.status == 412 else { return false }
        return try await content(of: created) == first
    }

    /// Whether a body that does not match this checksum is refused, and one that does is taken.
    private func verifies(_ kind: String, _ header: ([UInt8]) -> HTTPHeader) async throws(ArchiveError) -> Bool {
        let bytes = Array("checksum".utf8)
        var request = store.request(.put, name("wrong-\(kind)"))
        request.body = bytes
        request.headers = [header(Array("another".utf8))]
        let refused = try await ask(request)
        guard (400..<500).contains(refused.status), try await store.head(name("wrong-\(kind)")) == nil else { return false }
        // A store that refuses the header as such verifies nothing.
        request = store.request(.put, name("right-\(kind)"))
        request.body = bytes
        request.headers = [header(bytes)]
        let taken = try await ask(request)
        guard taken.isSuccess, !S3Failure.isHidden(in: taken) else { return false }
        return try await content(of: name("right-\(kind)")) == bytes
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

    /// Removes what the probe may have made; returns why something may be left.
    func tidyUp() async -> ArchiveError? { await deleteAll(names) }
}
