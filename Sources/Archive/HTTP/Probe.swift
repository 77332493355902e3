internal import WAL

extension HTTPStore {
    /// Names: `<prefix>/<16 hex digits>/…`. The random collection keeps two probes at one time apart: on shared names each would take
    /// the other's object for its own first try. The prefix itself (`<log>/.probe`) stays, empty: a DELETE of a collection takes
    /// everything below it, another probe's names too.
    ///
    /// Throws when the store cannot be reached, does not let us write, or says that it is busy: none of that is an answer. What
    /// a store refuses to delete (retention) stays and is no error; with `keepsProbes` a collection with three objects of a few bytes stays. Takes a second, or more on a slow store: a cut upload may show late.
    public func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities {
        let probe = HTTPProbe(store: self, home: ObjectKey("\(prefix.path)/\(Hex.sixteenDigits(random()))"))
        let found: StoreCapabilities
        do throws(ArchiveError) {
            found = try await probe.run()
        } catch {
            guard !settings.keepsProbes else { throw error }
            let failure = await afterCancellation { await probe.tidyUp() }
            var error = error
            if failure != nil { error.message += "; names below \(probe.home) may be left" }
            throw error
        }
        if !settings.keepsProbes, let failure = await probe.tidyUp() { throw failure }
        current = found
        return found
    }
}

/// Finds out what a server does, by doing it. Each question is asked so that doubt gives the more cautious answer.
struct HTTPProbe: ProbeQuestions {
    let store: HTTPStore
    /// The collection, made for this probe alone, below which everything happens.
    let home: ObjectKey

    var created: ObjectKey { name("created") }
    private var names: [ObjectKey] {
        [created, name("wrong-checksum"), name("right-checksum"), name("from"), name("to"), name("whole"), name("cut")]
    }

    func run() async throws(ArchiveError) -> StoreCapabilities {
        var found: StoreCapabilities = .probed
        if try await refusesSecondCollection() { found.insert(.exclusiveCollections) }
        if try await refusesSecondCreate() { found.insert(.conditionalCreate) }
        if try await answersRanges() { found.insert(.rangeGet) }
        if try await verifiesChecksum() { found.insert(.verifiesChecksum) }
        // Where everything stays, nothing is moved, and what a cut upload leaves could not be taken away.
        if !store.settings.keepsProbes, try await moves() { found.insert(.move) }
        if try await lists() { found.insert(.list) }
        if !store.settings.keepsProbes, try await hidesCutUploads() { found.insert(.cutUploadsInvisible) }
        return found
    }

    private func refusesSecondCollection() async throws(ArchiveError) -> Bool {
        var request = store.request(.mkcol, collection: home)
        request.mayResend = false
        var first = try await ask(request)
        if try await store.makeParents(of: home, after: first).tryAgain { first = try await ask(request) }
        // A server without MKCOL answers 405 the first time too.
        guard first.status == 201 else { return false }
        return try await ask(request).status == 405
    }

    /// Also the question whether the store takes and keeps objects at all, which must be yes.
    private func refusesSecondCreate() async throws(ArchiveError) -> Bool {
        let first = Array("first".utf8)
        let second = Array("second".utf8)
        let request = store.putRequest(created, first, onlyIfAbsent: true)
        var response = try await ask(request)
        var note: String?
        let parents = try await store.makeParents(of: created, after: response)
        if parents.tryAgain {
            note = parents.refusal
            response = try await ask(request)
        }
        guard [200, 201, 204].contains(response.status) else {
            throw HTTPStatus.error(response, to: request, key: created, note: note)
        }
        // Some servers answer 200 to a PUT and store nothing.
        guard try await content(of: created) == first else {
            throw ArchiveError(
                .damaged, "\(store.name) confirmed an object and does not give back its bytes", key: created,
                hint: "this server cannot hold an archive; check that the URL is one that stores what is PUT there")
        }
        let again = try await ask(store.putRequest(created, second, onlyIfAbsent: true))
        guard again.status == 412 else { return false }
        return try await content(of: created) == first
    }

    private func verifiesChecksum() async throws(ArchiveError) -> Bool {
        let bytes = Array("checksum".utf8)
        let right = HTTPStore.contentMD5(bytes)
        var request = store.request(.put, name("wrong-checksum"))
        request.body = bytes
        request.headers = [HTTPStore.contentMD5(Array("another".utf8))]
        let refused = try await ask(request)
        guard (400..<500).contains(refused.status), try await store.head(name("wrong-checksum")) == nil else { return false }
        // A server that refuses the header as such verifies nothing.
        request = store.request(.put, name("right-checksum"))
        request.body = bytes
        request.headers = [right]
        guard try await ask(request).isSuccess else { return false }
        return try await content(of: name("right-checksum")) == bytes
    }

    private func moves() async throws(ArchiveError) -> Bool {
        let (from, to) = (name("from"), name("to"))
        let (one, two) = (Array("one".utf8), Array("two".utf8))
        func put(_ bytes: [UInt8]) async throws(ArchiveError) -> Bool {
            try await ask(store.putRequest(from, bytes, onlyIfAbsent: false)).isSuccess
        }
        // Into place; not over what is there unless told so; and over it when told so.
        // RFC 4918 section 9.9.4 wants 201 for a new name; nginx answers 204.
        guard try await put(one), try await [201, 204].contains(ask(store.moveRequest(from, to: to, overwrite: false)).status),
            try await content(of: to) == one, try await store.head(from) == nil
        else { return false }
        guard try await put(two), try await ask(store.moveRequest(from, to: to, overwrite: false)).status == 412,
            try await content(of: to) == one
        else { return false }
        let replaced = try await ask(store.moveRequest(from, to: to, overwrite: true)).status
        guard [201, 204].contains(replaced), try await content(of: to) == two else { return false }
        return try await store.head(from) == nil
    }

    private func lists() async throws(ArchiveError) -> Bool {
        do throws(ArchiveError) {
            return try await store.walk(home).contains(created)
        } catch {
            switch error.code {
            case .unsupported, .refused, .invalid, .unauthorized(status: 403), .busy(status: 500): return false
            default: throw error
            }
        }
    }

    /// Removes what the probe may have made; returns why something may be left.
    func tidyUp() async -> ArchiveError? {
        if let failure = await deleteAll(names) { return failure }
        var request = store.request(.delete, collection: home)
        // RFC 4918 section 9.6.1: the only depth there is, and nginx wants to see it.
        request.headers = [HTTPHeader("Depth", "infinity")]
        do throws(ArchiveError) {
            // Any status will do: a store without collections has none to remove.
            _ = try await store.exchange(request, home)
            return nil
        } catch {
            return error
        }
    }
}