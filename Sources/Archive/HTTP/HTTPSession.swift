internal import Synchronization

/// What a store over HTTP holds, whatever dialect it speaks: its engine, what was found out about the server, and the credentials in use.
///
/// Knows no address and no status: the store says what a request is with given credentials, and which replies refuse them. Safe from any task.
final class HTTPSession<Proof: Equatable & Sendable>: Sendable {
    let engine: CurlEngine
    /// For names that nobody else uses.
    let random: @Sendable () -> UInt64
    /// Gives the credentials as of now. Asked before the first request, and again when the server refuses what it gave last.
    private let source: @Sendable () throws(ArchiveError) -> Proof

    private struct State {
        var capabilities: StoreCapabilities = []
        /// nil: not asked yet.
        var proof: Proof?
    }
    private let state = Mutex(State())

    init(engine: CurlEngine, random: @escaping @Sendable () -> UInt64, source: @escaping @Sendable () throws(ArchiveError) -> Proof) {
        self.engine = engine
        self.random = random
        self.source = source
    }

    var capabilities: StoreCapabilities {
        get { state.withLock { $0.capabilities } }
        set { state.withLock { $0.capabilities = newValue } }
    }

    /// One request, as `request` makes it with the credentials in use. When the server refuses those, they are asked for anew and, if they have
    /// changed, the request is made once more: the refused one did nothing. Where they cannot be read again, that is told with the refusal.
    func exchange(
        _ key: ObjectKey?, isRefused: (HTTPResponse) -> Bool, refusal: (HTTPResponse) -> ArchiveError, _ request: (Proof) -> HTTPRequest
    ) async throws(ArchiveError) -> HTTPResponse {
        let used = try proofInUse()
        let response = try await perform(request(used), key)
        guard isRefused(response) else { return response }
        let renewed: Proof
        do throws(ArchiveError) {
            renewed = try source()
        } catch {
            var refusal = refusal(response)
            refusal.message += "; and the credentials cannot be read again: \(error.message)"
            throw refusal
        }
        guard renewed != used else { return response }
        state.withLock { $0.proof = renewed }
        return try await perform(request(renewed), key)
    }

    private func proofInUse() throws(ArchiveError) -> Proof {
        if let known = state.withLock({ $0.proof }) { return known }
        let first = try source()
        state.withLock { $0.proof = first }
        return first
    }

    private func perform(_ request: HTTPRequest, _ key: ObjectKey?) async throws(ArchiveError) -> HTTPResponse {
        do throws(ArchiveError) {
            return try await engine.perform(request)
        } catch {
            var error = error
            error.key = key
            throw error
        }
    }
}

extension HTTPSession {
    /// Where names come from outside of tests.
    static var systemRandom: @Sendable () -> UInt64 {
        {
            var generator = SystemRandomNumberGenerator()
            return generator.next()
        }
    }
}
