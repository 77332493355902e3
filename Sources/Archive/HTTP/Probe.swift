internal import WAL

extension HTTPStore {
    /// Names: `<prefix>/<16 hex digits>/…`. The random collection keeps two probes at one time apart: on shared names each would take
    /// the other's object for its own first try. The prefix itself (`<log>/.probe`) stays, empty: a DELETE of a collection takes
    /// everything below it, another probe's names too.
    ///
    /// Throws when the store cannot be reached, does not let us write, or says that it is busy: none of that is an answer. What
    /// a store refuses to delete (retention) stays and is no error; with `keepsProbes` a collection with four objects of a few bytes and an empty collection stays.
    public func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities {
        try await HTTPProbe(store: self, home: ObjectKey("\(prefix.path)/\(Hex.sixteenDigits(session.random()))")).findOut()
    }
}

/// Finds out what a server does, by doing it. Each question is asked so that doubt gives the more cautious answer.
struct HTTPProbe: ProbeQuestions {
    let store: HTTPStore
    /// The collection, made for this probe alone, below which everything happens.
    let home: ObjectKey

    func run() async throws(ArchiveError) -> StoreCapabilities {
        var found: StoreCapabilities = .probed
        if try await refusesSecondCollection() { found.insert(.exclusiveCollections) }
        if try await refusesSecondCreate() { found.insert(.conditionalCreate) }
        if try await answersRanges() { found.insert(.rangeGet) }
        if try await verifies("md5", { HTTPStore.contentMD5($0) }) { found.insert(.verifiesChecksum) }
        // Where everything stays, nothing is moved.
        if !store.keepsProbes, try await moves() { found.insert(.move) }
        if try await lists() { found.insert(.list) }
        if try await hidesCutUploads() { found.insert(.cutUploadsInvisible) }
        return found
    }

    private func refusesSecondCollection() async throws(ArchiveError) -> Bool {
        var request = store.request(.mkcol, collection: home)
        request.mayResend = false
        var first = try await ask(request)
        if try await store.makeParents(of: home, after: first).tryAgain { first = try await ask(request) }
        // A server without MKCOL answers 405 the first time too.
        guard first.status == 201 else { return false }
        guard try await ask(request).status == 405 else { return false }
        return try await decidesRaces("taken") { [store] key, _ in
            var request = store.request(.mkcol, collection: key)
            request.mayResend = false
            return request
        } isHeld: { _, _ in
            true
        }
    }

    private func moves() async throws(ArchiveError) -> Bool {
        let (from, to) = (name("from"), name("to"))
        let (one, two) = (Array("one".utf8), Array("two".utf8))
        func put(_ bytes: [UInt8]) async throws(ArchiveError) -> Bool {
            try await ask(store.putRequest(from, bytes, onlyIfAbsent: false)).isSuccess
        }
        /// Behind a proxy that ends TLS, or under another name, a server takes the destination for another server's and answers 502
        /// (RFC 4918 section 9.9.4), whenever it is asked.
        func move(overwrite: Bool) async throws(ArchiveError) -> Int {
            let request = store.moveRequest(from, to: to, overwrite: overwrite)
            do throws(ArchiveError) {
                return try await ask(request).status
            } catch where error.code == .busy(status: 502) {
                return 502
            }
        }
        // Into place; not over what is there unless told so; and over it when told so.
        // RFC 4918 section 9.9.4 wants 201 for a new name; nginx answers 204.
        guard try await put(one), [201, 204].contains(try await move(overwrite: false)),
            try await content(of: to) == one, try await store.head(from) == nil
        else { return false }
        guard try await put(two), try await move(overwrite: false) == 412, try await content(of: to) == one else { return false }
        guard [201, 204].contains(try await move(overwrite: true)), try await content(of: to) == two else { return false }
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

    func tidyUp() async -> ArchiveError? {
        if let failure = await deleteAll(names + [name("from"), name("to")]) { return failure }
        do throws(ArchiveError) {
            // `walshipd serve` removes no collection that is not empty; other servers take along what lies below. Any other status will do: a store without
            // collections has none to remove.
            guard try await remove(home).status == 409 else { return nil }
            for round in 0..<Race.rounds { _ = try await remove(name("taken-\(round)")) }
            _ = try await remove(home)
            return nil
        } catch {
            return error
        }
    }

    private func remove(_ collection: ObjectKey) async throws(ArchiveError) -> HTTPResponse {
        var request = store.request(.delete, collection: collection)
        // RFC 4918 section 9.6.1: the only depth there is, and nginx wants to see it.
        request.headers = [HTTPHeader("Depth", "infinity")]
        return try await store.exchange(request, home)
    }
}
