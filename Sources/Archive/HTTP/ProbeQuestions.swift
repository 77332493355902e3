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

/// The questions that every dialect of HTTP is asked in the same way. Everything happens below `home`.
protocol ProbeQuestions: Sendable {
    associatedtype Store: HTTPReading
    var store: Store { get }
    /// Made for this probe alone: two probes at one time must not take each other's objects for their own.
    var home: ObjectKey { get }
    /// An object of a few bytes that was stored.
    var created: ObjectKey { get }
}

extension ProbeQuestions {
    func name(_ last: String) -> ObjectKey { ObjectKey("\(home.path)/\(last)") }

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

    func answersRanges() async throws(ArchiveError) -> Bool {
        var request = store.request(.get, created)
        request.headers = [HTTPHeader("Range", "bytes=1-3"), HTTPHeader("Accept-Encoding", "identity")]
        let whole = try await content(of: created)
        let response = try await ask(request)
        return response.status == 206 && response.header("content-range").flatMap { ContentRange($0)?.range } == 1..<4
            && response.body[...] == whole?.dropFirst().prefix(3)
    }

    func hidesCutUploads() async throws(ArchiveError) -> Bool {
        let bytes = [UInt8](repeating: UInt8(ascii: "c"), count: CutUpload.size)
        let start = ContinuousClock.now
        guard try await ask(store.putRequest(name("whole"), bytes, onlyIfAbsent: false)).isSuccess else { return false }
        let end =
            ContinuousClock.now
            + max(CutUpload.lookMin, min(CutUpload.lookMax, (ContinuousClock.now - start) * CutUpload.lookFactor))

        let key = name("cut")
        var request = store.request(.put, key)
        request.body = bytes
        request.cutBodyAfter = CutUpload.size / 2
        do throws(ArchiveError) {
            // An early answer is one too: what counts is what is to be seen.
            _ = try await store.exchange(request, key)
        } catch {
            guard error.code == .unreachable, error.outcome == .unknown else { throw error }
        }
        var pause: Duration = .milliseconds(25)
        while true {
            if try await store.head(key) != nil { return false }
            guard ContinuousClock.now < end else { return true }
            do {
                try await Task.sleep(for: pause)
            } catch {
                throw ArchiveError(.cancelled, "the probe of \(store.name) was cancelled", key: key)
            }
            pause = min(pause * 2, .seconds(1))
        }
    }

    /// Removes what the probe may have made; returns why something may be left. What the store refuses to delete stays.
    func deleteAll(_ names: [ObjectKey]) async -> ArchiveError? {
        for name in names {
            do throws(ArchiveError) {
                try await store.delete(name)
            } catch {
                guard isRefusal(error) else { return error }
            }
        }
        return nil
    }

    /// The store does not let us delete: retention, or a policy. That is its right.
    func isRefusal(_ error: ArchiveError) -> Bool {
        switch error.code {
        case .unauthorized, .unsupported, .refused, .busy(status: 409), .busy(status: 500): true
        default: false
        }
    }
}
