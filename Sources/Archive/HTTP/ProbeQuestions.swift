/// A cut upload, as a probe makes it.
enum CutUpload {
    /// Sent and cut in the middle: beyond what servers keep in memory before they open a file.
    static let size = 256 << 10
    /// How long to look for what a cut upload left. A server learns of the cut at once; one under load takes its time to act on
    /// it, and does so for whole uploads too: hence so many times what one of those takes, within these bounds.
    static let lookFactor = 20
    static let lookMin: Duration = .seconds(1)
    static let lookMax: Duration = .seconds(15)
}

/// Rivals for one name at one time, as a probe makes them.
enum Race {
    static let rivals = 4
    /// Apache 2.4, which refuses a second create and not one that comes together with the first, lets more than one of four succeed in three races of
    /// four; on a machine so busy that they do not come together, in fewer. No number of races proves that a server is exclusive.
    static let rounds = 12

    static func body(of rival: Int) -> [UInt8] { Array("rival \(rival)".utf8) }
}

/// The questions that every dialect of HTTP is asked in the same way. Everything happens below `home`.
protocol ProbeQuestions: Sendable {
    associatedtype Store: HTTPReading
    var store: Store { get }
    /// Made for this probe alone: two probes at one time must not take each other's objects for their own.
    var home: ObjectKey { get }
    /// All questions, in an order that makes sense.
    func run() async throws(ArchiveError) -> StoreCapabilities
    /// Removes what the probe may have made; returns why something may be left.
    func tidyUp() async -> ArchiveError?
}

extension ProbeQuestions {
    /// Asks, tidies up, and has the store remember. Takes a second, or more on a slow store: a cut upload may show late.
    func findOut() async throws(ArchiveError) -> StoreCapabilities {
        let found: StoreCapabilities
        do throws(ArchiveError) {
            found = try await run()
        } catch {
            guard !store.keepsProbes else { throw error }
            let failure = await store.afterCancellation { await tidyUp() }
            var error = error
            if failure != nil { error.message += "; names below \(home) may be left" }
            throw error
        }
        if !store.keepsProbes, let failure = await tidyUp() { throw failure }
        store.current = found
        return found
    }

    func name(_ last: String) -> ObjectKey { ObjectKey("\(home.path)/\(last)") }

    /// An object of a few bytes that was stored.
    var created: ObjectKey { name("created") }

    /// Every name that the questions below may use.
    var names: [ObjectKey] {
        [created, name("whole"), name("cut")] + ["crc32c", "md5"].flatMap { [name("wrong-\($0)"), name("right-\($0)")] }
            + (0..<Race.rounds).map { name("race-\($0)") }
    }

    /// The reply to a request, unless it says nothing about what the server can do.
    func ask(_ request: HTTPRequest) async throws(ArchiveError) -> HTTPResponse {
        let response = try await store.exchange(request, home)
        switch response.status {
        case 401, 408, 429, 502, 503, 504: throw store.refusal(response, to: request, key: home)
        default: return response
        }
    }

    /// At most a few bytes; nil where nothing is.
    func content(of key: ObjectKey) async throws(ArchiveError) -> [UInt8]? {
        do throws(ArchiveError) {
            return try await store.read(key, range: nil, limit: CutUpload.size)
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    // MARK: The questions

    /// Also the question whether the store takes and keeps objects at all, which must be yes.
    func refusesSecondCreate() async throws(ArchiveError) -> Bool {
        let first = Array("first".utf8)
        guard try await store.create(created, first) == .created else {
            throw ArchiveError(.damaged, "\(store.name) says that something is at a new random name", key: created)
        }
        // Some servers answer 200 to a PUT and store nothing.
        guard try await content(of: created) == first else {
            throw ArchiveError(
                .damaged, "\(store.name) confirmed an object and does not give back its bytes", key: created,
                hint: "this store cannot hold an archive; check that the URL, or endpoint and bucket, are of one that stores what is PUT there")
        }
        guard store.takesConditions else { return false }
        let again = try await ask(store.putRequest(created, Array("second".utf8), onlyIfAbsent: true))
        guard again.status == 412, try await content(of: created) == first else { return false }
        return try await decidesRaces("race") { key, rival in
            store.putRequest(key, Race.body(of: rival), onlyIfAbsent: true)
        } isHeld: { (key, winner) async throws(ArchiveError) in
            try await content(of: key) == Race.body(of: winner)
        }
    }

    /// Whether of several that come together exactly one succeeds, and has what it wanted afterwards.
    func decidesRaces(
        _ label: String, _ request: @escaping @Sendable (ObjectKey, _ rival: Int) -> HTTPRequest,
        isHeld: (ObjectKey, _ winner: Int) async throws(ArchiveError) -> Bool
    ) async throws(ArchiveError) -> Bool {
        // Each leaves a name behind where names stay.
        for round in 0..<(store.keepsProbes ? 1 : Race.rounds) {
            let key = name("\(label)-\(round)")
            let answers = await withTaskGroup { group in
                for rival in 0..<Race.rivals {
                    group.addTask { () -> (rival: Int, status: Result<Int, ArchiveError>) in
                        do throws(ArchiveError) {
                            return (rival, .success(try await ask(request(key, rival)).status))
                        } catch {
                            return (rival, .failure(error))
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            var winners: [Int] = []
            for answer in answers where (200..<300).contains(try answer.status.get()) { winners.append(answer.rival) }
            guard winners.count == 1, try await isHeld(key, winners[0]) else { return false }
        }
        return true
    }

    func answersRanges() async throws(ArchiveError) -> Bool {
        var request = store.request(.get, created)
        request.headers = [HTTPHeader("Range", "bytes=1-3"), HTTPHeader("Accept-Encoding", "identity")]
        let whole = try await content(of: created)
        let response = try await ask(request)
        return response.status == 206 && response.header("content-range").flatMap { ContentRange($0)?.range } == 1..<4
            && response.body[...] == whole?.dropFirst().prefix(3)
    }

    /// Whether a body that does not match this checksum is refused, and one that does is taken.
    func verifies(_ kind: String, _ header: ([UInt8]) -> HTTPHeader) async throws(ArchiveError) -> Bool {
        let bytes = Array("checksum".utf8)
        var request = store.request(.put, name("wrong-\(kind)"))
        request.body = bytes
        request.headers = [header(Array("another".utf8))]
        let refused = try await ask(request)
        guard (400..<500).contains(refused.status), try await store.head(name("wrong-\(kind)")) == nil else { return false }
        // A server that refuses the header as such verifies nothing.
        request = store.request(.put, name("right-\(kind)"))
        request.body = bytes
        request.headers = [header(bytes)]
        guard try await ask(request).isSuccess else { return false }
        return try await content(of: name("right-\(kind)")) == bytes
    }

    /// Whether an upload that is cut shows nowhere: not under a new name, and not in the place of what was there. Not asked where what it leaves could not
    /// be taken away.
    func hidesCutUploads() async throws(ArchiveError) -> Bool {
        guard !store.keepsProbes else { return false }
        let old = [UInt8](repeating: UInt8(ascii: "o"), count: CutUpload.size)
        let (whole, cut) = (name("whole"), name("cut"))
        let start = ContinuousClock.now
        guard try await ask(store.putRequest(whole, old, onlyIfAbsent: false)).isSuccess else { return false }
        let end =
            ContinuousClock.now
            + max(CutUpload.lookMin, min(CutUpload.lookMax, (ContinuousClock.now - start) * CutUpload.lookFactor))
        for key in [cut, whole] {
            var request = store.request(.put, key)
            request.body = [UInt8](repeating: UInt8(ascii: "n"), count: CutUpload.size)
            request.cutBodyAfter = CutUpload.size / 2
            do throws(ArchiveError) {
                // An early answer is one too: what counts is what is to be seen.
                _ = try await store.exchange(request, key)
            } catch {
                guard error.code == .unreachable, error.outcome == .unknown else { throw error }
            }
        }
        var pause: Duration = .milliseconds(25)
        while true {
            if try await store.head(cut) != nil { return false }
            guard try await isStill(old, whole) else { return false }
            guard ContinuousClock.now < end else { return true }
            do {
                try await Task.sleep(for: pause)
            } catch {
                throw ArchiveError(.cancelled, "the probe of \(store.name) was cancelled", key: cut)
            }
            pause = min(pause * 2, .seconds(1))
        }
    }

    /// A reply that ends early says so too: the object was cut short while it was read. Then there is a server to answer for it.
    private func isStill(_ bytes: [UInt8], _ key: ObjectKey) async throws(ArchiveError) -> Bool {
        do throws(ArchiveError) {
            return try await content(of: key) == bytes
        } catch where error.code == .unreachable {
            _ = try await store.head(key)
            return false
        }
    }

    // MARK: Tidying up

    /// All at once. What the store refuses to delete (retention, a policy) stays: that is its right.
    func deleteAll(_ names: [ObjectKey]) async -> ArchiveError? {
        await withTaskGroup { group in
            for name in names {
                group.addTask { () -> ArchiveError? in
                    do throws(ArchiveError) {
                        try await store.delete(name)
                        return nil
                    } catch {
                        return isRefusal(error) ? nil : error
                    }
                }
            }
            return await group.reduce(nil) { $0 ?? $1 }
        }
    }

    private func isRefusal(_ error: ArchiveError) -> Bool {
        switch error.code {
        case .unauthorized, .unsupported, .refused, .busy(status: 409), .busy(status: 423), .busy(status: 500): true
        default: false
        }
    }
}
