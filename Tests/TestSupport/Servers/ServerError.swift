/// Why a server or a child process of a test is not as the test needs it. Fails the test with its text.
package struct ServerError: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Asks until `condition` holds, or throws after `limit` with what was waited for.
package func waitUntil(
    _ what: String, within limit: Duration = .seconds(60), _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while true {
        if try await condition() { return }
        guard ContinuousClock.now < end else { throw ServerError("not within \(limit): \(what)") }
        try await Task.sleep(for: .milliseconds(2))
    }
}
